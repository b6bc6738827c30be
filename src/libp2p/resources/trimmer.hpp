#pragma once

#include <span>
#include <vector>

#include "base/address_block.hpp"
#include "libp2p/resources/limits.hpp"

namespace nmp::libp2p::resources {

/// A connection as far as its worth is concerned.
struct TrimCandidate {
  AddressBlock block;    ///< of the remote address
  Instant last_used{};   ///< when it was established, or last opened a stream
  bool in_use = false;   ///< something is open on it
  bool is_kept = false;  ///< its owner asked for it
};

/// Positions of the connections to close so that limits.low are left, or as many as may be closed. None unless there
/// are more than limits.high. What is in use, kept, or younger than limits.grace stays. Of the others the most crowded
/// address block gives first, and within it what has been idle for longest: who brings many connections loses them
/// before those who bring one.
[[nodiscard]] std::vector<std::size_t> choose_idle(std::span<const TrimCandidate> all,
                                                   const TrimLimits& limits,
                                                   Instant now);

}  // namespace nmp::libp2p::resources
