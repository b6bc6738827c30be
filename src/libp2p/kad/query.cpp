#include "libp2p/kad/query.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace nmp::libp2p::kad {

Query::Query(Want want,
             const PeerId& self,
             const std::vector<PeerInfo>& seeds,
             RoutingPolicy& policy,
             LookupOptions options,
             Instant now,
             Observer& observer)
    : want_(std::move(want)),
      policy_(policy),
      observer_(observer),
      lookup_(Key::of(want_.key), self, seeds, policy, options, now),
      providers_of_path_(lookup_.paths()) {
  request_.type = want_.type;
  request_.key = want_.key;
}

void Query::on_answer(const PeerId& peer, const Message& answer, Instant now, UnixSeconds unix_now) {
  if (lookup_.done()) return;
  if (answer.type != want_.type) {
    lookup_.on_failure(peer, now);
    return;
  }
  auto depth = lookup_.depth(peer);
  if (depth == 0) return;  // never asked
  bool enough = false;
  if (want_.type == MessageType::find_node && want_.peer) {
    auto named = std::ranges::find(answer.closer_peers, *want_.peer, &PeerInfo::id);
    if (named != answer.closer_peers.end() && !named->addresses.empty()) {
      found_peer_ = *named;
      hops_ = depth;
      enough = true;
    }
  } else if (want_.type == MessageType::get_value) {
    on_value(peer, answer, unix_now);
    enough = want_.enough != 0 && values_ >= want_.enough;
  } else if (want_.type == MessageType::get_providers) {
    for (const auto& provider : answer.provider_peers) {
      auto& of_path = providers_of_path_[lookup_.path(peer).value_or(0)];
      if (of_path >= kPeersPerLookupMax / lookup_.paths()) break;
      if (provider.addresses.empty()) {
        if (!providers_seen_.contains(provider.id) && providers_unaddressed_.insert(provider.id).second) ++of_path;
        continue;
      }
      if (!providers_seen_.insert(provider.id).second) continue;
      if (providers_unaddressed_.erase(provider.id) == 0) ++of_path;
      if (hops_ == 0) hops_ = depth;
      fresh_providers_.push_back(provider);
      enough = want_.enough != 0 && providers_seen_.size() >= want_.enough;
      if (enough) break;
    }
  }
  lookup_.on_answer(peer, answer.closer_peers, now);
  if (enough) lookup_.stop(now);
}

void Query::on_value(const PeerId& peer, const Message& answer, UnixSeconds unix_now) {
  if (!answer.record) return;
  if (answer.record->key != want_.key || !policy_.validate(want_.key, answer.record->value, unix_now)) {
    observer_.on_bad_value(peer);
    return;
  }
  ++values_;
  if (hops_ == 0) hops_ = lookup_.depth(peer);
  if (select(answer.record->value)) holders_.insert(peer);
}

bool Query::select(Bytes value) {
  if (value_ && *value_ == value) return true;
  if (value_) {
    std::array<Bytes, 2> values{*value_, value};
    auto selected = policy_.select(want_.key, values);
    if (!selected || *selected == 0) return false;
  }
  holders_.clear();
  value_ = std::move(value);
  return true;
}

void Query::offer_value(Bytes value) { select(std::move(value)); }

std::vector<PeerInfo> Query::take_providers() {
  auto taken = std::exchange(fresh_providers_, {});
  if (done()) {
    for (const auto& id : std::exchange(providers_unaddressed_, {})) {
      bool room = want_.enough == 0 || providers_seen_.size() < want_.enough;
      if (room && providers_seen_.insert(id).second) taken.push_back(PeerInfo{id, {}});
    }
  }
  return taken;
}

std::vector<PeerInfo> Query::stale_holders() const {
  auto peers = lookup_.closest();
  if (!value_) return {};
  std::erase_if(peers, [&](const PeerInfo& peer) { return holders_.contains(peer.id); });
  return peers;
}

LookupStats Query::stats(Instant now) const {
  auto stats = lookup_.stats(now);
  if (hops_ != 0) stats.hops = hops_;
  return stats;
}

}  // namespace nmp::libp2p::kad
