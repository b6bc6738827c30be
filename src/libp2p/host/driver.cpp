#include "libp2p/host/driver.hpp"

#include <boost/asio/post.hpp>

namespace nmp::libp2p {

namespace {

/// Socket batches taken in a row before others get the thread.
constexpr int kReceiveRounds = 8;
constexpr std::size_t kBufferBytes = 64UZ * 1024 + 2048;

}  // namespace

quic::ReadResult StreamCore::read(std::span<std::byte> buffer) {
  if (driver != nullptr) {
    if (auto* quic = driver->find(connection); quic != nullptr) {
      auto result = quic->read(id, buffer);
      if (result.size > 0) driver->touch(connection);
      return result;
    }
  }
  quic::ReadResult result;
  result.size = leftover.take(buffer);
  if (result.size == 0) {
    result.end = leftover_end;
    result.broken = !leftover_end;
  }
  return result;
}

std::size_t StreamCore::write(ByteView data) {
  auto* quic = driver != nullptr ? driver->find(connection) : nullptr;
  if (quic == nullptr) return 0;
  auto size = quic->write(id, data);
  driver->touch(connection);
  return size;
}

bool StreamCore::can_write() const {
  auto* quic = driver != nullptr ? driver->find(connection) : nullptr;
  return quic != nullptr && quic->can_write(id);
}

void StreamCore::finish() {
  auto* quic = driver != nullptr ? driver->find(connection) : nullptr;
  if (quic == nullptr) return;
  quic->finish(id);
  driver->touch(connection);
}

void StreamCore::reset(std::uint64_t code) noexcept {
  leftover.clear();
  leftover_end = false;
  auto* quic = driver != nullptr ? driver->find(connection) : nullptr;
  if (quic != nullptr) {
    quic->reset(id, code);
    driver->touch(connection);
  }
  changed.notify_all();
}

void StreamCore::stop_reading(std::uint64_t code) noexcept {
  leftover.clear();
  leftover_end = false;
  auto* quic = driver != nullptr ? driver->find(connection) : nullptr;
  if (quic != nullptr) {
    quic->stop_reading(id, code);
    driver->touch(connection);
  }
  changed.notify_all();
}

std::optional<std::uint64_t> StreamCore::peer_code() const {
  auto* quic = driver != nullptr ? driver->find(connection) : nullptr;
  return quic != nullptr ? quic->peer_code(id) : last_code;
}

Driver::Driver(async::Executor executor, const Clock& clock, quic::Endpoint& endpoint, Listener& listener)
    : executor_(std::move(executor)),
      clock_(clock),
      endpoint_(endpoint),
      listener_(listener),
      buffer_(kBufferBytes),
      rearm_(executor_),
      alive_(std::make_shared<bool>(true)),
      tasks_(executor_) {}

Driver::~Driver() {
  for (auto& [key, core] : streams_) core->driver = nullptr;
  for (auto& [key, core] : draining_) core->driver = nullptr;
}

Result<std::size_t> Driver::open_socket(const SocketAddress& address, bool listening) {
  NMP_TRY(auto udp, async::UdpSocket::bind(executor_, address));
  sockets_.emplace_back();
  sockets_.back().udp = std::move(udp);
  sockets_.back().listening = listening;
  auto index = sockets_.size() - 1;
  if (started_) tasks_.spawn(receive_loop(index));
  return index;
}

Result<SocketAddress> Driver::listen(const SocketAddress& address) {
  NMP_TRY(auto index, open_socket(address, true));
  endpoint_.set_accepting(true);
  return sockets_[index].udp->local();
}

void Driver::start() {
  started_ = true;
  for (std::size_t i = 0; i < sockets_.size(); ++i) tasks_.spawn(receive_loop(i));
  tasks_.spawn(timer_loop());
}

std::vector<SocketAddress> Driver::listening() const {
  std::vector<SocketAddress> all;
  for (const auto& socket : sockets_) {
    if (socket.listening) all.push_back(socket.udp->local());
  }
  return all;
}

Result<std::size_t> Driver::socket_for(const SocketAddress& remote) {
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    const auto& local = sockets_[i].udp->local();
    // libp2p.md section 6: loopback listeners are only used for loopback destinations.
    if (local.is_v6 == remote.is_v6 && (local.is_wildcard() || local.is_loopback() == remote.is_loopback())) return i;
  }
  SocketAddress any;
  any.is_v6 = remote.is_v6;
  return open_socket(any, false);
}

Result<quic::ConnectionId> Driver::dial(const SocketAddress& remote, const PeerId& expected) {
  if (closed_) return fail(Errc::closed);
  NMP_TRY(auto index, socket_for(remote));
  quic::Connection::Path path{index, sockets_[index].udp->local(), remote};
  NMP_TRY(auto id, endpoint_.dial(path, expected, now()));
  want_flush();
  return id;
}

void Driver::touch(quic::ConnectionId id) {
  endpoint_.touch(id);
  want_flush();
}

