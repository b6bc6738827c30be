#include "libp2p/kad/rate.hpp"

#include <algorithm>

namespace nmp::libp2p::kad {

double PeerRates::tokens_at(const Bucket& bucket, Instant now) const {
  auto passed = std::chrono::duration<double>(now - bucket.at).count();
  return std::min(limit_.burst, bucket.tokens + passed * limit_.per_second);
}

bool PeerRates::take(const PeerId& peer, Instant now) {
  auto found = buckets_.find(peer);
  if (found == buckets_.end()) {
    if (buckets_.size() >= kRatePeersMax) expire(now);
    if (buckets_.size() >= kRatePeersMax) return false;
    found = buckets_.emplace(peer, Bucket{limit_.burst, now}).first;
  }
  auto& bucket = found->second;
  bucket = Bucket{tokens_at(bucket, now), now};
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

void PeerRates::expire(Instant now) {
  std::erase_if(buckets_, [&](const auto& entry) { return tokens_at(entry.second, now) >= limit_.burst; });
}

}  // namespace nmp::libp2p::kad
