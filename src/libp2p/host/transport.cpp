#include "libp2p/host/transport.hpp"

#include <limits>

#include "libp2p/host/stream.hpp"

namespace nmp::libp2p {

namespace {
/// Buffers are counted in steps of this: a flow of small pieces does not count each.
constexpr std::uint64_t kAccountStepBytes = 64UZ * 1024;
}  // namespace

StreamRead StreamCore::read(std::span<std::byte> buffer) {
  if (transport != nullptr) return transport->read(connection, id, buffer);
  StreamRead result;
  result.size = leftover.take(buffer);
  if (result.size == 0) {
    result.end = leftover_end;
    result.broken = !leftover_end;
  }
  return result;
}

std::size_t StreamCore::write(ByteView data) {
  return transport == nullptr ? 0 : transport->write(connection, id, data);
}

bool StreamCore::can_write() const { return transport != nullptr && transport->can_write(connection, id); }

void StreamCore::finish() {
  if (transport != nullptr) transport->finish(connection, id);
}

void StreamCore::reset(std::uint64_t code) noexcept {
  leftover.clear();
  leftover_end = false;
  if (transport != nullptr) transport->reset(connection, id, code);
  changed.notify_all();
}

void StreamCore::stop_reading(std::uint64_t code) noexcept {
  leftover.clear();
  leftover_end = false;
  if (transport != nullptr) transport->stop_reading(connection, id, code);
  changed.notify_all();
}

std::optional<std::uint64_t> StreamCore::peer_code() const {
  return transport != nullptr ? transport->peer_code(connection, id) : last_code;
}

Transport::~Transport() {
  for (auto& [key, core] : streams_) core->transport = nullptr;
  for (auto& [key, core] : draining_) core->transport = nullptr;
}

resources::ConnectionScope* Transport::scope(ConnectionId id) {
  const auto it = admitted_.find(id);
  return it == admitted_.end() ? nullptr : &it->second.scope;
}

void Transport::admit(ConnectionId id, resources::ConnectionScope scope) {
  admitted_.emplace(id, Admitted{std::move(scope)});
}

void Transport::dismiss(ConnectionId id) { admitted_.erase(id); }

void Transport::account(ConnectionId id, std::uint64_t held_bytes) {
  const auto it = admitted_.find(id);
  if (it == admitted_.end()) return;
  auto& counted = it->second.held_bytes;
  const auto change = held_bytes > counted ? held_bytes - counted : counted - held_bytes;
  if (change < kAccountStepBytes && (held_bytes > 0 || counted == 0)) return;
  counted = held_bytes;
  if (!it->second.scope.hold(held_bytes)) close(id, connection_code::kResourceLimit);
}

Result<StreamCorePtr> Transport::adopt(ConnectionId id, StreamId stream, resources::Direction direction) {
  auto* connection = scope(id);
  if (connection == nullptr) return fail(Errc::closed, "connection");
  NMP_TRY(auto share, connection->open_stream(direction));
  auto core = std::make_shared<StreamCore>(*this, id, stream, std::move(share), executor_);
  streams_.insert_or_assign({id, stream}, core);
  return core;
}

void Transport::let_go(const StreamCorePtr& core, bool drain_first) {
  StreamKey key{core->connection, core->id};
  streams_.erase(key);
  if (drain_first && draining_.size() < kDrainingStreamsMax) {
    draining_.emplace(key, core);
    drain(*core);
    return;
  }
  release(core->connection, core->id, 0);
}

void Transport::drain(StreamCore& core) {
  std::array<std::byte, 1024> sink;
  std::size_t total = 0;
  auto result = core.read(sink);
  while (result.size > 0 && total < kDrainBytesMax) {
    total += result.size;
    result = core.read(sink);
  }
  if (result.size == 0 && !result.end && !result.broken) return;
  release(core.connection, core.id, 0);
  draining_.erase({core.connection, core.id});
}

void Transport::stream_changed(ConnectionId id, StreamId stream) {
  if (auto it = streams_.find({id, stream}); it != streams_.end()) {
    it->second->changed.notify_all();
  } else if (auto at = draining_.find({id, stream}); at != draining_.end()) {
    auto core = at->second;
    drain(*core);
  }
}

void Transport::end_streams(ConnectionId id, bool by_us) {
  StreamKey first{id, StreamId{std::numeric_limits<std::int64_t>::min()}};
  for (auto it = draining_.lower_bound(first); it != draining_.end() && it->first.first == id;)
    it = draining_.erase(it);
  for (auto it = streams_.lower_bound(first); it != streams_.end() && it->first.first == id; it = streams_.erase(it)) {
    auto& core = *it->second;
    if (!by_us) {
      // What had arrived stays readable, as on a TCP connection; at most the stream's window.
      std::array<std::byte, 4096> piece;
      auto result = read(id, core.id, piece);
      while (result.size > 0) {
        core.leftover.append(ByteView(piece).first(result.size));
        result = read(id, core.id, piece);
      }
      core.leftover_end = result.end;
      // The connection counted it until now.
      if (!core.scope.reserve(core.leftover.size())) {
        core.leftover.clear();
        core.leftover_end = false;
      }
      core.last_code = peer_code(id, core.id);
    }
    release(id, core.id, 0);
    core.transport = nullptr;
    core.changed.notify_all();
  }
}

void Transport::forget_streams() {
  for (auto& [key, core] : streams_) {
    core->transport = nullptr;
    core->changed.notify_all();
  }
  streams_.clear();
  draining_.clear();
  admitted_.clear();
}

}  // namespace nmp::libp2p
