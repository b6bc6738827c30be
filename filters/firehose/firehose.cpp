/// Pushes events as fast as they are taken; for measuring what a slow reader costs.
///
///   --count N     how many events (default 1000)
///   --bytes N     bytes of each, 32 to 65536 (default 32768)
///
/// Each event is its number in 16 digits, a space, and letters that follow from the number: letter k of event n is
/// 'a' + (n + k) % 26. A reader can tell a lost, repeated, reordered or damaged event without anything else.
#include <cstdlib>

#include "nmp.hpp"

namespace {

constexpr std::size_t kNumberDigits = 16;
constexpr std::size_t kLetters = 26;

int usage(const char* what) {
  std::fprintf(stderr, "firehose: %s\nusage: [--count N] [--bytes N]\n", what);
  return 2;
}

bool parse(const char* text, std::uint64_t& value) {
  char* end = nullptr;
  value = std::strtoull(text, &end, 10);
  return *text >= '0' && *text <= '9' && *end == '\0';
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t count = 1000;
  std::uint64_t bytes = 32'768;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (i + 1 == argc) return usage("an option without its value");
    if (name == "--count") {
      if (!parse(argv[i + 1], count)) return usage("--count takes a number");
    } else if (name == "--bytes") {
      if (!parse(argv[i + 1], bytes) || bytes < 32 || bytes > NMP_EVENT_BYTES_MAX)
        return usage("--bytes takes 32 to 65536");
    } else {
      return usage("unknown option");
    }
  }

  // One alphabet longer than an event: an event is a window of it, with its number over the first bytes.
  const std::size_t letters = static_cast<std::size_t>(bytes) - kNumberDigits - 1;
  std::string alphabet(letters + kLetters, '\0');
  for (std::size_t i = 0; i < alphabet.size(); ++i) alphabet[i] = static_cast<char>('a' + i % kLetters);
  std::string event(static_cast<std::size_t>(bytes), ' ');
  for (std::uint64_t n = 0; n < count; ++n) {
    std::uint64_t rest = n;
    for (std::size_t digit = kNumberDigits; digit-- > 0; rest /= 10) event[digit] = static_cast<char>('0' + rest % 10);
    event.replace(kNumberDigits + 1, letters, alphabet, static_cast<std::size_t>(n % kLetters), letters);
    nmp::push_event(event);
  }
  nmp::answer("{\"events\":" + std::to_string(count) + ",\"bytes\":" + std::to_string(count * bytes) + "}\n");
  return 0;
}
