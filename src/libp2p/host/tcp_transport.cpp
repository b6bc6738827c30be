#include "libp2p/host/tcp_transport.hpp"

#include "base/async/with_deadline.hpp"
#include "libp2p/host/addresses.hpp"
#include "libp2p/host/negotiate.hpp"
#include "libp2p/host/read_size.hpp"
#include "libp2p/host/websocket_stream.hpp"

namespace nmp::libp2p {

namespace {

const std::string kYamux{yamux::kProtocol};
/// A peer that takes nothing for so long is gone.
constexpr Duration kWriteTimeMax = std::chrono::seconds(30);
/// How long a goodbye may take.
constexpr Duration kGoodbyeTimeMax = std::chrono::seconds(1);
constexpr std::size_t kReadBytes = 64UZ * 1024;
constexpr std::size_t kWriteBytes = 64UZ * 1024;
/// Headers and control frames beside the data of streams.
constexpr std::size_t kFramesBytes = 1024;

StreamId ours(yamux::StreamId id) { return StreamId{static_cast<std::int64_t>(id)}; }
yamux::StreamId theirs(StreamId id) { return static_cast<yamux::StreamId>(id); }

Result<SocketAddress> tcp_of(const Multiaddr& address) {
  const auto endpoint = address.tcp_endpoint();
  if (!(address.is_tcp() || address.is_websocket()) || !endpoint)
    return fail(Errc::unsupported, "not /ip4|ip6/../tcp/..[/ws]: " + address.to_text());
  return to_socket(*endpoint);
}

std::string reason_of(const yamux::Session& muxer) {
  const auto& reason = muxer.close_reason();
  if (!reason) return {};
  return make_error_code(reason->error).message() + (reason->text.empty() ? "" : ": " + reason->text);
}

Multiaddr address_of(const SocketAddress& socket, bool websocket) {
  const auto endpoint = to_endpoint(socket);
  return websocket ? Multiaddr::websocket(endpoint) : Multiaddr::tcp(endpoint);
}

/// HOST:PORT as in a URL (RFC 3986 section 3.2).
std::string authority_of(const SocketAddress& socket) {
  const auto endpoint = to_endpoint(socket);
  const auto ip = endpoint.ip.to_text();
  return (socket.is_v6 ? "[" + ip + "]" : ip) + ":" + std::to_string(endpoint.port);
}

Error error_of(const Error& why) {
  auto code = make_error_code(host::Errc::dial_failed);
  if (why.code == noise::Errc::wrong_peer || why.code == tls::Errc::wrong_peer)
    code = make_error_code(host::Errc::wrong_peer);
  if (why.code == tls::Errc::self_dial) code = make_error_code(host::Errc::self_dial);
  if (why.code.category() == code.category()) code = why.code;
  return {code, why.message()};
}

std::string_view protocol_of(Security security) {
  return security == Security::tls ? tls::kProtocol : noise::kProtocol;
}

/// Which protocol the connection goes on with.
async::Awaitable<Result<Negotiated>> settle(async::ByteStream& stream,
                                            std::vector<std::string> protocols,
                                            bool inbound) {
  Bytes nothing;
  if (inbound) co_return co_await answer(stream, std::move(protocols), std::move(nothing));
  co_return co_await propose(stream, std::move(protocols), std::move(nothing));
}

}  // namespace

struct TcpTransport::Connection {
  Connection(ConnectionId number,
             bool is_inbound,
             const SocketAddress& peer_at,
             bool in_websocket,
             const async::Executor& executor)
      : id(number),
        inbound(is_inbound),
        websocket(in_websocket),
        remote(peer_at),
        address(address_of(peer_at, in_websocket)),
        wake(executor) {}

