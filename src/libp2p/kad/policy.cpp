#include "libp2p/kad/policy.hpp"

#include <algorithm>
#include <bit>

namespace nmp::libp2p::kad {

RoutingPolicy::RoutingPolicy(std::string protocol, Validators validators)
    : protocol_(std::move(protocol)), validators_(std::move(validators)) {}

Distance RoutingPolicy::distance(const Key& a, const Key& b) const { return kad::distance(a, b); }

bool RoutingPolicy::admit(const Contact& /*newcomer*/, std::size_t /*prefix*/) { return true; }

std::optional<std::size_t> RoutingPolicy::evict(std::span<const Contact> bucket,
                                                const Contact& /*newcomer*/,
                                                std::size_t /*prefix*/) {
  auto worst = std::ranges::max_element(bucket, [](const Contact& a, const Contact& b) {
    if (a.stale != b.stale) return b.stale;
    return a.failures != b.failures ? a.failures < b.failures : a.useful_at > b.useful_at;
  });
  if (worst == bucket.end() || !worst->stale) return std::nullopt;
  return static_cast<std::size_t>(worst - bucket.begin());
}

std::size_t RoutingPolicy::next_hop(std::span<const Hop> /*candidates*/) { return 0; }

Result<void> RoutingPolicy::validate(ByteView key, ByteView value, UnixSeconds now) const {
  return validators_.validate(key, value, now);
}

Result<std::size_t> RoutingPolicy::select(ByteView key, std::span<const Bytes> values) const {
  return validators_.select(key, values);
}

std::size_t leading_zeros(const Distance& distance) {
  for (std::size_t i = 0; i < distance.bytes.size(); ++i)
    if (auto byte = std::to_integer<std::uint8_t>(distance.bytes[i]); byte != 0)
      return i * 8 + static_cast<std::size_t>(std::countl_zero(byte));
  return distance.bytes.size() * 8;
}

}  // namespace nmp::libp2p::kad
