#include <algorithm>

#include "libp2p/gossipsub/router.hpp"

namespace nmp::libp2p::gossipsub {

void Router::on_deadline(Instant now) {
  if (now < heartbeat_) return;
  heartbeat_ = now + p_.heartbeat;
  ++ticks_;
  scores_.advance(now);
  seen_.expire(now);
  std::erase_if(backoffs_, [&](const auto& entry) { return entry.second.until <= now; });
  for (auto& [id, peer] : peers_) {
    peer.ihaves = peer.asked = peer.dont_want_lists = 0;
    for (auto it = peer.dont_want.begin(); it != peer.dont_want.end();)
      it = --it->second == 0 ? peer.dont_want.erase(it) : std::next(it);
  }
  // Whom the owner has forgotten to decide about.
  std::erase_if(pending_, [&](const auto& entry) { return now - entry.second.since > p_.seen_ttl; });
  break_promises(now);
  Gossip out;
  for (auto& [topic, mesh] : meshes_) {
    maintain(topic, mesh, now);
    gossip(topic, mesh, out);
  }
  maintain_fanout(now, out);
  for (auto& [peer, lists] : out) send(peer, Rpc{.ihave = std::move(lists)});
  cache_.shift();
}

void Router::break_promises(Instant now) {
  for (auto it = promises_.begin(); it != promises_.end();) {
    std::erase_if(it->second, [&](const auto& promise) {
      if (promise.second > now) return false;
      scores_.misbehaved(promise.first, 1);
      return true;
    });
    it = it->second.empty() ? promises_.erase(it) : std::next(it);
  }
}

void Router::maintain(const std::string& topic, Mesh& mesh, Instant now) {
  for (const auto& peer : Mesh(mesh))
    if (scores_.of(peer) < 0) prune(topic, mesh, peer, p_.prune_backoff, now);
  const auto fits = [&](const PeerId& id, const Peer&) {
    return !mesh.contains(id) && scores_.of(id) >= 0 && backoff(id, topic, now) == nullptr;
  };
  if (mesh.size() < p_.d_low) {
    for (const auto& peer : candidates(topic, fits)) {
      if (mesh.size() >= p_.d) break;
      graft(topic, mesh, peer, now);
    }
  }
  if (mesh.size() > p_.d_high) shrink(topic, mesh, now);
  // Somebody whom we chose: strangers alone could close us in.
  const auto outbound = static_cast<std::size_t>(
      std::ranges::count_if(mesh, [&](const PeerId& id) { return peers_.at(id).options.outbound; }));
  if (mesh.size() >= p_.d_low && outbound < p_.d_out) {
    auto missing = p_.d_out - outbound;
    for (const auto& peer : candidates(
             topic, [&](const PeerId& id, const Peer& state) { return state.options.outbound && fits(id, state); })) {
      if (missing-- == 0) break;
      graft(topic, mesh, peer, now);
    }
  }
  if (p_.opportunistic_ticks > 0 && ticks_ % p_.opportunistic_ticks == 0) graft_opportunistically(topic, mesh, now);
}

void Router::shrink(const std::string& topic, Mesh& mesh, Instant now) {
  std::vector<PeerId> order(mesh.begin(), mesh.end());
  shuffle(order);
  std::ranges::stable_sort(order, std::greater{}, [&](const PeerId& id) { return scores_.of(id); });
  std::vector<PeerId> rest(order.begin() + static_cast<std::ptrdiff_t>(std::min(p_.d_score, order.size())),
                           order.end());
  shuffle(rest);
  // Those that we dialled first, as many as must stay.
  const auto best_outbound = static_cast<std::size_t>(
      std::count_if(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(std::min(p_.d_score, order.size())),
                    [&](const PeerId& id) { return peers_.at(id).options.outbound; }));
  auto wanted = p_.d_out - std::min(p_.d_out, best_outbound);
  std::ranges::stable_partition(rest, [&](const PeerId& id) {
    if (wanted == 0 || !peers_.at(id).options.outbound) return false;
    --wanted;
    return true;
  });
  const auto keep = p_.d - std::min(p_.d, p_.d_score);
  for (std::size_t i = keep; i < rest.size(); ++i) prune(topic, mesh, rest[i], p_.prune_backoff, now);
}

void Router::graft_opportunistically(const std::string& topic, Mesh& mesh, Instant now) {
  if (mesh.size() < 2) return;
  std::vector<double> scores;
  for (const auto& peer : mesh) scores.push_back(scores_.of(peer));
  std::ranges::sort(scores);
  const auto median = scores[scores.size() / 2];
  if (median >= options_.thresholds.opportunistic_graft) return;
  auto better = candidates(topic, [&](const PeerId& id, const Peer&) {
    return !mesh.contains(id) && scores_.of(id) > median && backoff(id, topic, now) == nullptr;
  });
  if (better.size() > p_.opportunistic_peers) better.resize(p_.opportunistic_peers, self_);
  for (const auto& peer : better) graft(topic, mesh, peer, now);
}

void Router::maintain_fanout(Instant now, Gossip& out) {
  std::erase_if(fanouts_, [&](const auto& entry) { return now - entry.second.used > p_.fanout_ttl; });
  const auto good = [&](const PeerId& peer) { return scores_.of(peer) >= options_.thresholds.publish; };
  for (auto& [topic, fanout] : fanouts_) {
    std::erase_if(fanout.peers, [&](const PeerId& peer) { return !good(peer); });
    for (const auto& peer : candidates(topic, [&](const PeerId& id, const Peer&) { return good(id); }))
      if (fanout.peers.size() < p_.d) fanout.peers.insert(peer);
    gossip(topic, fanout.peers, out);
  }
}

void Router::gossip(const std::string& topic, const Mesh& members, Gossip& out) {
  auto ids = cache_.gossip_of(topic);
  if (ids.empty()) return;
  auto to = candidates(topic, [&](const PeerId& id, const Peer&) {
    return !members.contains(id) && scores_.of(id) >= options_.thresholds.gossip;
  });
  const auto share = static_cast<std::size_t>(p_.gossip_factor * static_cast<double>(to.size()));
  const auto count = std::min(to.size(), std::max(p_.d_lazy, share));
  for (std::size_t i = 0; i < count; ++i) {
    auto& lists = out[to[i]];
    auto room = kIdsAskedPerHeartbeatMax;
    for (const auto& list : lists) room -= list.ids.size();
    auto some = ids;
    for (std::size_t k = some.size(); k > 1; --k) std::swap(some[k - 1], some[random_.below(k)]);
    if (some.size() > room) some.resize(room);
    if (!some.empty()) lists.push_back({topic, std::move(some)});
  }
}

}  // namespace nmp::libp2p::gossipsub
