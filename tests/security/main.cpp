#include <gtest/gtest.h>

#include "tests/security/child_node.hpp"

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "--node") return nmp::security::run_child_node(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
