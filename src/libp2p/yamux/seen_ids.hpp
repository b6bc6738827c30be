#pragma once

#include <bitset>

#include "libp2p/yamux/frame_codec.hpp"
#include "libp2p/yamux/limits.hpp"

namespace nmp::libp2p::yamux {

/// Which ids of one parity have been used: the last kIdsRemembered exactly, in any order.
class SeenIds {
 public:
  enum class Answer : std::uint8_t { fresh, used, forgotten };

  /// Marks the id as used.
  Answer take(StreamId id) {
    const auto index = std::to_underlying(id) / 2;
    if (!any_ || index > highest_) {
      const auto shift = any_ ? index - highest_ : 0U;
      used_ = shift < kIdsRemembered ? used_ << shift : std::bitset<kIdsRemembered>();
      any_ = true;
      highest_ = index;
    }
    const auto age = highest_ - index;
    if (age >= kIdsRemembered) return Answer::forgotten;
    if (used_.test(age)) return Answer::used;
    used_.set(age);
    return Answer::fresh;
  }

 private:
  bool any_ = false;
  std::uint32_t highest_ = 0;
  std::bitset<kIdsRemembered> used_;  ///< by distance from the highest
};

}  // namespace nmp::libp2p::yamux
