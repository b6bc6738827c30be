#include "libp2p/host/quic_transport.hpp"

#include <boost/asio/post.hpp>

#include "libp2p/host/addresses.hpp"
#include "libp2p/host/host.hpp"

namespace nmp::libp2p {

namespace {

/// Socket batches taken in a row before others get the thread.
constexpr int kReceiveRounds = 8;
constexpr std::size_t kBufferBytes = 64UZ * 1024 + 2048;

ConnectionId ours(quic::ConnectionId id) { return {TransportKind::quic, static_cast<std::uint64_t>(id)}; }
quic::ConnectionId theirs(ConnectionId id) { return quic::ConnectionId{id.number}; }
StreamId ours(quic::StreamId id) { return StreamId{static_cast<std::int64_t>(id)}; }
quic::StreamId theirs(StreamId id) { return quic::StreamId{static_cast<std::int64_t>(id)}; }

Result<SocketAddress> udp_of(const Multiaddr& address) {
  auto endpoint = address.udp_endpoint();
  if (!address.is_quic_v1() || !endpoint)
    return fail(Errc::unsupported, "not /ip4|ip6/../udp/../quic-v1: " + address.to_text());
  return to_socket(*endpoint);
}

Error error_of(const quic::CloseReason& reason) {
  auto code = make_error_code(host::Errc::dial_failed);
  if (reason.error == quic::Errc::wrong_peer) code = make_error_code(host::Errc::wrong_peer);
  if (reason.error == quic::Errc::self_dial) code = make_error_code(host::Errc::self_dial);
  return {code, make_error_code(reason.error).message() + (reason.text.empty() ? "" : ": " + reason.text)};
}

}  // namespace

QuicTransport::QuicTransport(async::Executor executor,
                             const Clock& clock,
                             quic::Endpoint& endpoint,
                             resources::Manager& resources,
                             Listener& listener)
    : Transport(std::move(executor), clock, resources, listener),
      endpoint_(endpoint),
      buffer_(kBufferBytes),
      rearm_(executor_),
      alive_(std::make_shared<bool>(true)),
      tasks_(executor_) {
  endpoint_.set_gate(this);
}

QuicTransport::~QuicTransport() { endpoint_.set_gate(nullptr); }

quic::Gate::Verdict QuicTransport::ask(const SocketAddress& remote, bool proven, Instant at) {
  const auto fits = resources_.check_inbound(remote, at);
  if (fits) return Verdict::accept;
  if (!proven && fits.error().code != resources::Errc::exceeded) return Verdict::prove;
  resources_.note_refused(fits.error());
  return Verdict::refuse;
}

void QuicTransport::accepted(quic::ConnectionId id, const SocketAddress& remote, bool proven, Instant at) {
  auto share = resources_.open_inbound({.from = remote, .proven = proven, .descriptor = false}, at);
  if (share) {
    admit(ours(id), *std::move(share));
  } else if (auto* quic = endpoint_.find(id); quic != nullptr) {
    quic->close(connection_code::kResourceLimit, at);
  }
}

quic::Connection* QuicTransport::find(ConnectionId id) const { return endpoint_.find(theirs(id)); }

Result<std::size_t> QuicTransport::open_socket(const SocketAddress& address, bool listening) {
  NMP_TRY(auto udp, async::UdpSocket::bind(executor_, address));
  sockets_.emplace_back();
  sockets_.back().udp = std::move(udp);
  sockets_.back().listening = listening;
  auto index = sockets_.size() - 1;
  if (started_) tasks_.spawn(receive_loop(index));
  return index;
}

bool QuicTransport::handles(const Multiaddr& address) const {
  return address.is_quic_v1() && address.udp_endpoint().has_value();
}

Result<void> QuicTransport::listen(const Multiaddr& address) {
  NMP_TRY(auto local, udp_of(address));
  NMP_CHECK(open_socket(local, true));
  endpoint_.set_accepting(true);
  return {};
}

void QuicTransport::start() {
  started_ = true;
  for (std::size_t i = 0; i < sockets_.size(); ++i) tasks_.spawn(receive_loop(i));
  tasks_.spawn(timer_loop());
}

std::vector<Multiaddr> QuicTransport::listening() const {
  std::vector<Multiaddr> all;
  for (const auto& socket : sockets_) {
    if (!socket.listening) continue;
    for (const auto& address : reachable(socket.udp->local())) all.push_back(Multiaddr::quic_v1(to_endpoint(address)));
  }
  return all;
}

Result<std::size_t> QuicTransport::socket_for(const SocketAddress& remote) {
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    const auto& local = sockets_[i].udp->local();
    // libp2p.md section 6: loopback listeners are only used for loopback destinations.
    if (local.is_v6 == remote.is_v6 && (local.is_wildcard() || local.is_loopback() == remote.is_loopback())) return i;
  }
  SocketAddress any;
  any.is_v6 = remote.is_v6;
  return open_socket(any, false);
}

