#include "base/random.hpp"

#include "base/result.hpp"

namespace nmp {

std::uint64_t Random::u64() {
  std::uint64_t value = 0;
  for (auto byte : bytes<8>()) value = value << 8 | std::to_integer<std::uint64_t>(byte);
  return value;
}

std::uint64_t Random::below(std::uint64_t bound) {
  NMP_ASSERT(bound > 0);
  // Values under `bias` would make the low remainders likelier: draw again.
  const std::uint64_t bias = (0 - bound) % bound;
  for (;;) {
    auto value = u64();
    if (value >= bias) return value % bound;
  }
}

void SeededRandom::fill(std::span<std::byte> out) {
  for (std::size_t i = 0; i < out.size(); i += 8) {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    z ^= z >> 31;
    for (std::size_t j = i; j < std::min(i + 8, out.size()); ++j, z >>= 8) out[j] = static_cast<std::byte>(z);
  }
}

}  // namespace nmp
