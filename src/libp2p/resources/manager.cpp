#include "libp2p/resources/manager.hpp"

#include <map>

#include "libp2p/resources/subnets.hpp"

namespace nmp::libp2p::resources {

Observer& silent_observer() {
  static Observer observer;
  return observer;
}

struct detail::State {
  State(const Limits& wanted, Observer& told)
      : limits(wanted),
        observer(told),
        system(std::make_shared<Scope>("system", limits.system)),
        transient(std::make_shared<Scope>("transient", limits.transient)),
        subnets(limits.subnets) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Limits limits;
  Observer& observer;
  ScopePtr system;
  ScopePtr transient;
  // Scopes that nobody counts in are forgotten with the last handle.
  std::map<PeerId, ScopePtr> peers;
  std::map<std::string, ScopePtr, std::less<>> protocols;
  std::map<std::pair<std::string, PeerId>, ScopePtr> protocol_peers;
  Subnets subnets;
  std::uint64_t refused_subnets = 0;
  Instant now{};  ///< the latest that was said

  void at(Instant time) { now = std::max(now, time); }

  [[nodiscard]] const ProtocolLimits& limits_of(std::string_view protocol) const {
    const auto it = limits.named.find(protocol);
    return it == limits.named.end() ? limits.protocol : it->second;
  }
  ScopePtr peer(const PeerId& id) {
    auto& scope = peers[id];
    if (!scope) scope = std::make_shared<Scope>("peer " + id.to_text(), limits.peer);
    return scope;
  }
  ScopePtr protocol(const std::string& name) {
    auto& scope = protocols[name];
    if (!scope) scope = std::make_shared<Scope>("protocol " + name, limits_of(name).all);
    return scope;
  }
  ScopePtr protocol_of_peer(const std::string& name, const PeerId& id) {
    auto& scope = protocol_peers[{name, id}];
    if (!scope) scope = std::make_shared<Scope>("protocol " + name + " of peer " + id.to_text(), limits_of(name).peer);
    return scope;
  }
  template <class Map, class Key>
  static void forget_unused(Map& map, const Key& key) {
    if (const auto it = map.find(key); it != map.end() && it->second.use_count() == 1) map.erase(it);
  }

  template <class T>
  Result<T> told(Result<T> result) {
    if (!result) observer.on_refused(result.error());
    return result;
  }
};

struct detail::ConnectionState {
  ConnectionState(std::shared_ptr<State> shared, bool is_inbound)
      : state(std::move(shared)),
        inbound(is_inbound),
        own(std::make_shared<Scope>("connection", state->limits.connection)) {}
  ConnectionState(const ConnectionState&) = delete;
  ConnectionState& operator=(const ConnectionState&) = delete;
  ~ConnectionState() {
    held = Holding();
    if (entered) state->subnets.leave(from, state->now);
    if (peer) State::forget_unused(state->peers, *peer);
  }

  Result<void> enter(Instant now) {
    if (entered || !inbound) return {};
    auto there = state->subnets.enter(from, now);
    if (!there) ++state->refused_subnets;
    entered = there.has_value();
    return there;
  }
  Result<void> begin(bool descriptor) {
    NMP_CHECK(held.join(own));
    NMP_CHECK(held.join(state->transient));
    NMP_CHECK(held.join(state->system));
    Usage wanted{.descriptors = descriptor ? 1UZ : 0UZ, .memory_bytes = kConnectionBytes};
    (inbound ? wanted.connections_in : wanted.connections_out) = 1;
    return held.take(wanted);
  }

