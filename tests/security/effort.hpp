#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>

/// How much a test does: less under a sanitizer, more with NMP_LONG in the environment.
namespace nmp::security {

#ifdef NMP_SANITIZED
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

inline bool is_long() { return std::getenv("NMP_LONG") != nullptr; }

/// NMP_SEED, or one that is told, so that a failure can be had again.
inline std::uint64_t seed(std::uint64_t otherwise) {
  const char* given = std::getenv("NMP_SEED");
  const auto out = given == nullptr ? otherwise : std::strtoull(given, nullptr, 10);
  std::cout << "NMP_SEED=" << out << "\n";
  return out;
}

}  // namespace nmp::security
