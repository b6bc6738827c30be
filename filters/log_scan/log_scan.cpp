/// Counts log lines by level, and extracts those that match, over every file of the run's datasets.
///
///   --level ERROR      only lines of this level or a graver one
///   --contains TEXT    only lines with TEXT in them; with * or ? a pattern for the whole line
///   --extract N        the first N matching lines in the evidence, and each pushed as an event (default 0)
///
/// Memory does not depend on the size of the logs.
#include <array>
#include <cctype>
#include <cstdlib>

#include "nmp.hpp"
#include "support/files.hpp"
#include "support/json.hpp"

namespace {

constexpr std::array<std::string_view, 6> kLevels = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};
constexpr int kNone = -1;
constexpr std::size_t kExtractMax = 1000;
constexpr std::size_t kShownBytesMax = 500;

bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

int level_of_word(std::string_view word) {
  auto same = [&](std::string_view name) {
    if (word.size() != name.size()) return false;
    for (std::size_t i = 0; i < name.size(); ++i) {
      if (std::toupper(static_cast<unsigned char>(word[i])) != name[i]) return false;
    }
    return true;
  };
  for (std::size_t i = 0; i < kLevels.size(); ++i) {
    if (same(kLevels[i])) return static_cast<int>(i);
  }
  if (same("WARNING")) return 3;
  if (same("ERR")) return 4;
  if (same("CRITICAL") || same("PANIC")) return 5;
  return kNone;
}

/// The first word of the line's first 128 bytes that is a level: it stands behind the time in every usual format.
int level_of(std::string_view line) {
  line = line.substr(0, 128);
  for (std::size_t i = 0; i < line.size();) {
    if (!is_letter(line[i])) {
      ++i;
      continue;
    }
    std::size_t end = i;
    while (end < line.size() && is_letter(line[end])) ++end;
    if (const int level = level_of_word(line.substr(i, end - i)); level != kNone) return level;
    i = end;
  }
  return kNone;
}

/// `*` any bytes, `?` one byte. Linear but for the last star: at most pattern times line.
bool glob(std::string_view pattern, std::string_view line) {
  std::size_t p = 0;
  std::size_t l = 0;
  std::size_t star = std::string_view::npos;
  std::size_t retry = 0;
  while (l < line.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = l;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == line[l])) {
      ++p;
      ++l;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      l = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

struct Options {
  int level = kNone;
  std::string contains;
  std::size_t extract = 0;
};

int usage(const char* what) {
  std::fprintf(stderr,
               "log_scan: %s\nusage: [--level TRACE|DEBUG|INFO|WARN|ERROR|FATAL] [--contains TEXT] [--extract N]\n",
               what);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (i + 1 == argc) return usage("an option without its value");
    const char* value = argv[i + 1];
    if (name == "--level") {
      options.level = level_of_word(value);
      if (options.level == kNone) return usage("unknown level");
    } else if (name == "--contains") {
      options.contains = value;
    } else if (name == "--extract") {
      char* end = nullptr;
      options.extract = std::strtoul(value, &end, 10);
      if (*value < '0' || *value > '9' || *end != '\0' || options.extract > kExtractMax)
        return usage("--extract takes 0 to 1000");
    } else {
      return usage("unknown option");
    }
  }
  const bool pattern = options.contains.find_first_of("*?") != std::string::npos;

  std::array<std::uint64_t, kLevels.size()> levels{};
  std::uint64_t files = 0;
  std::uint64_t unread = 0;
  std::uint64_t lines = 0;
  std::uint64_t bytes = 0;
  std::uint64_t matched = 0;
  std::string extracted;
  std::size_t taken = 0;
  for (const auto& dataset : files::datasets()) {
    files::walk(dataset, [&](const std::string& path) {
      files::Lines reader(path);
      if (!reader.opened()) {
        ++unread;
        return;
      }
      ++files;
      std::string_view line;
      std::uint64_t number = 0;
      while (reader.next(line)) {
        ++lines;
        ++number;
        const int level = level_of(line);
        if (level != kNone) ++levels[static_cast<std::size_t>(level)];
        if (options.level != kNone && level < options.level) continue;
        if (!options.contains.empty() &&
            !(pattern ? glob(options.contains, line) : line.find(options.contains) != std::string_view::npos))
          continue;
        ++matched;
        if (taken == options.extract) continue;
        const std::string found = "{\"file\":" + json::text(path) + ",\"line\":" + json::number(number) +
                                  ",\"text\":" + json::text(line.substr(0, kShownBytesMax)) + "}";
        nmp::push_event(found);
        extracted += (taken++ == 0 ? "" : ",") + found;
      }
      bytes += reader.bytes();
    });
  }

  std::string counts;
  for (std::size_t i = 0; i < kLevels.size(); ++i)
    counts += (i == 0 ? "" : ",") + json::text(kLevels[i]) + ":" + json::number(levels[i]);
  nmp::answer("{\"files\":" + json::number(files) + ",\"unread\":" + json::number(unread) + ",\"bytes\":" +
              json::number(bytes) + ",\"lines\":" + json::number(lines) + ",\"matched\":" + json::number(matched) +
              ",\"levels\":{" + counts + "},\"extracted\":[" + extracted + "]}\n");
  return 0;
}
