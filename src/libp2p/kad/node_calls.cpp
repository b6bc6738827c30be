#include <algorithm>

#include "libp2p/kad/node.hpp"

/// What the calls of a Node do from their start to their end: a lookup, then mostly messages to the peers it found.
namespace nmp::libp2p::kad {
namespace {

bool fits_provider_key(const Bytes& key) { return !key.empty() && key.size() <= kProviderKeyBytesMax; }

}  // namespace

CallId Node::start(Kind kind, Bytes key, Instant deadline) {
  CallId id{++last_id_};
  Call call{.id = id, .kind = kind, .deadline = deadline, .key = std::move(key)};
  calls_.emplace(id, std::move(call));
  return id;
}

std::vector<PeerInfo> Node::seeds_for(const Key& target) const {
  auto seeds = table_.closest(target, options_.lookup.k);
  if (!seeds.empty()) return seeds;
  seeds = options_.bootstrap;
  seeds.insert(seeds.end(), remembered_.begin(), remembered_.end());
  return seeds;
}

PeerInfo Node::self() const {
  auto self = known_(self_);
  return self ? *std::move(self) : PeerInfo{self_, {}};
}

Instant Node::next_tick(Instant now) const {
  return now + std::min<Duration>({kTick, options_.refresh_interval / 2, options_.provide_interval / 4});
}

void Node::look_up(Call& call, Query::Want want, std::vector<PeerInfo> seeds, Now now) {
  if (call.kind == Kind::bootstrap && !call.self_found) {
    // Always: a bootstrap peer that was away for so long that it left the tables knows nobody until a member comes
    // back.
    seeds.insert(seeds.end(), options_.bootstrap.begin(), options_.bootstrap.end());
    seeds.insert(seeds.end(), remembered_.begin(), remembered_.end());
  }
  auto options = options_.lookup;
  options.deadline = call.deadline;
  ++call.lookup;
  call.query.emplace(std::move(want), self_, seeds, policy_, options, now.instant, observer_);
  drive(call, now);
}

void Node::drive(Call& call, Now now) {
  if (call.kind == Kind::find_providers) take_found(call, now);
  for (const auto& peer : call.running().next(now.instant)) send(peer, call.running().request(), &call, now);
  if (call.running().done()) looked_up(call, now);
}

void Node::take_found(Call& call, Now now) {
  auto full = [&] { return call.count != 0 && call.providers.size() >= call.count; };
  for (auto& provider : call.running().take_providers()) {
    bool known = std::ranges::any_of(call.providers, [&](const PeerInfo& other) { return other.id == provider.id; });
    if (full() || known || provider.id == self_) continue;
    found_.push_back({call.id, provider});
    call.providers.push_back(std::move(provider));
  }
  if (full()) call.running().stop(now.instant);
}

void Node::learn_size(const Call& call) {
  if (!call.running().lookup().complete()) return;
  std::vector<Distance> distances;
  for (const auto& peer : call.running().closest())
    distances.push_back(policy_.distance(call.running().lookup().target(), Key::of(peer.id)));
  size_.add(distances);
}

/// The query is done: what follows depends on the call.
void Node::looked_up(Call& call, Now now) {
  learn_size(call);
  if (!call.self_found) call.stats = call.running().stats(now.instant);
  switch (call.kind) {
    case Kind::bootstrap: next_bucket(call, now); return;
    case Kind::provide: announce(call, now); return;
    case Kind::find_providers: {
      take_found(call, now);  // those without addresses come last
      if (call.providers.empty()) return finish(call, fail(Errc::not_found, "kad: no provider"));
      Outcome outcome{.providers = std::move(call.providers)};
      return finish(call, std::move(outcome));
    }
    case Kind::find_peer: {
      Outcome outcome{.peer = call.running().found_peer()};
      if (!outcome.peer) return finish(call, fail(Errc::not_found, "kad: no such peer"));
      return finish(call, std::move(outcome));
    }
    case Kind::put_value: {
      Message message;
      message.type = MessageType::put_value;
      message.key = call.key;
      message.record = Record{call.key, call.value, {}};
      return store_at(call, call.running().closest(), message, now);
    }
    case Kind::get_value: {
      const auto* held = server_.records().get(call.key, now.instant);
      if (held != nullptr && policy_.validate(call.key, held->value, now.unix_seconds))
        call.running().offer_value(held->value);
      auto value = call.running().value();
      if (!value) return finish(call, fail(Errc::not_found, "kad: no valid value"));
      correct(call, *value, now);
      Outcome outcome{.value = *std::move(value)};
      return finish(call, std::move(outcome));
    }
  }
}

/// Those of the closest that have no value or a worse one get it; nobody waits for them.
void Node::correct(const Call& call, const Bytes& value, Now now) {
  Message message;
  message.type = MessageType::put_value;
  message.key = call.key;
  message.record = Record{call.key, value, {}};
  for (const auto& peer : call.running().stale_holders()) send(peer, message, nullptr, now);
}

/// After the lookup of ourselves (whose stats the call keeps): one in each bucket, one after the other.
void Node::next_bucket(Call& call, Now now) {
  if (!call.self_found) {
    if (call.running().closest().empty()) return finish(call, fail(Errc::unavailable, "kad: no peer answered"));
    call.self_found = true;
    if (!call.self_only)
      for (std::size_t prefix = 0; prefix <= table_.refresh_depth(); ++prefix)
        call.buckets.push_back(table_.key_in_bucket(prefix, random_));
  }
  if (call.buckets.empty() || call.deadline <= now.instant) {
    Outcome outcome{.count = table_.size()};
    return finish(call, std::move(outcome));
  }
  Query::Want want{.key = std::move(call.buckets.front())};
  call.buckets.pop_front();
  auto seeds = seeds_for(Key::of(want.key));
  look_up(call, std::move(want), std::move(seeds), now);
}

void Node::announce(Call& call, Now now) {
  Message message;
  message.type = MessageType::add_provider;
  message.key = call.key;
  message.provider_peers.push_back(self());
  auto peers = call.running().closest();
  std::vector<Distance> distances;
  distances.reserve(peers.size());
  for (const auto& peer : peers)
    distances.push_back(policy_.distance(call.running().lookup().target(), Key::of(peer.id)));
  if (auto crowding = size_.crowding(distances); crowding && *crowding >= kCrowdedFactor) {
    observer_.on_crowded_place(call.key, *crowding);
    peers = call.running().closest(kCrowdedSpread * options_.lookup.k);
  }
  store_at(call, peers, message, now);
}

void Node::store_at(Call& call, const std::vector<PeerInfo>& peers, const Message& message, Now now) {
  call.storing = true;
  call.sending = peers.size();
  for (const auto& peer : peers) send(peer, message, &call, now);
  settle(call, now);
}

/// The end of a call that stores, once every message has come to an end.
void Node::settle(Call& call, Now now) {
  if (call.sending > 0) return;
  bool provide = call.kind == Kind::provide;
  if (provide) {
    if (auto provided = provided_.find(call.key); provided != provided_.end())
      provided->second = call.delivered > 0 ? now.instant : now.instant - options_.provide_interval;
  }
  if (call.delivered == 0)
    return finish(call, fail(Errc::unavailable,
                             provide ? "kad: no peer took the provider record" : "kad: no peer took the value"));
  Outcome outcome{.count = call.delivered};
  finish(call, std::move(outcome));
}

void Node::finish(Call& call, Result<Outcome> outcome) {
  auto id = call.id;
  if (call.reported) finished_.push_back({id, std::move(outcome), call.stats});
  calls_.erase(id);
}

void Node::stop(CallId id, Now now) {
  auto found = calls_.find(id);
  if (found == calls_.end()) return;
  auto& call = found->second;
  if (call.storing) {
    call.sending = 0;
    return settle(call, now);
  }
  call.deadline = std::min(call.deadline, now.instant);
  call.running().stop(now.instant);
  looked_up(call, now);
}

// ---- the calls

CallId Node::bootstrap(Instant deadline, Now now) {
  if (tick_ == kNever) {
    tick_ = next_tick(now.instant);
    refreshed_ = checked_ = now.instant;
  }
  auto id = start(Kind::bootstrap, to_bytes(self_.bytes()), deadline);
  auto& call = open(id);
  look_up(call, Query::Want{.key = call.key}, table_.closest(table_.self_key(), options_.lookup.k), now);
  return id;
}

CallId Node::provide(Bytes key, Instant deadline, Now now) {
  auto id = start(Kind::provide, std::move(key), deadline);
  auto& call = open(id);
  if (!fits_provider_key(call.key)) {
    finish(call, fail(Errc::too_large, "kad: provider key"));
    return id;
  }
  provided_.try_emplace(call.key, now.instant);
  auto kept = server_.providers().add(call.key, self(), now.instant);
  NMP_ASSERT(kept.has_value());  // our own are not counted
  look_up(call, Query::Want{.key = call.key}, seeds_for(Key::of(call.key)), now);
  return id;
}

void Node::stop_providing(ByteView key) {
  provided_.erase(to_bytes(key));
  server_.providers().remove(key, self_);
}

CallId Node::find_providers(Bytes key, std::size_t count, Instant deadline, Now now) {
  auto id = start(Kind::find_providers, std::move(key), deadline);
  auto& call = open(id);
  call.count = count;
  if (!fits_provider_key(call.key)) {
    finish(call, fail(Errc::too_large, "kad: provider key"));
    return id;
  }
  for (auto& provider : server_.providers().get(call.key, now.instant)) {
    if (provider.id == self_ || (count != 0 && call.providers.size() >= count)) continue;
    found_.push_back({id, provider});
    call.providers.push_back(std::move(provider));
  }
  if (count != 0 && call.providers.size() >= count) {
    Outcome outcome{.providers = std::move(call.providers)};
    finish(call, std::move(outcome));
    return id;
  }
  Query::Want want{.type = MessageType::get_providers, .key = call.key};
  look_up(call, std::move(want), seeds_for(Key::of(call.key)), now);
  return id;
}

CallId Node::find_peer(const PeerId& peer, Instant deadline, Now now) {
  auto id = start(Kind::find_peer, to_bytes(peer.bytes()), deadline);
  auto& call = open(id);
  auto here = info_of(peer);
  if (here && !here->addresses.empty()) {
    Outcome outcome{.peer = std::move(here)};
    finish(call, std::move(outcome));
    return id;
  }
  Query::Want want{.key = call.key, .peer = peer};
  look_up(call, std::move(want), seeds_for(Key::of(peer)), now);
  return id;
}

CallId Node::put_value(Bytes key, Bytes value, Instant deadline, Now now) {
  auto id = start(Kind::put_value, std::move(key), deadline);
  auto& call = open(id);
  Message message;
  message.type = MessageType::put_value;
  message.key = call.key;
  message.record = Record{call.key, value, {}};
  call.value = std::move(value);
  // Our own server is the first to judge it: what it refuses, nobody should be asked to keep.
  if (auto stored = server_.answer(message, self_, now); !stored) {
    finish(call, fail(std::move(stored).error()));
    return id;
  }
  look_up(call, Query::Want{.key = call.key}, seeds_for(Key::of(call.key)), now);
  return id;
}

CallId Node::get_value(Bytes key, std::size_t quorum, Instant deadline, Now now) {
  auto id = start(Kind::get_value, std::move(key), deadline);
  auto& call = open(id);
  Query::Want want{.type = MessageType::get_value, .key = call.key, .enough = quorum};
  look_up(call, std::move(want), seeds_for(Key::of(call.key)), now);
  return id;
}

}  // namespace nmp::libp2p::kad
