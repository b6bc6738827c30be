#pragma once

#include <unordered_map>

#include "base/time.hpp"
#include "libp2p/kad/limits.hpp"
#include "libp2p/peer/peer_id.hpp"

namespace nmp::libp2p::kad {

/// A token bucket per peer: each may do `burst` things at once and `per_second` in the long run. Remembers at most
/// kRatePeersMax peers; when that is full, peers whose bucket is full again are forgotten (nothing is lost by it), and
/// while none is, a newcomer is refused.
class PeerRates {
 public:
  struct Limit {
    double per_second;
    double burst;  ///< at least 1
  };
  explicit PeerRates(Limit limit) : limit_(limit) {}

  /// Whether `peer` may do one more thing now; counts it if so.
  [[nodiscard]] bool take(const PeerId& peer, Instant now);
  /// Forgets peers that have been quiet. Call about once a minute.
  void expire(Instant now);
  [[nodiscard]] std::size_t size() const { return buckets_.size(); }

 private:
  struct Bucket {
    double tokens;
    Instant at;
  };
  [[nodiscard]] double tokens_at(const Bucket& bucket, Instant now) const;
  Limit limit_;
  std::unordered_map<PeerId, Bucket> buckets_;
};

}  // namespace nmp::libp2p::kad
