#pragma once

#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "libp2p/kad/key.hpp"
#include "libp2p/kad/limits.hpp"

namespace nmp::libp2p::kad {

/// How many peers serve the network, told from how close the closest ones to a place are. With N peers spread evenly
/// over the keyspace, the i-th closest lies at i / (N + 1) of it; a line through the origin is fitted to the k
/// distances of each lookup; the estimate is the median of the newest kSizeSamples. One lookup alone is off by a fifth
/// (1 / sqrt(k)). Rests on XOR, or a distance as even.
///
/// The same figure of one lookup, against the network's, tells of sybils: whoever wants to own a key places identities
/// closer to it than chance puts honest ones, and the place looks far more crowded than the rest.
class NetworkSize {
 public:
  /// `distances` of the closest peers to one place, nearest first; fewer than kSizePeersMin say nothing.
  void add(std::span<const Distance> distances);
  /// Nothing before kSizeSamplesMin lookups.
  [[nodiscard]] std::optional<double> estimate() const;
  /// How much denser this place is than the network: about 1 if all is well. Nothing while there is no estimate.
  [[nodiscard]] std::optional<double> crowding(std::span<const Distance> distances) const;
  /// By one lookup alone.
  [[nodiscard]] static std::optional<double> of(std::span<const Distance> distances);

 private:
  std::deque<double> samples_;
};

}  // namespace nmp::libp2p::kad
