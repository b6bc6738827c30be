#include "libp2p/gossipsub/router.hpp"

#include <algorithm>

namespace nmp::libp2p::gossipsub {

namespace {

/// The first heartbeat comes sooner, as in go.
constexpr Duration kFirstHeartbeat = std::chrono::milliseconds(100);

}  // namespace

Router::Router(const KeyPair& key, Random& random, Options options, Instant now)
    : key_(key),
      self_(PeerId::of(key.public_key())),
      random_(random),
      options_(std::move(options)),
      p_(options_.parameters),
      scores_(options_.scores),
      seen_(p_.seen_ttl),
      cache_(p_.history_length, p_.history_gossip),
      seqno_(options_.first_seqno),
      heartbeat_(now + kFirstHeartbeat) {}

Router::~Router() = default;

std::set<PeerId> Router::mesh(const std::string& topic) const {
  const auto it = meshes_.find(topic);
  return it == meshes_.end() ? Mesh() : it->second;
}

void Router::shuffle(std::vector<PeerId>& peers) {
  for (std::size_t i = peers.size(); i > 1; --i) std::swap(peers[i - 1], peers[random_.below(i)]);
}

// --- peers

Result<void> Router::add_peer(const PeerId& peer, const PeerOptions& options, Instant now) {
  if (peers_.size() >= kPeersMax) return fail(Errc::exhausted, "gossipsub: peers");
  Peer state;
  state.options = options;
  if (!peers_.emplace(peer, std::move(state)).second) return fail(Errc::already_exists, "gossipsub: peer");
  scores_.add_peer(peer, options.block, now);
  Rpc hello;
  for (const auto& [topic, mesh] : meshes_) hello.subscriptions.push_back({true, topic});
  if (!hello.empty()) send(peer, std::move(hello));
  return {};
}

void Router::remove_peer(const PeerId& peer, Instant now) {
  if (peers_.erase(peer) == 0) return;
  scores_.remove_peer(peer, now);
  for (auto& [topic, mesh] : meshes_) mesh.erase(peer);
  for (auto& [topic, fanout] : fanouts_) fanout.peers.erase(peer);
  std::erase_if(output_, [&](const Outgoing& out) { return out.to == peer; });
}

// --- topics

Result<void> Router::subscribe(const std::string& topic, Instant now) {
  if (topic.size() > kTopicBytesMax) return fail(Errc::too_large, "gossipsub: topic");
  if (meshes_.contains(topic)) return {};
  if (meshes_.size() >= kOwnTopicsMax) return fail(Errc::exhausted, "gossipsub: topics");
  auto& mesh = meshes_[topic];
  for (const auto& [peer, state] : peers_) send(peer, Rpc{.subscriptions = {{true, topic}}});
  std::vector<PeerId> wanted;
  if (const auto it = fanouts_.find(topic); it != fanouts_.end()) {
    wanted.assign(it->second.peers.begin(), it->second.peers.end());
    fanouts_.erase(it);
  }
  const auto more =
      candidates(topic, [&](const PeerId& id, const Peer&) { return std::ranges::count(wanted, id) == 0; });
  wanted.insert(wanted.end(), more.begin(), more.end());
  for (const auto& peer : wanted) {
    if (mesh.size() >= p_.d) break;
    if (scores_.of(peer) >= 0 && backoff(peer, topic, now) == nullptr) graft(topic, mesh, peer, now);
  }
  return {};
}

void Router::unsubscribe(const std::string& topic, Instant now) {
  const auto it = meshes_.find(topic);
  if (it == meshes_.end()) return;
  for (const auto& peer : Mesh(it->second)) prune(topic, it->second, peer, p_.unsubscribe_backoff, now);
  meshes_.erase(it);
  for (const auto& [peer, state] : peers_) send(peer, Rpc{.subscriptions = {{false, topic}}});
}

// --- messages

Result<MessageId> Router::publish(const std::string& topic, Bytes data, Instant now) {
  if (topic.size() > kTopicBytesMax || data.size() > kDataBytesMax) return fail(Errc::too_large, "gossipsub: message");
  auto message = seal(key_, topic, std::move(data), seqno_++);
  auto id = message.id();
  seen_.add(id, now);
  cache_.put(message);
  std::set<PeerId> to;
  const auto good = [&](const PeerId& peer) { return scores_.of(peer) >= options_.thresholds.publish; };
  const auto joined = meshes_.find(topic);
  if (p_.flood_publish) {
    for (const auto& [peer, state] : peers_)
      if (state.topics.contains(topic) && good(peer)) to.insert(peer);
  } else if (joined != meshes_.end()) {
    to = joined->second;
  } else if (fanouts_.contains(topic) || fanouts_.size() < kFanoutTopicsMax) {
    auto& fanout = fanouts_[topic];
    fanout.used = now;
    for (const auto& peer : candidates(topic, [&](const PeerId& one, const Peer&) { return good(one); }))
      if (fanout.peers.size() < p_.d) fanout.peers.insert(peer);
    to = fanout.peers;
  }
  for (const auto& [peer, state] : peers_)
    if (state.options.version == Version::floodsub && state.topics.contains(topic) && good(peer)) to.insert(peer);
  for (const auto& peer : to) send(peer, Rpc{.publish = {message}});
  return id;
}

void Router::decide(const MessageId& id, Verdict verdict, Instant now) {
  const auto it = pending_.find(id);
  if (it == pending_.end()) return;
  const auto pending = std::move(it->second);
  pending_.erase(it);
  const auto& topic = pending.message.topic;
  if (verdict == Verdict::ignore) return;
  scores_.advance(now);
  if (verdict == Verdict::reject) {
    scores_.invalid(pending.from, topic);
    for (const auto& [peer, at] : pending.copies) scores_.invalid(peer, topic);
    return;
  }
  scores_.first_delivery(pending.from, topic);
  std::set<PeerId> without{pending.from, pending.author};
  for (const auto& [peer, at] : pending.copies) {
    scores_.copy(peer, topic, at - pending.since);
    without.insert(peer);
  }
  cache_.put(pending.message);
  forward(pending.message, without);
}

void Router::forward(const Message& message, const std::set<PeerId>& without) {
  const auto id = message.id();
  std::set<PeerId> to = mesh(message.topic);
  for (const auto& [peer, state] : peers_)
    if (state.options.version == Version::floodsub && state.topics.contains(message.topic) &&
        scores_.of(peer) >= options_.thresholds.publish)
      to.insert(peer);
  for (const auto& peer : to) {
    if (without.contains(peer) || peers_.at(peer).dont_want.contains(id)) continue;
    send(peer, Rpc{.publish = {message}});
  }
}

void Router::send(const PeerId& to, Rpc rpc) { output_.push_back({to, std::move(rpc)}); }

// --- meshes

void Router::graft(const std::string& topic, Mesh& mesh, const PeerId& peer, Instant now) {
  mesh.insert(peer);
  scores_.joined_mesh(peer, topic, now);
  send(peer, Rpc{.graft = {topic}});
}

void Router::prune(const std::string& topic, Mesh& mesh, const PeerId& peer, Duration how_long, Instant now) {
  if (mesh.erase(peer) > 0) scores_.left_mesh(peer, topic);
  add_backoff(peer, topic, how_long, now);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(how_long).count();
  Prune word{.topic = topic, .backoff_seconds = static_cast<std::uint64_t>(seconds)};
  if (peers_.at(peer).options.version < Version::v1_1) word.backoff_seconds.reset();
  send(peer, Rpc{.prune = {std::move(word)}});
}

void Router::refuse_graft(const PeerId& peer, const std::string& topic, Instant now) {
  prune(topic, meshes_.at(topic), peer, p_.prune_backoff, now);
}

void Router::add_backoff(const PeerId& peer, const std::string& topic, Duration how_long, Instant now) {
  const auto key = std::pair(peer, topic);
  const auto it = backoffs_.find(key);
  if (it == backoffs_.end() && backoffs_.size() >= kBackoffsMax) return;
  auto& known = backoffs_[key];
  known.since = now;
  known.until = std::max(known.until, now + how_long);
}

const Router::Backoff* Router::backoff(const PeerId& peer, const std::string& topic, Instant now) const {
  const auto it = backoffs_.find({peer, topic});
  return it == backoffs_.end() || it->second.until <= now ? nullptr : &it->second;
}

}  // namespace nmp::libp2p::gossipsub
