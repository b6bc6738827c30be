#include "libp2p/host/host.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "crypto/hash.hpp"
#include "crypto/random.hpp"
#include "libp2p/host/addresses.hpp"
#include "libp2p/host/host_impl.hpp"
#include "libp2p/host/machine.hpp"
#include "libp2p/peer/certificate.hpp"
#include "libp2p/resources/trimmer.hpp"

namespace nmp::libp2p {

std::error_code host::make_error_code(host::Errc code) {
  static const EnumCategory<host::Errc> category("host", [](host::Errc value) -> std::string_view {
    switch (value) {
      case host::Errc::no_address: return "no_address";
      case host::Errc::dial_failed: return "dial_failed";
      case host::Errc::wrong_peer: return "wrong_peer";
      case host::Errc::self_dial: return "self_dial";
      case host::Errc::protocol_unsupported: return "protocol_unsupported";
      case host::Errc::gated: return "gated";
    }
    return "unknown";
  });
  return {static_cast<int>(code), category};
}

namespace {

/// Looking for idle connections goes through all of them.
constexpr Duration kTrimInterval = std::chrono::seconds(1);

}  // namespace

Host::Impl::Impl(async::Executor on, HostOptions wanted, PeerId self)
    : executor(std::move(on)),
      options(std::move(wanted)),
      id(std::move(self)),
      lookup_ended(executor),
      tasks(executor) {}

Host::Impl::~Impl() {
  if (key_log_fd >= 0) ::close(key_log_fd);
}

Result<void> Host::Impl::open_key_log() {
  if (!options.key_log) return {};
  key_log_fd = ::open(options.key_log->c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (key_log_fd < 0) return fail(Errc::io, "key log: " + std::string(std::strerror(errno)));
  return {};
}

Result<void> Host::Impl::start() {
  NMP_CHECK(open_key_log());
  auto& clock = async::system_clock();
  NMP_TRY(auto certificate, make_certificate(options.identity, clock.unix_now(), crypto::system_random()));
  tls::KeyLog log;
  if (key_log_fd >= 0) {
    log = [fd = key_log_fd](std::string_view line) {
      auto text = std::string(line) + "\n";
      (void)!::write(fd, text.data(), text.size());
    };
  }
  NMP_TRY(tls, tls::Context::make(id, certificate, clock, std::move(log)));
  // The reset key comes from the identity, so that a restarted host can still end the connections of its earlier life.
  auto private_key = options.identity.encode();
  auto prk = crypto::hkdf_extract(bytes_of("nmp quic stateless reset"), private_key.view());
  SecretBytes<32> token_key;
  crypto::system_random().fill(token_key.mutable_view());
  quic::Endpoint::Secrets secrets{crypto::hkdf_expand<32>(prk, bytes_of("reset")), std::move(token_key)};
  resources = std::make_unique<resources::Manager>(
      options.limits.resources ? *options.limits.resources : resources::Limits::scaled(this_machine()));
  quic::EndpointLimits limits;
  limits.connections_max = resources->limits().system.connections;
  limits.connections_per_ip_max = resources->limits().subnets.per_address_max;
  limits.handshakes_max = options.limits.handshakes_max;
  limits.retry_threshold = options.limits.retry_threshold;
  if (options.limits.untrusted)
    limits.restriction = quic::Restriction{options.limits.untrusted->streams_max, options.limits.untrusted->bytes_max};
  endpoint = std::make_unique<quic::Endpoint>(*tls, crypto::system_random(), std::move(secrets), limits);
  quic = std::make_unique<QuicTransport>(executor, clock, *endpoint, *resources, *this);
  TcpLimits tcp_limits{.handshakes_max = options.limits.handshakes_max,
                       .upgrade_time_max = options.limits.upgrade_time_max,
                       .untrusted = options.limits.untrusted};
  NMP_ASSERT(!options.security.empty());
  TcpTransport::Identity identity{options.identity, id, *tls, options.security};
  tcp = std::make_unique<TcpTransport>(executor, clock, std::move(identity), crypto::system_random(),
                                       std::move(tcp_limits), *resources, *this);
  for (const auto& address : options.listen) {
    auto* transport = transport_for(address);
    if (transport == nullptr) return fail(Errc::unsupported, "cannot listen on " + address.to_text());
    NMP_CHECK(transport->listen(address));
  }
  if (options.resolver == nullptr) options.resolver = async::system_resolver(executor);
  add_own_protocols();
  for (auto* transport : transports()) transport->start();
  return {};
}

std::vector<Transport*> Host::Impl::transports() const { return {quic.get(), tcp.get()}; }

Transport& Host::Impl::transport_of(ConnectionId connection) const {
  if (connection.transport == TransportKind::tcp) return *tcp;
  return *quic;
}

Transport* Host::Impl::transport_for(const Multiaddr& address) const {
  for (auto* transport : transports())
    if (transport->handles(address)) return transport;
  return nullptr;
}

std::vector<Multiaddr> Host::Impl::listen_addresses() const {
  std::vector<Multiaddr> all;
  for (const auto* transport : transports()) std::ranges::copy(transport->listening(), std::back_inserter(all));
  return all;
}

// --- connections
// ------------------------------------------------------------------------------------------------------

std::optional<ConnectionId> Host::Impl::connection_of(const PeerId& peer) const {
  auto it = by_peer.find(peer);
  if (it == by_peer.end()) return std::nullopt;
  return it->second.front();
}

void Host::Impl::on_established(ConnectionId connection) {
  auto state = transport_of(connection).state(connection);
  if (!state) return;
  const auto& peer = state->peer;
  auto* share = transport_of(connection).scope(connection);
  auto counted = share == nullptr ? fail(Errc::closed, "connection") : share->set_peer(peer, now());
  if (!counted) {
    end_attempt(connection, Error{make_error_code(host::Errc::gated), counted.error().message()});
    transport_of(connection).close(connection, connection_code::kResourceLimit);
    return;
  }
  auto link = std::make_shared<Link>(peer, state->address, state->inbound, executor);
  link->last_used = now();
  links.emplace(connection, link);
  auto& list = by_peer[peer];
  list.push_back(connection);
  ++opened;
  end_attempt(connection, std::nullopt);
  backoff.forget(peer);
  trim();
  if (state->restricted) tasks.spawn(limit_untrusted(connection));
  if (options.identify) tasks.spawn(ask_identity(connection, link));
  if (list.size() > 1) return;
  for (auto* observer : std::vector(observers)) observer->connected(peer, link->address, link->inbound);
}

void Host::Impl::trim() {
  const auto& limits = resources->limits().trim;
  const auto time = now();
  if (links.size() <= limits.high || time - trimmed < kTrimInterval) return;
  trimmed = time;
  std::vector<ConnectionId> ids;
  std::vector<resources::TrimCandidate> candidates;
  for (const auto& [connection, link] : links) {
    const auto* share = transport_of(connection).scope(connection);
    auto at = link->address.udp_endpoint();
    if (!at) at = link->address.tcp_endpoint();
    ids.push_back(connection);
    candidates.push_back({.block = at ? block_of(to_socket(*at)) : AddressBlock(),
                          .last_used = link->last_used,
                          .in_use = share == nullptr || share->streams() > 0,
                          .is_kept = kept.contains(link->peer)});
  }
  for (auto chosen : resources::choose_idle(candidates, limits, time))
    transport_of(ids[chosen]).close(ids[chosen], connection_code::kGarbageCollected);
}

void Host::Impl::on_closed(ConnectionId connection, const Error& why) {
  end_attempt(connection, why);
  auto it = links.find(connection);
  if (it == links.end()) return;
  auto link = it->second;
  links.erase(it);
  link->streams_available.notify_all();
  auto peer = by_peer.find(link->peer);
  std::erase(peer->second, connection);
  if (!peer->second.empty()) return;
  by_peer.erase(peer);
  for (auto* observer : std::vector(observers)) observer->disconnected(link->peer);
}

void Host::Impl::on_streams_available(ConnectionId connection) {
  if (auto it = links.find(connection); it != links.end()) it->second->streams_available.notify_all();
}

void Host::Impl::close_peer(const PeerId& peer, std::uint64_t code) {
  auto it = by_peer.find(peer);
  if (it == by_peer.end()) return;
  for (auto connection : std::vector(it->second)) transport_of(connection).close(connection, code);
}

async::Awaitable<void> Host::Impl::limit_untrusted(ConnectionId connection) {
  NMP_ASSERT(options.limits.untrusted);  // whose restriction this connection has
  auto until = now() + options.limits.untrusted->time_max;
  if (!co_await async::sleep_until(until)) co_return;
  auto& transport = transport_of(connection);
  if (auto state = transport.state(connection); state && state->restricted)
    transport.close(connection, connection_code::kGated);
}

// --- streams
// ----------------------------------------------------------------------------------------------------------

async::Awaitable<Result<std::unique_ptr<NegotiatedStream>>> Host::Impl::open_on(Self self,
                                                                                ConnectionId connection,
                                                                                std::vector<std::string> protocols,
                                                                                Instant deadline) {
  for (;;) {
    auto it = self->links.find(connection);
    if (self->closed || it == self->links.end()) co_return fail(Errc::closed, "connection");
    auto link = it->second;
    auto& transport = self->transport_of(connection);
    auto stream_id = transport.open_stream(connection);
    if (stream_id) {
      auto core = transport.adopt(connection, *stream_id, resources::Direction::outbound);
      if (!core) {
        transport.release(connection, *stream_id, stream_code::kResourceLimit);
        co_return fail(Errc::exhausted, core.error().message());
      }
      link->last_used = self->now();
      auto stream = std::make_unique<NegotiatedStream>(*std::move(core), link->peer, link->address, /*inbound=*/false);
      bool lazy = protocols.size() == 1;
      stream->propose(std::move(protocols));
      if (!lazy) {
        auto until = std::min(deadline, self->now() + kNegotiationTimeMax);
        NMP_CO_CHECK(co_await stream->settle(until));
      }
      if (auto counted = stream->count_protocol(); !counted) {
        stream->reset(stream_code::kResourceLimit);
        co_return fail(Errc::exhausted, counted.error().message());
      }
      co_return stream;
    }
    if (stream_id.error().code != Errc::exhausted) co_return std::unexpected(std::move(stream_id).error());
    NMP_CO_CHECK(co_await link->streams_available.wait(deadline));
  }
}

async::Awaitable<Result<StreamPtr>> Host::Impl::open_stream(Self self,
                                                            PeerId peer,
                                                            std::vector<std::string> protocols,
                                                            Instant deadline) {
  auto valid = [](const std::string& protocol) {
    return !protocol.empty() && protocol.size() < multistream::kTokenBytesMax;
  };
  if (protocols.empty() || protocols.size() > multistream::kProposalsMax || !std::ranges::all_of(protocols, valid))
    co_return fail(Errc::malformed, "protocols");
  for (int attempt = 0;; ++attempt) {
    PeerInfo info{peer, {}};
    NMP_CO_CHECK(co_await connect(self, std::move(info), deadline));
    auto connection = self->connection_of(peer);
    if (!connection) continue;
    auto stream = co_await open_on(self, *connection, protocols, deadline);
    if (stream) co_return StreamPtr(*std::move(stream));
    // It died under us: once more on a new one.
    bool dead = !self->links.contains(*connection);
    if (!dead || attempt > 0) co_return std::unexpected(std::move(stream).error());
  }
}

void Host::Impl::on_stream(ConnectionId connection, StreamId stream_id) {
  auto it = links.find(connection);
  auto& transport = transport_of(connection);
  if (closed || it == links.end()) {
    transport.release(connection, stream_id, stream_code::kShutdown);
    return;
  }
  auto core = transport.adopt(connection, stream_id, resources::Direction::inbound);
  if (!core) {
    transport.release(connection, stream_id, stream_code::kResourceLimit);
    return;
  }
  it->second->last_used = now();
  auto stream =
      std::make_unique<NegotiatedStream>(*std::move(core), it->second->peer, it->second->address, /*inbound=*/true);
  tasks.spawn(serve_stream(it->second, std::move(stream)));
}

async::Awaitable<void> Host::Impl::serve_stream(LinkPtr, std::unique_ptr<NegotiatedStream> stream) {
  multistream::Listener::Known known = [this](std::string_view protocol) { return handlers.contains(protocol); };
  auto accepted = co_await stream->accept(std::move(known), now() + kNegotiationTimeMax);
  if (!accepted) co_return;
  auto it = handlers.find(stream->protocol());
  if (it == handlers.end()) {
    stream->reset(stream_code::kNegotiationFailed);
    co_return;
  }
  if (!stream->count_protocol()) {
    stream->reset(stream_code::kResourceLimit);
    co_return;
  }
  auto handler = it->second;
  co_await (*handler)(std::move(stream));
}

async::Awaitable<void> Host::Impl::close(Self self) {
  if (self->closed) co_return;
  self->closed = true;
  co_await self->tasks.close();
  for (auto* transport : self->transports()) co_await transport->close_all(connection_code::kShutdown);
  for (auto& [peer, dial] : self->dials) {
    if (!dial->result) dial->result.emplace(fail(Errc::closed, "host"));
    dial->changed.notify_all();
  }
  self->dials.clear();
  self->attempts.clear();
  self->handlers.clear();
  self->observers.clear();
}

// --- the public face
// --------------------------------------------------------------------------------------------------

Result<std::unique_ptr<Host>> Host::make(async::Executor executor, HostOptions options) {
  auto self = PeerId::of(options.identity.public_key());
  auto impl = std::make_shared<Impl>(std::move(executor), std::move(options), std::move(self));
  NMP_CHECK(impl->start());
  return std::unique_ptr<Host>(new Host(std::move(impl)));
}

Host::Host(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Host::~Host() { NMP_ASSERT(impl_->closed); }

const PeerId& Host::id() const { return impl_->id; }
const KeyPair& Host::identity() const { return impl_->options.identity; }
const async::Executor& Host::executor() const { return impl_->executor; }
std::vector<Multiaddr> Host::listen_addresses() const { return impl_->listen_addresses(); }

async::Awaitable<Result<void>> Host::connect(PeerInfo peer, Instant deadline) {
  return Impl::connect(impl_, std::move(peer), deadline);
}
async::Awaitable<Result<StreamPtr>> Host::open_stream(PeerId peer,
                                                      std::vector<std::string> protocols,
                                                      Instant deadline) {
  return Impl::open_stream(impl_, std::move(peer), std::move(protocols), deadline);
}
async::Awaitable<Result<Duration>> Host::ping(PeerId peer, Instant deadline) {
  return Impl::ping(impl_, std::move(peer), deadline);
}
async::Awaitable<void> Host::close() { return Impl::close(impl_); }

void Host::handle(std::string protocol, StreamHandler handler) {
  NMP_ASSERT(!protocol.empty() && protocol.size() < multistream::kTokenBytesMax &&
             impl_->handlers.size() < kProtocolsMax);
  impl_->handlers.insert_or_assign(std::move(protocol), std::make_shared<StreamHandler>(std::move(handler)));
}
void Host::unhandle(const std::string& protocol) { impl_->handlers.erase(protocol); }
std::vector<std::string> Host::protocols() const {
  std::vector<std::string> all;
  for (const auto& [protocol, handler] : impl_->handlers) all.push_back(protocol);
  return all;
}

void Host::add_addresses(const PeerId& peer, const std::vector<Multiaddr>& addresses, Duration ttl) {
  if (peer != impl_->id) impl_->book.add(peer, addresses, impl_->now(), ttl);
}
std::vector<Multiaddr> Host::addresses(const PeerId& peer) const { return impl_->book.find(peer, impl_->now()); }
std::vector<PeerId> Host::peers() const {
  std::vector<PeerId> all;
  for (const auto& [peer, list] : impl_->by_peer) all.push_back(peer);
  return all;
}
bool Host::is_connected(const PeerId& peer) const { return impl_->by_peer.contains(peer); }

std::vector<ConnectionInfo> Host::connections() const {
  std::vector<ConnectionInfo> all;
  for (const auto& [connection, link] : impl_->links) {
    if (const auto state = impl_->transport_of(connection).state(connection))
      all.push_back({link->peer, link->address, link->inbound, state->streams, state->smoothed_rtt});
  }
  return all;
}

std::optional<PeerDetails> Host::details(const PeerId& peer) const {
  auto connection = impl_->connection_of(peer);
  if (!connection) return std::nullopt;
  const auto& profile = impl_->links.at(*connection)->profile;
  if (profile.protocols.empty() && profile.agent_version.empty()) return std::nullopt;
  return PeerDetails{profile.agent_version, profile.protocol_version, profile.protocols,
                     profile.addresses,     profile.observed_address, profile.record_sequence.has_value()};
}

HostStats Host::stats() const {
  const auto& from = impl_->endpoint->stats();
  HostStats to;
  to.datagrams_received = from.datagrams_received;
  to.datagrams_sent = impl_->quic->datagrams_sent();
  to.connections_opened = impl_->opened;
  to.handshakes_refused = from.connections_refused + impl_->tcp->connections_refused();
  to.retries_sent = from.retries_sent;
  to.stateless_resets_sent = from.stateless_resets_sent;
  to.half_open = impl_->endpoint->half_open() + impl_->tcp->half_open();
  return to;
}

resources::Snapshot Host::resources() const { return impl_->resources->snapshot(); }

void Host::forget_failures(const PeerId& peer) { impl_->backoff.forget(peer); }

void Host::keep(const PeerId& peer) { impl_->kept.insert(peer); }
void Host::release(const PeerId& peer) { impl_->kept.erase(peer); }

void Host::mark_trusted(const PeerId& peer) {
  auto it = impl_->by_peer.find(peer);
  if (it == impl_->by_peer.end()) return;
  for (auto connection : it->second) {
    impl_->transport_of(connection).lift_restriction(connection);
  }
}
void Host::disconnect(const PeerId& peer, std::uint64_t code) { impl_->close_peer(peer, code); }

void Host::add_observer(HostObserver* observer) { impl_->observers.push_back(observer); }
void Host::remove_observer(HostObserver* observer) { std::erase(impl_->observers, observer); }

}  // namespace nmp::libp2p