  ConnectionId id;
  bool inbound;
  bool websocket;
  SocketAddress remote;
  Multiaddr address;
  std::optional<PeerId> expected;
  std::unique_ptr<async::ByteStream> stream;  ///< The socket, later what secures it.
  std::optional<PeerId> peer;
  std::unique_ptr<yamux::Session> muxer;  ///< Set, as is `peer`: established.
  Bytes early;                            ///< For the muxer.
  bool closing = false;                   ///< By us.
  bool over = false;
  std::optional<UntrustedLimits> untrusted;
  std::size_t received = 0;
  async::Event wake;  ///< There is something to write, or nothing ever again.
};

TcpTransport::TcpTransport(async::Executor executor,
                           const Clock& clock,
                           Identity identity,
                           Random& random,
                           TcpLimits limits,
                           resources::Manager& resources,
                           Listener& listener)
    : Transport(std::move(executor), clock, resources, listener),
      identity_(std::move(identity)),
      random_(random),
      limits_(std::move(limits)),
      tasks_(executor_) {}

TcpTransport::~TcpTransport() = default;

bool TcpTransport::handles(const Multiaddr& address) const {
  return (address.is_tcp() || address.is_websocket()) && address.tcp_endpoint().has_value();
}

Result<void> TcpTransport::listen(const Multiaddr& address) {
  NMP_TRY(auto local, tcp_of(address));
  NMP_TRY(auto tcp, async::StreamListener::tcp(executor_, local));
  local.port = tcp->port();
  sockets_.push_back({std::move(tcp), local, address.is_websocket()});
  return {};
}

void TcpTransport::start() {
  for (std::size_t i = 0; i < sockets_.size(); ++i) tasks_.spawn(accept_loop(i));
}

std::vector<Multiaddr> TcpTransport::listening() const {
  std::vector<Multiaddr> all;
  for (const auto& socket : sockets_)
    for (const auto& address : reachable(socket.local)) all.push_back(address_of(address, socket.websocket));
  return all;
}

// --- connections

TcpTransport::ConnectionPtr TcpTransport::add(bool inbound,
                                              const SocketAddress& remote,
                                              bool websocket,
                                              resources::ConnectionScope share) {
  const ConnectionId id{TransportKind::tcp, ++last_id_};
  auto connection = std::make_shared<Connection>(id, inbound, remote, websocket, executor_);
  connections_.emplace(id.number, connection);
  admit(id, std::move(share));
  if (inbound) {
    handshakes_.insert(id.number);
    connection->untrusted = limits_.untrusted;
  }
  return connection;
}

void TcpTransport::forget(Connection& connection) {
  dismiss(connection.id);
  connections_.erase(connection.id.number);
}

Result<ConnectionId> TcpTransport::dial(const Multiaddr& remote, const PeerId& expected) {
  if (closed_) return fail(Errc::closed);
  NMP_TRY(const auto address, tcp_of(remote));
  NMP_TRY(auto share, resources_.open_outbound(/*descriptor=*/true));
  auto connection = add(/*inbound=*/false, address, remote.is_websocket(), std::move(share));
  connection->expected = expected;
  const auto id = connection->id;
  tasks_.spawn(run(std::move(connection)));
  return id;
}

async::Awaitable<void> TcpTransport::accept_loop(std::size_t index) {
  for (;;) {
    auto accepted = co_await sockets_[index].tcp->accept();
    if (!accepted) {
      if (accepted.error().code != Errc::io) co_return;
      // Out of descriptors.
      if (!co_await async::sleep_until(now() + std::chrono::milliseconds(100))) co_return;
      continue;
    }
    const auto& remote = accepted->remote;
    const resources::Manager::Inbound inbound{.from = remote, .proven = true, .descriptor = true};
    auto share = resources_.open_inbound(inbound, now());
    if (!share || limits_.handshakes_max == 0) {
      ++refused_;
      accepted->stream->reset(0);
      continue;
    }
    if (handshakes_.size() >= limits_.handshakes_max)
      close({TransportKind::tcp, *handshakes_.begin()}, connection_code::kResourceLimit);
    auto connection = add(/*inbound=*/true, remote, sockets_[index].websocket, *std::move(share));
    connection->stream = std::move(accepted->stream);
    tasks_.spawn(run(std::move(connection)));
  }
}

Result<SecuredStream*> TcpTransport::secure_stream(Connection& c, std::string_view protocol) {
  std::unique_ptr<SecuredStream> secured;
  if (protocol == tls::kProtocol) {
    tls::Options options{.expected = c.expected, .muxers = {kYamux}};
    NMP_TRY(auto session, c.inbound ? tls::Session::accept(identity_.tls, std::move(options))
                                    : tls::Session::dial(identity_.tls, std::move(options)));
    secured = secure(std::move(c.stream), std::move(session));
  } else {
    noise::Options options{.expected = c.expected, .muxers = {kYamux}};
    NMP_TRY(auto session, c.inbound ? noise::Session::accept(identity_.key, random_, std::move(options))
                                    : noise::Session::dial(identity_.key, random_, std::move(options)));
    secured = secure(std::move(c.stream), std::move(session));
  }
  auto* stream = secured.get();
  c.stream = std::move(secured);
  return stream;
}

async::Awaitable<Result<void>> TcpTransport::upgrade(ConnectionPtr connection) {
  auto& c = *connection;
  if (!c.inbound) {
    NMP_CO_TRY(c.stream, co_await async::dial_tcp(c.remote, kNever));
  }
  if (c.closing) co_return fail(Errc::closed);
  if (c.websocket) {
    auto session = c.inbound ? websocket::Session::accept() : websocket::Session::dial(authority_of(c.remote), random_);
    auto inside = std::make_unique<WebSocketStream>(executor_, std::move(c.stream), std::move(session));
    auto* websocket = inside.get();
    c.stream = std::move(inside);
    NMP_CO_CHECK(co_await websocket->handshake());
  }
  std::vector<std::string> offered;
  offered.reserve(identity_.security.size());
  for (const auto security : identity_.security) offered.emplace_back(protocol_of(security));
  NMP_CO_TRY(auto secured, co_await settle(*c.stream, std::move(offered), c.inbound));
  NMP_CO_TRY(auto* stream, secure_stream(c, secured.protocol));
  NMP_CO_CHECK(co_await stream->handshake(std::move(secured.early)));
  if (stream->peer() == identity_.id) co_return fail(host::Errc::self_dial);
  if (!stream->muxer()) {
    std::vector<std::string> muxers{kYamux};
    NMP_CO_TRY(auto muxed, co_await settle(*stream, std::move(muxers), c.inbound));
    c.early = std::move(muxed.early);
  }
  c.muxer = c.inbound ? std::make_unique<yamux::Session>(yamux::Role::server, now(), kInboundUnreadBytesMax)
                      : std::make_unique<yamux::Session>(yamux::Role::client, now());
  c.peer = stream->peer();
  co_return Result<void>();
}

async::Awaitable<void> TcpTransport::run(ConnectionPtr connection) {
  auto& c = *connection;
  auto upgrading = upgrade(connection);
  auto result = co_await async::with_deadline(now() + limits_.upgrade_time_max, std::move(upgrading));
  handshakes_.erase(c.id.number);
  if (result && c.closing) result = fail(Errc::closed);
  if (result) {
    tasks_.spawn(write_loop(connection));
    listener_.on_established(c.id);
    result = co_await read_loop(connection);
  }
  c.over = true;
  c.wake.notify_all();
  end_streams(c.id, /*by_us=*/c.closing);
  forget(c);
  listener_.on_closed(c.id, error_of(result ? Error{make_error_code(Errc::closed), "by the peer"} : result.error()));
  if (!c.closing && c.stream != nullptr) c.stream->reset(0);
}

async::Awaitable<Result<void>> TcpTransport::read_loop(ConnectionPtr connection) {
  auto& c = *connection;
  ReadSize wanted(kReadBytes);
  Bytes buffer;
  ByteView input = c.early;
  for (;;) {
    c.received += input.size();
    if (c.untrusted && c.received > c.untrusted->bytes_max) close(c.id, connection_code::kGated);
    c.muxer->on_bytes(input, now());
    account(c.id, c.muxer->unread_bytes() + c.muxer->unsent_bytes());
    dispatch(c);
    touch(c);
    if (c.muxer->closed() && !c.closing) co_return fail(Errc::closed, reason_of(*c.muxer));
    if (buffer.size() != wanted.size()) Bytes(wanted.size()).swap(buffer);
    auto reading = c.stream->read_some(buffer);
    // The goodbye is the writer's, who then ends the stream.
    if (c.closing) reading = async::with_deadline(now() + kGoodbyeTimeMax, std::move(reading));
    NMP_CO_TRY(const auto size, co_await std::move(reading));
    if (size == 0) co_return fail(Errc::closed, "by the peer");
    input = ByteView(buffer).first(size);
    wanted.note(size);
  }
}

async::Awaitable<void> TcpTransport::write_loop(ConnectionPtr connection) {
  auto& c = *connection;
  // As large as what there is to send; given back while there is nothing.
  Bytes buffer;
  while (!c.over) {
    const auto wanted = std::clamp<std::size_t>(c.muxer->unsent_bytes() + kFramesBytes, kFramesBytes, kWriteBytes);
    if (buffer.size() < wanted) buffer.resize(wanted);
    const auto size = c.muxer->next_output(buffer, now());
    dispatch(c);
    if (size == 0) {
      if (c.muxer->closed()) break;
      if (buffer.size() > kFramesBytes) Bytes().swap(buffer);
      auto woken = co_await c.wake.wait(c.muxer->deadline());
      if (!woken && woken.error().code == Errc::cancelled) break;
      if (now() >= c.muxer->deadline()) c.muxer->on_deadline(now());
      continue;
    }
    auto writing = c.stream->write(ByteView(buffer).first(size));
    if (!co_await async::with_deadline(now() + kWriteTimeMax, std::move(writing))) break;
  }
  c.stream->reset(0);  // wakes the reader
}

void TcpTransport::dispatch(Connection& connection) {
  for (;;) {
    const auto events = connection.muxer->take_events();
    if (events.empty()) return;
    for (const auto& event : events) {
      using Kind = yamux::Event::Kind;
      switch (event.kind) {
        case Kind::stream_opened:
          if (connection.untrusted && connection.muxer->streams() > connection.untrusted->streams_max) {
            connection.muxer->release(event.stream, stream_code::kResourceLimit);
          } else {
            listener_.on_stream(connection.id, ours(event.stream));
          }
          break;
        case Kind::streams_available: listener_.on_streams_available(connection.id); break;
        case Kind::readable:
        case Kind::writable: stream_changed(connection.id, ours(event.stream)); break;
        case Kind::closed: break;  // the loops look at closed()
      }
    }
  }
}

TcpTransport::Connection* TcpTransport::find(ConnectionId id) const {
  const auto it = connections_.find(id.number);
  return it == connections_.end() || it->second->muxer == nullptr ? nullptr : it->second.get();
}

void TcpTransport::touch(Connection& connection) { connection.wake.notify_all(); }

std::optional<ConnectionState> TcpTransport::state(ConnectionId id) const {
  const auto* connection = find(id);
  if (connection == nullptr || connection->closing || connection->over || !connection->peer) return std::nullopt;
  return ConnectionState{.peer = *connection->peer,
                         .address = connection->address,
                         .inbound = connection->inbound,
                         .restricted = connection->untrusted.has_value(),
                         .streams = connection->muxer->streams(),
                         .smoothed_rtt = connection->muxer->smoothed_rtt()};
}

void TcpTransport::lift_restriction(ConnectionId id) {
  if (auto* connection = find(id); connection != nullptr) connection->untrusted.reset();
}

void TcpTransport::close(ConnectionId id, std::uint64_t code) {
  const auto it = connections_.find(id.number);
  if (it == connections_.end() || it->second->closing) return;
  auto& connection = *it->second;
  connection.closing = true;
  if (connection.muxer != nullptr) {
    connection.muxer->close(code, now());
    touch(connection);
  } else {
    handshakes_.erase(id.number);
    if (connection.stream != nullptr) connection.stream->reset(code);
  }
}

async::Awaitable<void> TcpTransport::close_all(std::uint64_t code) {
  closed_ = true;
  for (auto& socket : sockets_) socket.tcp->close();
  for (auto& [number, connection] : std::map(connections_)) close(connection->id, code);
  // Their goodbyes.
  const auto until = now() + kGoodbyeTimeMax;
  while (!connections_.empty() && now() < until)
    if (!co_await async::sleep_until(now() + std::chrono::milliseconds(5))) break;
  co_await tasks_.close();
  forget_streams();
}

// --- streams

Result<StreamId> TcpTransport::open_stream(ConnectionId id) {
  auto* connection = find(id);
  if (connection == nullptr || connection->closing) return fail(Errc::closed, "connection");
  auto stream = connection->muxer->open_stream();
  if (stream) return ours(*stream);
  if (stream.error().code == yamux::Errc::stream_limit) return fail(Errc::exhausted, "streams of the connection");
  return fail(Errc::closed, stream.error().message());
}

StreamRead TcpTransport::read(ConnectionId id, StreamId stream, std::span<std::byte> buffer) {
  auto* connection = find(id);
  if (connection == nullptr) return {.broken = true};
  const auto result = connection->muxer->read(theirs(stream), buffer);
  if (result.size > 0) {
    account(id, connection->muxer->unread_bytes() + connection->muxer->unsent_bytes());
    touch(*connection);
  }
  return {.size = result.size, .end = result.end, .broken = result.broken};
}

std::size_t TcpTransport::write(ConnectionId id, StreamId stream, ByteView data) {
  auto* connection = find(id);
  if (connection == nullptr) return 0;
  const auto size = connection->muxer->write(theirs(stream), data);
  account(id, connection->muxer->unread_bytes() + connection->muxer->unsent_bytes());
  touch(*connection);
  return size;
}

bool TcpTransport::can_write(ConnectionId id, StreamId stream) const {
  const auto* connection = find(id);
  return connection != nullptr && connection->muxer->can_write(theirs(stream));
}

void TcpTransport::finish(ConnectionId id, StreamId stream) {
  if (auto* connection = find(id); connection != nullptr) {
    connection->muxer->finish(theirs(stream));
    touch(*connection);
  }
}

void TcpTransport::reset(ConnectionId id, StreamId stream, std::uint64_t code) {
  if (auto* connection = find(id); connection != nullptr) {
    connection->muxer->reset(theirs(stream), code);
    touch(*connection);
  }
}

void TcpTransport::stop_reading(ConnectionId id, StreamId stream, std::uint64_t code) {
  if (auto* connection = find(id); connection != nullptr) {
    connection->muxer->stop_reading(theirs(stream), code);
    touch(*connection);
  }
}

void TcpTransport::release(ConnectionId id, StreamId stream, std::uint64_t code) {
  if (auto* connection = find(id); connection != nullptr) {
    connection->muxer->release(theirs(stream), code);
    touch(*connection);
  }
}

std::optional<std::uint64_t> TcpTransport::peer_code(ConnectionId id, StreamId stream) const {
  const auto* connection = find(id);
  return connection == nullptr ? std::nullopt : connection->muxer->peer_code(theirs(stream));
}

}  // namespace nmp::libp2p
