/// Sleeps, wakes, and pushes an event for every new line that matches, in any file of the datasets.
///
///   --contains TEXT     what a line must contain (default: every line)
///   --every MS          how long it sleeps between looks (default 1000); as a watchdog it looks when a file changes, too
///   --rounds N          ends after N looks (default: never)
///   --from start|end    whether lines that are there at its first look count (default end)
///
/// Where the run keeps state (a watchdog), it goes on after a restart where it stood. A plain run sees the files as
/// they were at its start, so there `--from start` with `--rounds` is what makes sense.
#include <cstdlib>
#include <map>

#include <sys/stat.h>

#include "nmp.hpp"
#include "support/files.hpp"
#include "support/json.hpp"

namespace {

constexpr std::size_t kFilesMax = 1000;
constexpr std::size_t kShownBytesMax = 1000;
using Offsets = std::map<std::string, std::uint64_t>;

int usage(const char* what) {
  std::fprintf(stderr, "watchdog: %s\nusage: [--contains TEXT] [--every MS] [--rounds N] [--from start|end]\n", what);
  return 2;
}

bool parse(const char* text, std::uint64_t& value) {
  char* end = nullptr;
  value = std::strtoull(text, &end, 10);
  return *text >= '0' && *text <= '9' && *end == '\0';
}

/// State: lines of OFFSET and path.
bool load(Offsets& offsets) {
  std::string state(64 * 1024, '\0');
  const std::int32_t size = nmp_state_get(state.data(), state.size());
  if (size <= 0 || static_cast<std::size_t>(size) > state.size()) return false;
  state.resize(static_cast<std::size_t>(size));
  for (std::size_t at = 0; at < state.size();) {
    const std::size_t end = std::min(state.find('\n', at), state.size());
    const std::size_t space = state.find(' ', at);
    std::uint64_t offset = 0;
    if (space < end && parse(state.substr(at, space - at).c_str(), offset))
      offsets[state.substr(space + 1, end - space - 1)] = offset;
    at = end + 1;
  }
  return true;
}

void save(const Offsets& offsets) {
  std::string state;
  for (const auto& [path, offset] : offsets) state += std::to_string(offset) + " " + path + "\n";
  (void)nmp_state_put(state.data(), state.size());
}

std::uint64_t size_of(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

/// Until a file changes, where the run can tell; at most so long.
void sleep_ms(std::uint64_t ms) {
  const auto nanoseconds = static_cast<std::int64_t>(ms * 1'000'000);
  if (nmp_wait(nanoseconds, NMP_WAIT_TIMER | NMP_WAIT_FILES) == NMP_E_NOT_AVAILABLE)
    (void)nmp_wait(nanoseconds, NMP_WAIT_TIMER);
}

}  // namespace

int main(int argc, char** argv) {
  std::string contains;
  std::uint64_t every_ms = 1000;
  std::uint64_t rounds = 0;
  bool from_start = false;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (i + 1 == argc) return usage("an option without its value");
    const std::string_view value = argv[i + 1];
    if (name == "--contains") {
      contains = value;
    } else if (name == "--every") {
      if (!parse(argv[i + 1], every_ms) || every_ms == 0 || every_ms > 86'400'000)
        return usage("--every takes 1 to 86400000");
    } else if (name == "--rounds") {
      if (!parse(argv[i + 1], rounds) || rounds == 0) return usage("--rounds takes a number from 1");
    } else if (name == "--from" && (value == "start" || value == "end")) {
      from_start = value == "start";
    } else {
      return usage("unknown option");
    }
  }

  Offsets offsets;
  bool known = load(offsets);
  std::uint64_t matches = 0;
  std::uint64_t looks = 0;
  while (true) {
    std::size_t files = 0;
    for (const auto& dataset : files::datasets()) {
      files::walk(dataset, [&](const std::string& path) {
        if (++files > kFilesMax) return;
        const std::uint64_t size = size_of(path);
        const auto [place, is_new] = offsets.try_emplace(path, known || from_start ? 0 : size);
        std::uint64_t& offset = place->second;
        if (size < offset) offset = 0;  // rotated: another file of that name
        if (size == offset) return;
        files::Lines reader(path);
        if (!reader.opened() || !reader.seek(offset)) return;
        std::string_view line;
        while (reader.next(line) && reader.complete()) {
          if (!contains.empty() && line.find(contains) == std::string_view::npos) continue;
          ++matches;
          nmp::push_event("{\"file\":" + json::text(path) + ",\"text\":" + json::text(line.substr(0, kShownBytesMax)) +
                          "}");
        }
        offset = reader.complete_up_to(offset);
      });
    }
    known = true;
    save(offsets);
    if (++looks == rounds) break;
    sleep_ms(every_ms);
  }
  nmp::answer("{\"looks\":" + json::number(looks) + ",\"files\":" + json::number(std::uint64_t{offsets.size()}) +
              ",\"matches\":" + json::number(matches) + "}\n");
  return 0;
}
