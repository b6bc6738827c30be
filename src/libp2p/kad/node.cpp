#include "libp2p/kad/node.hpp"

#include <algorithm>
#include <utility>

#include "libp2p/kad/snapshot.hpp"

namespace nmp::libp2p::kad {

Node::Node(
    const PeerId& self, NodeOptions options, RoutingPolicy& policy, KnownPeer known, Random& random, Observer& observer)
    : self_(self),
      options_(std::move(options)),
      policy_(policy),
      known_(std::move(known)),
      random_(random),
      observer_(observer),
      table_(self, options_.table, policy, observer),
      server_(
          table_,
          policy,
          [this](const PeerId& peer) { return info_of(peer); },
          ServerOptions{.k = options_.lookup.k},
          observer),
      mode_(options_.mode),
      requests_rate_(options_.requests),
      stores_rate_(options_.stores) {}

std::vector<Request> Node::take_requests() { return std::exchange(requests_, {}); }
std::vector<ProviderFound> Node::take_providers() { return std::exchange(found_, {}); }
std::vector<Finished> Node::take_finished() { return std::exchange(finished_, {}); }

// ---- requests

void Node::send(const PeerInfo& peer, Message message, const Call* call, Now now) {
  RequestId id{++last_id_};
  auto deadline = now.instant + options_.lookup.request_timeout;
  bool answered = message.type != MessageType::add_provider;
  Pending pending{.peer = peer, .type = message.type, .sent = now.instant, .deadline = deadline};
  if (call != nullptr) {
    pending.call = call->id;
    pending.lookup = call->lookup;
  } else if (message.type == MessageType::find_node) {
    pending.check = true;
    ++checks_;
  }
  pending_.emplace(id, std::move(pending));
  timeouts_.emplace(deadline, id);
  requests_.push_back(Request{id, peer, std::move(message), answered, deadline});
}

std::optional<Node::Pending> Node::take_pending(RequestId id) {
  auto found = pending_.find(id);
  if (found == pending_.end()) return std::nullopt;
  auto pending = std::move(found->second);
  pending_.erase(found);
  timeouts_.erase({pending.deadline, id});
  if (pending.check) --checks_;
  return pending;
}

Node::Call* Node::call_of(const Pending& pending) {
  if (!pending.call) return nullptr;
  auto found = calls_.find(*pending.call);
  if (found == calls_.end() || found->second.lookup != pending.lookup) return nullptr;
  bool store = pending.type == MessageType::put_value || pending.type == MessageType::add_provider;
  return found->second.storing == store ? &found->second : nullptr;
}

void Node::on_answer(RequestId id, const Message& answer, Now now) {
  auto pending = take_pending(id);
  if (!pending) return;
  const auto& peer = pending->peer;
  if (answer.type == pending->type) {
    policy_.on_answer(peer, now.instant - pending->sent);
    table_.on_answer(peer.id, now.instant);
    if (!table_.contains(peer.id)) table_.insert(peer, now.instant);
  } else {
    table_.on_failure(peer.id);
  }
  auto* call = call_of(*pending);
  if (call == nullptr) return;
  if (call->storing) {
    --call->sending;
    if (answer.type == pending->type) ++call->delivered;
    settle(*call, now);
    return;
  }
  call->running().on_answer(peer.id, answer, now.instant, now.unix_seconds);
  drive(*call, now);
}

void Node::on_sent(RequestId id, Now now) {
  auto pending = take_pending(id);
  if (!pending) return;
  auto* call = call_of(*pending);
  if (call == nullptr) return;
  --call->sending;
  ++call->delivered;
  settle(*call, now);
}

void Node::on_failure(RequestId id, Now now) {
  auto pending = take_pending(id);
  if (!pending) return;
  table_.on_failure(pending->peer.id);
  policy_.on_failure(pending->peer.id);
  auto* call = call_of(*pending);
  if (call == nullptr) return;
  if (call->storing) {
    --call->sending;
    settle(*call, now);
    return;
  }
  call->running().on_failure(pending->peer.id, now.instant);
  drive(*call, now);
}

Instant Node::deadline() const {
  auto first = tick_;
  if (!timeouts_.empty()) first = std::min(first, timeouts_.begin()->first);
  for (const auto& [id, call] : calls_) first = std::min(first, call.deadline);
  return first;
}

void Node::on_timer(Now now) {
  while (!timeouts_.empty() && timeouts_.begin()->first <= now.instant) on_failure(timeouts_.begin()->second, now);
  std::vector<CallId> over;
  for (const auto& [id, call] : calls_)
    if (call.deadline <= now.instant) over.push_back(id);
  for (auto id : over) stop(id, now);
  if (tick_ <= now.instant) maintain(now);
}

// ---- peers

void Node::on_identified(PeerInfo peer, bool serves, Now now) {
  if (!serves) {
    table_.remove(peer.id);
    return;
  }
  if (table_.contains(peer.id))
    table_.insert(std::move(peer), now.instant);  // its addresses may be new
  else if (checks_ < kChecksMax && table_.wants(peer, now.instant))
    check(peer, now);
}

/// FIND_NODE for ourselves: what a peer that really serves the protocol answers.
void Node::check(const PeerInfo& peer, Now now) {
  Message message;
  message.key = to_bytes(self_.bytes());
  send(peer, std::move(message), nullptr, now);
}

std::optional<PeerInfo> Node::info_of(const PeerId& peer) const {
  auto member = table_.find(peer);
  return member ? member : known_(peer);
}

void Node::on_disconnected(const PeerId& peer) {
  if (table_.contains(peer)) lost_ = true;
}

Result<std::optional<Message>> Node::serve(const Message& request, const PeerId& from, Now now) {
  bool stores = request.type == MessageType::put_value || request.type == MessageType::add_provider;
  std::string_view refused;
  if (!serves(now))
    refused = "client";
  else if (!requests_rate_.take(from, now.instant) || (stores && !stores_rate_.take(from, now.instant)))
    refused = "rate";
  if (refused.empty()) return server_.answer(request, from, now);
  observer_.on_refused(from, request.type, refused);
  return fail(refused == "client" ? Errc::unsupported : Errc::exhausted, "kad: " + std::string(refused));
}

// ---- periodic work

void Node::maintain(Now now) {
  auto time = now.instant;
  tick_ = next_tick(time);
  server_.expire(time);
  requests_rate_.expire(time);
  stores_rate_.expire(time);

  bool low = table_.size() < kTableLow && (std::exchange(lost_, false) || time - checked_ >= kTableCheckInterval);
  bool due = time - refreshed_ >= options_.refresh_interval;
  if (low || due) {
    checked_ = time;
    auto id = start(Kind::bootstrap, to_bytes(self_.bytes()), time + kLookupTimeout);
    auto& call = open(id);
    call.reported = false;
    if (due) {
      refreshed_ = time;
      for (const auto& member : table_.stale(time))
        if (checks_ < kChecksMax) check(member, now);
    } else {
      call.self_only = true;
    }
    look_up(call, Query::Want{.key = call.key}, seeds_for(table_.self_key()), now);
  }

  std::size_t running = 0;
  for (const auto& [id, call] : calls_) running += call.kind == Kind::provide && !call.reported ? 1 : 0;
  std::vector<Bytes> again;
  for (auto& [key, at] : provided_) {
    if (running + again.size() >= kRepublishesMax) break;
    if (time - at < options_.provide_interval) continue;
    at = time;  // announced to nobody, it is due again: see announce()
    again.push_back(key);
  }
  for (auto& key : again) {
    auto id = start(Kind::provide, std::move(key), time + kLookupTimeout);
    auto& call = open(id);
    call.reported = false;
    look_up(call, Query::Want{.key = call.key}, seeds_for(Key::of(call.key)), now);
  }
}

// ---- across restarts

Bytes Node::snapshot(Now now) const {
  Snapshot snapshot;
  snapshot.saved = now.unix_seconds;
  snapshot.peers = table_.members();
  for (const auto& peer : remembered_)
    if (!table_.contains(peer.id)) snapshot.peers.push_back(peer);
  if (snapshot.peers.size() > kSnapshotPeersMax)
    snapshot.peers.erase(snapshot.peers.begin() + kSnapshotPeersMax, snapshot.peers.end());
  for (auto& kept : server_.providers().others(now.instant)) {
    auto left = std::chrono::duration_cast<std::chrono::seconds>(kept.expires - now.instant).count();
    snapshot.providers.push_back({std::move(kept.key), std::move(kept.provider), now.unix_seconds + left});
  }
  return encode(snapshot);
}

Result<void> Node::restore(ByteView bytes, Now now) {
  NMP_TRY(auto snapshot, decode_snapshot(bytes));
  remembered_ = std::move(snapshot.peers);
  for (auto& record : snapshot.providers) {
    if (record.expires <= now.unix_seconds || record.provider.id == self_) continue;
    auto left = std::chrono::seconds(
        std::min(record.expires - now.unix_seconds, UnixSeconds{std::chrono::seconds(kProviderTtl).count()}));
    auto kept = server_.providers().add(record.key, std::move(record.provider), now.instant, now.instant + left);
    if (!kept) break;  // full
  }
  return {};
}

}  // namespace nmp::libp2p::kad
