#include "libp2p/identify/observed_addresses.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "libp2p/identify/profile.hpp"

namespace nmp::libp2p::identify {
namespace {

/// One IPv4 address or one IPv6 /56.
Bytes group_of(const IpAddress& ip) { return to_bytes(ip.view().first(ip.v6 ? 7 : 4)); }

Multiaddr bare(const Multiaddr& address) { return address.without_peer().value_or(address); }

/// Address family, transport and what follows, without host and port: only like sightings can stand for a local
/// address.
bool same_shape(const Multiaddr& a, const Multiaddr& b) {
  return std::ranges::equal(a.components(), b.components(),
                            [](const auto& x, const auto& y) { return x.protocol == y.protocol; });
}

}  // namespace

void ObservedAddresses::observe(const Multiaddr& local,
                                const Multiaddr& remote,
                                const Multiaddr& observed,
                                Instant now) {
  auto observer = remote.ip();
  auto seen = observed.ip();
  if (!observer || observer->is_loopback() || !seen || seen->is_unspecified()) return;
  if (reach_of(observed) < reach_of(remote)) return;
  auto seen_bare = bare(observed);
  auto local_bare = bare(local);
  if (!same_shape(local_bare, seen_bare)) return;

  Observation fresh{local_bare.bytes(), seen_bare.bytes(), group_of(*observer), now};
  std::erase_if(observations_, [&](const Observation& old) {
    return now - old.at >= kObservationTtl || (old.observer == fresh.observer && old.local == fresh.local);
  });
  if (observations_.size() >= kObservationsMax) observations_.erase(observations_.begin());
  observations_.push_back(std::move(fresh));
}

std::vector<Multiaddr> ObservedAddresses::candidates(Instant now) {
  std::erase_if(observations_, [&](const Observation& old) { return now - old.at >= kObservationTtl; });
  std::map<Bytes, std::map<Bytes, std::size_t>> votes;  // local address -> where it is seen -> observers
  for (const auto& observation : observations_) ++votes[observation.local][observation.observed];

  std::set<Multiaddr> chosen;
  for (const auto& [local, counts] : votes) {
    std::vector<std::pair<std::size_t, Bytes>> ranked;
    for (const auto& [observed, count] : counts)
      if (count >= kObserversNeeded) ranked.emplace_back(count, observed);
    std::ranges::sort(ranked, [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    if (ranked.size() > kExternalAddressesMax) ranked.resize(kExternalAddressesMax);
    for (const auto& [count, observed] : ranked)
      if (auto address = Multiaddr::decode(observed)) chosen.insert(*std::move(address));
  }
  return {chosen.begin(), chosen.end()};
}

bool PushLimit::take(Instant now) {
  if (refilled_ == Instant{}) refilled_ = now;
  auto earned = static_cast<std::size_t>(std::max<std::int64_t>(0, (now - refilled_) / kPushInterval));
  if (earned > 0) {
    tokens_ = std::min(kPushBurst, tokens_ + std::min(earned, kPushBurst));
    refilled_ = now;
  }
  if (tokens_ == 0) return false;
  --tokens_;
  return true;
}

}  // namespace nmp::libp2p::identify
