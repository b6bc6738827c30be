#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/options.hpp"

namespace nmp::cli {

/// Either a command, or what to print and how to end: help and version (exit 0, stdout), or a complaint (kUsage,
/// stderr).
struct Parsed {
  std::optional<Command> command;
  int exit = 0;
  std::string text;
};

/// `arguments` without the program's name. Reads the environment and the files that FILTER, `k=@FILE` and --token name.
[[nodiscard]] Parsed parse(std::vector<std::string> arguments);

/// What an `nmp --version` says, and a manifest's software.
inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace nmp::cli
