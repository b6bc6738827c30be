#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace nmp::cli {

struct ProcessOptions {
  std::vector<std::string>
      arguments;                 ///< The program, by name (looked for on PATH) or path, and what it gets. No shell.
  std::filesystem::path folder;  ///< Where it runs; empty: here.
  std::vector<std::string> environment;  ///< NAME=VALUE beside our own.
};
/// Runs a compiler to its end, its stdout joined to our stderr. Returns its exit code (128 + signal if one ended it).
/// Errors: not_found, io.
Result<int> run_process(const ProcessOptions& options);

/// The first of these programs that PATH holds.
std::string find_program(const std::vector<std::string>& names);

}  // namespace nmp::cli
