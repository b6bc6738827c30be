#include <algorithm>

#include "libp2p/gossipsub/router.hpp"

namespace nmp::libp2p::gossipsub {

void Router::on_rpc(const PeerId& from, const Rpc& rpc, Instant now) {
  const auto it = peers_.find(from);
  if (it == peers_.end()) return;
  auto& peer = it->second;
  scores_.advance(now);
  if (scores_.of(from) < options_.thresholds.graylist) return;
  for (const auto& subscription : rpc.subscriptions) on_subscription(from, peer, subscription);
  for (const auto& message : rpc.publish) on_message(from, message, now);
  if (peer.options.version == Version::floodsub) return;
  if (!rpc.ihave.empty()) on_ihave(from, peer, rpc.ihave, now);
  for (const auto& ids : rpc.iwant) on_iwant(from, ids);
  for (const auto& topic : rpc.graft) on_graft(from, topic, now);
  for (const auto& one : rpc.prune) on_prune(from, one, now);
  for (const auto& ids : rpc.idontwant) on_dont_want(peer, ids);
}

void Router::on_subscription(const PeerId& from, Peer& peer, const Subscription& subscription) {
  const auto& topic = subscription.topic;
  if (subscription.subscribe) {
    if (peer.topics.size() < kTopicsPerPeerMax) peer.topics.insert(topic);
    return;
  }
  if (peer.topics.erase(topic) == 0) return;
  if (const auto it = meshes_.find(topic); it != meshes_.end() && it->second.erase(from) > 0)
    scores_.left_mesh(from, topic);
  if (const auto it = fanouts_.find(topic); it != fanouts_.end()) it->second.peers.erase(from);
}

void Router::on_message(const PeerId& from, const Message& message, Instant now) {
  const auto joined = meshes_.find(message.topic);
  if (joined == meshes_.end()) return;
  const auto id = message.id();
  if (const auto pending = pending_.find(id); pending != pending_.end()) {
    // The id is its author's choice: only what is the same message counts as a copy.
    if (pending->second.message == message) pending->second.copies.try_emplace(from, now);
    return;
  }
  if (const auto since = seen_.since(id)) {
    scores_.copy(from, message.topic, now - *since);
    return;
  }
  if (pending_.size() >= kValidationsMax) return;
  // Signatures come before anything is remembered: a forged message does not keep out the one it names.
  auto author = verify(message);
  if (!author) {
    scores_.invalid(from, message.topic);
    return;
  }
  if (*author == self_) return;  // ours, from before a restart
  seen_.add(id, now);
  promises_.erase(id);
  const auto size = message.data ? message.data->size() : 0;
  if (size >= p_.dont_want_bytes) {
    for (const auto& peer : joined->second)
      if (peer != from && peers_.at(peer).options.version >= Version::v1_2) send(peer, Rpc{.idontwant = {{id}}});
  }
  pending_.emplace(id, Pending{message, *author, from, now, {}});
  received_.push_back({id, *author, from, message.topic, message.data.value_or(Bytes())});
}

void Router::on_ihave(const PeerId& from, Peer& peer, const std::vector<Ihave>& lists, Instant now) {
  if (scores_.of(from) < options_.thresholds.gossip || ++peer.ihaves > kIhavesPerHeartbeatMax) return;
  std::set<MessageId> wanted;
  for (const auto& list : lists) {
    if (!meshes_.contains(list.topic)) continue;
    for (const auto& id : list.ids)
      if (!seen_.contains(id) && !pending_.contains(id)) wanted.insert(id);
  }
  const auto left = kIdsAskedPerHeartbeatMax - std::min(peer.asked, kIdsAskedPerHeartbeatMax);
  std::vector<MessageId> ids(wanted.begin(), wanted.end());
  for (std::size_t i = ids.size(); i > 1; --i) std::swap(ids[i - 1], ids[random_.below(i)]);
  if (ids.size() > left) ids.resize(left);
  if (ids.empty()) return;
  peer.asked += ids.size();
  // One of them, at random, has to come: v1.1, "Spam Protection Measures".
  if (promises_.size() < kPromisesMax) promises_[ids.front()].try_emplace(from, now + p_.iwant_follow_up);
  send(from, Rpc{.iwant = {std::move(ids)}});
}

void Router::on_iwant(const PeerId& from, const std::vector<MessageId>& ids) {
  if (scores_.of(from) < options_.thresholds.gossip) return;
  for (const auto& id : ids)
    if (const auto* message = cache_.get_for(id, from); message != nullptr) send(from, Rpc{.publish = {*message}});
}

void Router::on_graft(const PeerId& from, const std::string& topic, Instant now) {
  const auto joined = meshes_.find(topic);
  if (joined == meshes_.end() || joined->second.contains(from)) return;
  if (const auto* waits = backoff(from, topic, now); waits != nullptr) {
    scores_.misbehaved(from, now - waits->since < p_.graft_flood ? 2 : 1);
    return refuse_graft(from, topic, now);
  }
  if (scores_.of(from) < 0) return refuse_graft(from, topic, now);
  if (joined->second.size() >= p_.d_high && !peers_.at(from).options.outbound) return refuse_graft(from, topic, now);
  auto& peer = peers_.at(from);
  if (peer.topics.size() < kTopicsPerPeerMax) peer.topics.insert(topic);
  joined->second.insert(from);
  scores_.joined_mesh(from, topic, now);
}

void Router::on_prune(const PeerId& from, const Prune& word, Instant now) {
  const auto joined = meshes_.find(word.topic);
  if (joined == meshes_.end()) return;
  if (joined->second.erase(from) > 0) scores_.left_mesh(from, word.topic);
  Duration how_long = p_.prune_backoff;
  if (word.backoff_seconds) how_long = std::chrono::seconds(std::min(*word.backoff_seconds, kBackoffSecondsMax));
  add_backoff(from, word.topic, how_long, now);
}

void Router::on_dont_want(Peer& peer, const std::vector<MessageId>& ids) {
  if (++peer.dont_want_lists > kDontWantListsMax) return;
  for (std::size_t i = 0; i < std::min(ids.size(), kDontWantIdsPerListMax); ++i) {
    if (peer.dont_want.size() >= kDontWantIdsPerPeerMax) return;
    peer.dont_want[ids[i]] = p_.dont_want_heartbeats;
  }
}

}  // namespace nmp::libp2p::gossipsub