void Driver::close(quic::ConnectionId id, std::uint64_t code) {
  if (auto* quic = endpoint_.find(id); quic != nullptr) {
    quic->close(code, now());
    touch(id);
  }
}

StreamCorePtr Driver::adopt(quic::ConnectionId id, quic::StreamId stream) {
  auto core = std::make_shared<StreamCore>(*this, id, stream, executor_);
  streams_.insert_or_assign({id, stream}, core);
  return core;
}

void Driver::release(const StreamCorePtr& core, bool drain_first) {
  StreamKey key{core->connection, core->id};
  streams_.erase(key);
  auto* quic = endpoint_.find(core->connection);
  if (quic == nullptr) return;
  if (drain_first && draining_.size() < kDrainingStreamsMax) {
    draining_.emplace(key, core);
    drain(*core);
    return;
  }
  quic->release(core->id, 0);
  touch(core->connection);
}

void Driver::drain(StreamCore& core) {
  std::array<std::byte, 1024> sink;
  std::size_t total = 0;
  auto result = core.read(sink);
  while (result.size > 0 && total < kDrainBytesMax) {
    total += result.size;
    result = core.read(sink);
  }
  if (result.size == 0 && !result.end && !result.broken) return;
  if (auto* quic = endpoint_.find(core.connection); quic != nullptr) {
    quic->release(core.id, 0);
    touch(core.connection);
  }
  draining_.erase({core.connection, core.id});
}

void Driver::end_streams(quic::ConnectionId id) {
  auto* quic = endpoint_.find(id);
  auto reason = quic == nullptr ? std::nullopt : quic->close_reason();
  bool ours = reason && reason->error == quic::Errc::local_close;
  StreamKey first{id, quic::StreamId{std::numeric_limits<std::int64_t>::min()}};
  for (auto it = draining_.lower_bound(first); it != draining_.end() && it->first.first == id;)
    it = draining_.erase(it);
  for (auto it = streams_.lower_bound(first); it != streams_.end() && it->first.first == id; it = streams_.erase(it)) {
    auto& core = *it->second;
    if (quic != nullptr && ours) quic->release(core.id, 0);
    if (quic != nullptr && !ours) {
      // What had arrived stays readable, as on a TCP connection; at most the stream's window.
      std::array<std::byte, 4096> piece;
      auto result = quic->read(core.id, piece);
      while (result.size > 0) {
        core.leftover.append(ByteView(piece).first(result.size));
        result = quic->read(core.id, piece);
      }
      core.leftover_end = result.end;
      core.last_code = quic->peer_code(core.id);
      quic->release(core.id, 0);
    }
    core.driver = nullptr;
    core.changed.notify_all();
  }
}

void Driver::want_flush() {
  if (flush_wanted_ || closed_) return;
  flush_wanted_ = true;
  boost::asio::post(executor_, [this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    flush_wanted_ = false;
    if (!closed_) flush();
  });
}

bool Driver::any_blocked() const {
  for (const auto& socket : sockets_) {
    if (socket.blocked) return true;
  }
  return false;
}

void Driver::flush() {
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

void Driver::send(const quic::Batch& batch) {
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

void Driver::dispatch() {
  for (;;) {
    auto events = endpoint_.take_events();
    if (events.empty()) return;
    for (const auto& [id, event] : events) {
      using Kind = quic::Event::Kind;
      switch (event.kind) {
        case Kind::handshake_completed: listener_.on_established(id); break;
        case Kind::stream_opened: listener_.on_stream(id, event.stream); break;
        case Kind::streams_available: listener_.on_streams_available(id); break;
        case Kind::readable:
        case Kind::writable:
          if (auto it = streams_.find({id, event.stream}); it != streams_.end()) {
            it->second->changed.notify_all();
          } else if (auto at = draining_.find({id, event.stream}); at != draining_.end()) {
            auto core = at->second;
            drain(*core);
          }
          break;
        case Kind::closed: {
          end_streams(id);
          auto* quic = endpoint_.find(id);
          quic::CloseReason reason;
          if (quic != nullptr) reason = quic->close_reason().value_or(reason);
          listener_.on_closed(id, reason);
          break;
        }
      }
    }
  }
}

async::Awaitable<void> Driver::receive_loop(std::size_t index) {
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

async::Awaitable<void> Driver::write_loop(std::size_t index) {
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

async::Awaitable<void> Driver::timer_loop() {
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

async::Awaitable<void> Driver::close_all(std::uint64_t code) {
  endpoint_.close_all(code, now());
  for (auto& socket : sockets_) socket.blocked = false;
  flush();
  closed_ = true;
  co_await tasks_.close();
  for (auto& socket : sockets_) socket.udp->close();
  for (auto& [key, core] : streams_) {
    core->driver = nullptr;
    core->changed.notify_all();
  }
  streams_.clear();
  draining_.clear();
}

}  // namespace nmp::libp2p
