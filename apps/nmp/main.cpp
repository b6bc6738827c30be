#include "cli/cli.hpp"

int main(int argc, char** argv) { return nmp::cli::main(argc, argv); }
