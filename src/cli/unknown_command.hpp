#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nmp::cli {

/// What `nmp WORD` answers when there is no such command.
struct UnknownCommand {
  std::string text;  ///< one line, without "nmp: "
  int exit = 0;      ///< kUsage; kRefused for a command that is planned but not part of this build
};

/// Names the command of `known` that WORD was perhaps meant to be. `word` is shown escaped, at most 40 characters of
/// it.
[[nodiscard]] UnknownCommand unknown_command(std::string_view word, const std::vector<std::string>& known);

}  // namespace nmp::cli