Result<ConnectionId> QuicTransport::dial(const Multiaddr& remote, const PeerId& expected) {
  if (closed_) return fail(Errc::closed);
  NMP_TRY(const auto address, udp_of(remote));
  NMP_TRY(auto index, socket_for(address));
  quic::Connection::Path path{index, sockets_[index].udp->local(), address};
  NMP_TRY(auto share, resources_.open_outbound(/*descriptor=*/false));
  NMP_TRY(auto id, endpoint_.dial(path, expected, now()));
  admit(ours(id), std::move(share));
  want_flush();
  return ours(id);
}

std::optional<ConnectionState> QuicTransport::state(ConnectionId id) const {
  auto* quic = find(id);
  if (quic == nullptr || quic->closed()) return std::nullopt;
  const auto& peer = quic->peer();
  if (!quic->established() || !peer) return std::nullopt;
  return ConnectionState{.peer = *peer,
                         .address = Multiaddr::quic_v1(to_endpoint(quic->remote())),
                         .inbound = quic->inbound(),
                         .restricted = quic->restricted(),
                         .streams = quic->streams(),
                         .smoothed_rtt = quic->smoothed_rtt()};
}

void QuicTransport::lift_restriction(ConnectionId id) {
  if (auto* quic = find(id); quic != nullptr) {
    quic->lift_restriction();
    touch(id);
  }
}

void QuicTransport::touch(ConnectionId id) {
  endpoint_.touch(theirs(id));
  want_flush();
}

void QuicTransport::close(ConnectionId id, std::uint64_t code) {
  if (auto* quic = find(id); quic != nullptr) {
    quic->close(code, now());
    touch(id);
  }
}

Result<StreamId> QuicTransport::open_stream(ConnectionId id) {
  auto* quic = find(id);
  if (quic == nullptr || quic->closed()) return fail(Errc::closed, "connection");
  auto stream = quic->open_stream();
  if (stream) return ours(*stream);
  if (stream.error().code == quic::Errc::stream_limit) return fail(Errc::exhausted, "streams of the connection");
  return fail(Errc::closed, stream.error().message());
}

StreamRead QuicTransport::read(ConnectionId id, StreamId stream, std::span<std::byte> buffer) {
  auto* quic = find(id);
  if (quic == nullptr) return {.broken = true};
  const auto result = quic->read(theirs(stream), buffer);
  if (result.size > 0) {
    account(id, quic->held_bytes());
    touch(id);
  }
  return {.size = result.size, .end = result.end, .broken = result.broken};
}

std::size_t QuicTransport::write(ConnectionId id, StreamId stream, ByteView data) {
  auto* quic = find(id);
  if (quic == nullptr) return 0;
  const auto size = quic->write(theirs(stream), data);
  account(id, quic->held_bytes());
  touch(id);
  return size;
}

bool QuicTransport::can_write(ConnectionId id, StreamId stream) const {
  auto* quic = find(id);
  return quic != nullptr && quic->can_write(theirs(stream));
}

void QuicTransport::finish(ConnectionId id, StreamId stream) {
  if (auto* quic = find(id); quic != nullptr) {
    quic->finish(theirs(stream));
    touch(id);
  }
}

void QuicTransport::reset(ConnectionId id, StreamId stream, std::uint64_t code) {
  if (auto* quic = find(id); quic != nullptr) {
    quic->reset(theirs(stream), code);
    touch(id);
  }
}

void QuicTransport::stop_reading(ConnectionId id, StreamId stream, std::uint64_t code) {
  if (auto* quic = find(id); quic != nullptr) {
    quic->stop_reading(theirs(stream), code);
    touch(id);
  }
}

void QuicTransport::release(ConnectionId id, StreamId stream, std::uint64_t code) {
  if (auto* quic = find(id); quic != nullptr) {
    quic->release(theirs(stream), code);
    touch(id);
  }
}

std::optional<std::uint64_t> QuicTransport::peer_code(ConnectionId id, StreamId stream) const {
  auto* quic = find(id);
  return quic == nullptr ? std::nullopt : quic->peer_code(theirs(stream));
}

