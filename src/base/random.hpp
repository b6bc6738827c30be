#pragma once

#include "base/bytes.hpp"

namespace nmp {

/// Where chance comes from. `crypto::system_random()` is the operating system's; tests and the simulator use
/// SeededRandom.
class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<std::byte> out) = 0;

  template <std::size_t N>
  [[nodiscard]] ByteArray<N> bytes() {
    ByteArray<N> out{};
    fill(out);
    return out;
  }
  [[nodiscard]] std::uint64_t u64();
  /// Uniform in [0, bound), bound > 0.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound);
};

/// A replayable stream (SplitMix64). Never for keys: whoever knows the seed knows everything.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  void fill(std::span<std::byte> out) override;

 private:
  std::uint64_t state_;
};

}  // namespace nmp
