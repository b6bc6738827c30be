#include "cli/unknown_command.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "base/encoding.hpp"
#include "cli/output.hpp"

namespace nmp::cli {
namespace {

constexpr std::size_t kShownMax = 40;
/// A word this far from a command (letters put in, left out or changed) was meant to be another.
constexpr std::size_t kLettersWrongMax = 2;

/// What NMP will have and this build has not. A script that finds one here learns that it is not its spelling.
struct Planned {
  std::string_view word;
  std::string_view what;
};
constexpr std::array kPlanned = {
    Planned{"token", "grants"},
    Planned{"audit", "the audit log"},
    Planned{"prove", "zero-knowledge proofs"},
    Planned{"receipt", "fetching receipts later"},
    Planned{"enclave", "enclave images"},
    Planned{"attest", "enclave evidence"},
    Planned{"mcp", "the MCP server"},
    Planned{"doctor", "the self-check"},
    Planned{"top", "the live view of a node"},
};

/// The Levenshtein distance.
std::size_t letters_wrong(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    auto corner = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const auto changed = corner + (a[i] == b[j] ? 0 : 1);
      corner = row[j + 1];
      row[j + 1] = std::min({changed, corner + 1, row[j] + 1});
    }
  }
  return row.back();
}

}  // namespace

UnknownCommand unknown_command(std::string_view word, const std::vector<std::string>& known) {
  for (const auto& planned : kPlanned)
    if (planned.word == word)
      return {.text = fmt::format("{}: not available: {} {} not part of this build", planned.word, planned.what,
                                  planned.what.ends_with('s') ? "are" : "is"),
              .exit = kRefused};
  auto text = fmt::format("there is no command \"{}\"", escape_text(std::string(word.substr(0, kShownMax)), kShownMax));
  std::size_t least = std::numeric_limits<std::size_t>::max();
  std::string_view nearest;
  for (const auto& name : known)
    if (const auto wrong = letters_wrong(word.substr(0, kShownMax), name); wrong < least) least = wrong, nearest = name;
  // Of two letters, two wrong ones are another word.
  if (least <= kLettersWrongMax && least < word.size()) text += fmt::format("; did you mean {}?", nearest);
  return {.text = std::move(text), .exit = kUsage};
}

}  // namespace nmp::cli