void QuicTransport::want_flush() {
  if (flush_wanted_ || closed_) return;
  flush_wanted_ = true;
  boost::asio::post(executor_, [this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    flush_wanted_ = false;
    if (!closed_) flush();
  });
}

bool QuicTransport::any_blocked() const {
  for (const auto& socket : sockets_) {
    if (socket.blocked) return true;
  }
  return false;
}

void QuicTransport::flush() {
  auto time = now();
  dispatch();
  while (!any_blocked()) {
    auto batch = endpoint_.next_batch(buffer_, time);
    if (!batch) break;
    send(*batch);
  }
  dispatch();
  if (endpoint_.deadline() < armed_) rearm_.notify_all();
}

void QuicTransport::send(const quic::Batch& batch) {
  auto& socket = sockets_[batch.socket];
  datagrams_sent_ += (batch.size + batch.segment - 1) / batch.segment;
  auto bytes = ByteView(buffer_).first(batch.size);
  auto taken = socket.udp->send(bytes, batch.segment, batch.remote, &batch.local);
  if (taken == batch.size) return;
  socket.backlog = to_bytes(bytes.subspan(taken));
  socket.backlog_batch = batch;
  socket.blocked = true;
  if (started_) tasks_.spawn(write_loop(batch.socket));
}

void QuicTransport::dispatch() {
  for (;;) {
    auto events = endpoint_.take_events();
    if (events.empty()) return;
    for (const auto& [id, event] : events) {
      using Kind = quic::Event::Kind;
      switch (event.kind) {
        case Kind::handshake_completed: listener_.on_established(ours(id)); break;
        case Kind::stream_opened: listener_.on_stream(ours(id), ours(event.stream)); break;
        case Kind::streams_available: listener_.on_streams_available(ours(id)); break;
        case Kind::readable:
        case Kind::writable:
          if (const auto* quic = endpoint_.find(id); quic != nullptr) account(ours(id), quic->held_bytes());
          stream_changed(ours(id), ours(event.stream));
          break;
        case Kind::closed: {
          quic::CloseReason reason;
          if (auto* quic = endpoint_.find(id); quic != nullptr) reason = quic->close_reason().value_or(reason);
          end_streams(ours(id), /*by_us=*/reason.error == quic::Errc::local_close);
          dismiss(ours(id));
          listener_.on_closed(ours(id), error_of(reason));
          break;
        }
      }
    }
  }
}

async::Awaitable<void> QuicTransport::receive_loop(std::size_t index) {
  for (;;) {
    if (!co_await sockets_[index].udp->wait_readable()) co_return;
    auto time = now();
    for (int round = 0; round < kReceiveRounds; ++round) {
      auto batch = sockets_[index].udp->receive();
      if (!batch) co_return;
      if (batch->empty()) break;
      for (const auto& datagram : *batch) {
        quic::Connection::Path path{index, datagram.local, datagram.remote};
        endpoint_.on_datagram(path, datagram.bytes, time);
      }
      flush();
    }
  }
}

async::Awaitable<void> QuicTransport::write_loop(std::size_t index) {
  while (!sockets_[index].backlog.empty()) {
    if (!co_await sockets_[index].udp->wait_writable()) co_return;
    auto& socket = sockets_[index];
    auto taken = socket.udp->send(socket.backlog, socket.backlog_batch.segment, socket.backlog_batch.remote,
                                  &socket.backlog_batch.local);
    socket.backlog.erase(socket.backlog.begin(), socket.backlog.begin() + static_cast<std::ptrdiff_t>(taken));
  }
  sockets_[index].blocked = false;
  flush();
}

async::Awaitable<void> QuicTransport::timer_loop() {
  for (;;) {
    armed_ = endpoint_.deadline();
    auto waited = co_await rearm_.wait(armed_);
    if (!waited && waited.error().code == Errc::cancelled) co_return;
    auto time = now();
    if (endpoint_.deadline() > time) continue;
    endpoint_.on_deadline(time);
    armed_ = kNever;
    flush();
  }
}

async::Awaitable<void> QuicTransport::close_all(std::uint64_t code) {
  endpoint_.close_all(code, now());
  for (auto& socket : sockets_) socket.blocked = false;
  flush();
  closed_ = true;
  co_await tasks_.close();
  for (auto& socket : sockets_) socket.udp->close();
  forget_streams();
}

}  // namespace nmp::libp2p