  std::shared_ptr<State> state;  // the manager and its handles
  bool inbound;
  ScopePtr own;
  SocketAddress from;
  bool entered = false;
  std::optional<PeerId> peer;
  std::uint64_t buffered = 0;
  Holding held;
};

// --- streams

StreamScope::~StreamScope() {
  if (!state_) return;
  held_ = Holding();
  detail::State::forget_unused(state_->peers, peer_);
  if (protocol_.empty()) return;
  detail::State::forget_unused(state_->protocol_peers, std::pair(protocol_, peer_));
  detail::State::forget_unused(state_->protocols, protocol_);
}

Result<void> StreamScope::set_protocol(std::string_view protocol) {
  NMP_ASSERT(protocol_.empty() && !protocol.empty());
  protocol_ = protocol;
  NMP_CHECK(state_->told(held_.join(state_->protocol_of_peer(protocol_, peer_))));
  NMP_CHECK(state_->told(held_.join(state_->protocol(protocol_))));
  held_.leave(state_->transient);
  return {};
}

Result<void> StreamScope::reserve(std::uint64_t bytes, Priority priority) {
  return state_->told(held_.take({.memory_bytes = bytes}, priority));
}

// --- connections

ConnectionScope::ConnectionScope(std::unique_ptr<detail::ConnectionState> state) : state_(std::move(state)) {}
ConnectionScope::ConnectionScope(ConnectionScope&&) noexcept = default;
ConnectionScope::~ConnectionScope() = default;

Result<void> ConnectionScope::set_peer(const PeerId& peer, Instant now) {
  auto& self = *state_;
  NMP_ASSERT(!self.peer);
  self.state->at(now);
  NMP_CHECK(self.state->told(self.enter(now)));
  self.peer = peer;
  NMP_CHECK(self.state->told(self.held.join(self.state->peer(peer))));
  self.held.leave(self.state->transient);
  return {};
}

Result<StreamScope> ConnectionScope::open_stream(Direction direction) {
  auto& self = *state_;
  NMP_ASSERT(self.peer);  // streams are for those whom we know
  auto& state = *self.state;
  StreamScope stream(self.state, *self.peer);
  auto own = std::make_shared<Scope>("stream", state.limits.stream);
  for (const auto& scope : {own, self.own, state.peer(*self.peer), state.transient, state.system})
    NMP_CHECK(stream.held_.join(scope));
  Usage wanted{.memory_bytes = kStreamBytes};
  (direction == Direction::inbound ? wanted.streams_in : wanted.streams_out) = 1;
  NMP_CHECK(state.told(stream.held_.take(wanted)));
  return stream;
}

Result<void> ConnectionScope::hold(std::uint64_t bytes) {
  auto& self = *state_;
  if (bytes > self.buffered)
    NMP_CHECK(self.state->told(self.held.take({.memory_bytes = bytes - self.buffered})));
  else
    self.held.give_back({.memory_bytes = self.buffered - bytes});
  self.buffered = bytes;
  return {};
}

std::size_t ConnectionScope::streams() const { return state_->own->usage().streams(); }
const Usage& ConnectionScope::used() const { return state_->held.used(); }

// --- the manager

Manager::Manager(const Limits& limits, Observer& observer)
    : state_(std::make_shared<detail::State>(limits, observer)) {}
Manager::~Manager() = default;

Result<void> Manager::check_inbound(const SocketAddress& from, Instant now) const {
  NMP_CHECK(state_->subnets.check(from, now));
  const Usage wanted{.connections_in = 1, .memory_bytes = kConnectionBytes};
  NMP_CHECK(state_->transient->check(wanted, Priority::always));
  return state_->system->check(wanted, Priority::always);
}

void Manager::note_refused(const Error& why) {
  if (why.code != Errc::exceeded) ++state_->refused_subnets;
  state_->observer.on_refused(why);
}

Result<ConnectionScope> Manager::open_inbound(const Inbound& connection, Instant now) {
  auto& self = *state_;
  self.at(now);
  auto made = std::make_unique<detail::ConnectionState>(state_, /*is_inbound=*/true);
  made->from = connection.from;
  if (connection.proven) NMP_CHECK(self.told(made->enter(now)));
  NMP_CHECK(self.told(made->begin(connection.descriptor)));
  return ConnectionScope(std::move(made));
}

Result<ConnectionScope> Manager::open_outbound(bool descriptor) {
  auto made = std::make_unique<detail::ConnectionState>(state_, /*is_inbound=*/false);
  NMP_CHECK(state_->told(made->begin(descriptor)));
  return ConnectionScope(std::move(made));
}

const Limits& Manager::limits() const { return state_->limits; }
const Usage& Manager::system() const { return state_->system->usage(); }

Snapshot Manager::snapshot() const {
  const auto report = [](const Scope& scope) {
    return ScopeReport{scope.name(), scope.usage(), scope.limit(), scope.refused()};
  };
  Snapshot all;
  all.system = report(*state_->system);
  all.transient = report(*state_->transient);
  for (const auto& [name, scope] : state_->protocols) all.protocols.push_back(report(*scope));
  for (const auto& [peer, scope] : state_->peers) all.peers.push_back(report(*scope));
  all.refused_subnets = state_->refused_subnets;
  return all;
}

}  // namespace nmp::libp2p::resources
