#pragma once

#include <algorithm>

#include "libp2p/yamux/limits.hpp"

namespace nmp::libp2p::yamux {

/// Remembers when the bucket will be full again, which says how much is in it now.
class TokenBucket {
 public:
  explicit TokenBucket(Rate rate)
      : token_(Duration(std::chrono::seconds(1)) / rate.per_second), whole_(token_ * rate.burst) {}

  [[nodiscard]] bool take(Instant now) {
    const auto full_at = std::max(full_at_, now) + token_;
    if (full_at - now > whole_) return false;
    full_at_ = full_at;
    return true;
  }

 private:
  Duration token_;
  Duration whole_;
  Instant full_at_{};
};

}  // namespace nmp::libp2p::yamux
