#pragma once

namespace nmp::cli {

/// The whole program: parses, runs one command, returns its exit code (output.hpp).
int main(int argc, const char* const* argv);

}  // namespace nmp::cli
