#include "libp2p/yamux/session.hpp"

#include <limits>

namespace nmp::libp2p::yamux {

namespace {

constexpr std::uint32_t kU32Max = std::numeric_limits<std::uint32_t>::max();
/// libp2p.md section 6, "code out of range": what no 32 bits hold.
constexpr std::uint32_t kConnectionCodeOutOfRange = 0x1008;
constexpr std::uint32_t kStreamCodeOutOfRange = 0x1009;
/// yamux/README.md, "Session termination".
constexpr std::uint32_t kGoAwayProtocolError = 1;
/// libp2p.md section 6, of a connection.
constexpr std::uint32_t kRateLimited = 0x1002;

std::uint32_t stream_code(std::uint64_t code) {
  return code <= kU32Max ? static_cast<std::uint32_t>(code) : kStreamCodeOutOfRange;
}

std::uint32_t go_away_code(Errc error) {
  switch (error) {
    case Errc::open_flood:
    case Errc::reset_flood:
    case Errc::ping_flood:
    case Errc::idle_flood:
    case Errc::refusal_flood: return kRateLimited;
    default: return kGoAwayProtocolError;
  }
}

}  // namespace

Session::Session(Role role, Instant now, std::size_t unread_bytes_max)
    : role_(role),
      unread_bytes_max_(unread_bytes_max),
      growth_max_(std::min(kWindowGrowthMax, unread_bytes_max / 2)),
      now_(now),
      next_id_(role == Role::client ? 1 : 2),
      next_ping_(now),
      heard_(now) {
  // The first round-trip time is wanted at once: windows grow by it.
  ping_ = Ping{now, std::nullopt};
}

bool Session::is_ours(StreamId id) const { return (std::to_underlying(id) % 2 == 1) == (role_ == Role::client); }

Stream* Session::find(StreamId id) {
  auto it = streams_.find(id);
  return it == streams_.end() ? nullptr : &it->second;
}
const Stream* Session::find(StreamId id) const {
  auto it = streams_.find(id);
  return it == streams_.end() ? nullptr : &it->second;
}

// --- events ---------------------------------------------------------------------------------------------------------

void Session::post(Stream& stream, Event::Kind kind) {
  if (stream.released) return;
  auto& posted = kind == Event::Kind::readable ? stream.readable_posted : stream.writable_posted;
  if (std::exchange(posted, true)) return;
  events_.push_back({kind, stream.id});
}

std::vector<Event> Session::take_events() {
  auto events = std::exchange(events_, {});
  for (const auto& event : events) {
    if (auto* stream = find(event.stream); stream != nullptr) stream->readable_posted = stream->writable_posted = false;
  }
  return events;
}

void Session::announce_streams() {
  if (!open_was_refused_ || closed() || going_away()) return;
  if (awaiting_ack_ >= kAckBacklogMax || streams_.size() >= kStreamsMax) return;
  open_was_refused_ = false;
  events_.push_back({Event::Kind::streams_available});
}

// --- time -----------------------------------------------------------------------------------------------------------

Instant Session::deadline() const {
  if (closed()) return kNever;
  const auto ping = ping_ ? ping_->since + kPongTimeout : next_ping_;
  return lingering_.empty() ? ping : std::min(ping, lingering_.begin()->first);
}

void Session::on_deadline(Instant now) {
  clamp(now);
  if (closed()) return;
  while (!lingering_.empty() && lingering_.begin()->first <= now_) {
    auto& stream = *find(lingering_.begin()->second);
    stop_lingering(stream);
    begin_reset(stream, stream.code);
  }
  if (ping_ && now_ >= ping_->since + kPongTimeout) {
    if (heard_ <= ping_->since) return end({Errc::ping_timeout, 0, {}}, /*say_so=*/false);
    // Busy, but no pong: go drops some. The next ping has another number.
    ping_.reset();
    next_ping_ = now_;
  }
  if (!ping_ && now_ >= next_ping_) {
    ++ping_number_;
    ping_ = Ping{now_, std::nullopt};
  }
}

// --- the session's end ----------------------------------------------------------------------------------------------

void Session::end(CloseReason reason, bool say_so) {
  if (closed()) return;
  go_away_due_ = say_so;
  go_away_code_ = reason.code;
  reason_ = std::move(reason);
  control_queue_.clear();
  send_queue_.clear();
  refusals_.clear();
  lingering_.clear();
  pong_.reset();
  unsent_ = 0;
  for (auto it = streams_.begin(); it != streams_.end();) {
    auto& stream = (it++)->second;
    stream.gone = stream.write_over = true;
    stream.send.clear();
    if (!stream.end_received) stream.broken = true;
    if (stream.released) forget(stream);
  }
  events_.push_back({Event::Kind::closed});
}

void Session::violation(Errc error, std::string text) {
  end({error, go_away_code(error), std::move(text)}, /*say_so=*/true);
}

void Session::close(std::uint64_t code, Instant now) {
  clamp(now);
  const auto wire = code <= kU32Max ? static_cast<std::uint32_t>(code) : kConnectionCodeOutOfRange;
  end({Errc::local_close, wire, {}}, /*say_so=*/true);
}

void Session::on_transport_end(Instant now) {
  clamp(now);
  go_away_due_ = false;
  end({peer_goes_away_ ? Errc::peer_close : Errc::transport_closed, 0, {}}, /*say_so=*/false);
}

void Session::go_away() {
  if (closed() || std::exchange(we_go_away_, true)) return;
  go_away_due_ = true;
}

// --- streams, from their owner --------------------------------------------------------------------------------------

Result<StreamId> Session::open_stream() {
  if (closed()) return fail(Errc::local_close);
  if (going_away()) return fail(Errc::going_away);
  if (next_id_ > kU32Max) return fail(Errc::ids_exhausted);
  if (awaiting_ack_ >= kAckBacklogMax || streams_.size() >= kStreamsMax) {
    open_was_refused_ = true;
    return fail(Errc::stream_limit);
  }
  const StreamId id{static_cast<std::uint32_t>(next_id_)};
  next_id_ += 2;
  auto& stream = streams_.try_emplace(id, id, /*by_us=*/true, now_).first->second;
  stream.syn_due = stream.awaits_ack = true;
  ++awaiting_ack_;
  return id;
}

std::size_t Session::write(StreamId id, ByteView data) {
  if (!can_write(id)) return 0;
  auto& stream = *find(id);
  const auto size = std::min(data.size(), room(stream));
  if (size < data.size()) stream.writer_waits = writers_wait_for_share_ = true;
  stream.send.append(data.first(size));
  unsent_ += size;
  want_turn(stream);
  return size;
}

bool Session::can_write(StreamId id) const {
  const auto* stream = find(id);
  return stream != nullptr && !stream->write_over && !stream->finish_wanted && !closed();
}

void Session::finish(StreamId id) {
  if (!can_write(id)) return;
  auto& stream = *find(id);
  stream.finish_wanted = true;
  want_turn(stream);
}

ReadResult Session::read(StreamId id, std::span<std::byte> buffer) {
  auto* stream = find(id);
  if (stream == nullptr || stream->released) return {.broken = true};
  ReadResult result;
  result.size = stream->received.take(buffer);
  unread_ -= result.size;
  if (result.size == 0) {
    result.end = stream->end_received && !stream->broken;
    result.broken = stream->broken;
  } else if (stream->wants_credit()) {
    want_control(*stream);
  }
  return result;
}

void Session::reset(StreamId id, std::uint64_t code) {
  auto* stream = find(id);
  if (stream == nullptr) return;
  drop_received(*stream);
  stream->broken = true;
  begin_reset(*stream, stream_code(code));
}

void Session::stop_reading(StreamId id, std::uint64_t code) {
  auto* stream = find(id);
  if (stream == nullptr) return;
  drop_received(*stream);
  stream->broken = true;
  if (stream->gone || stream->reset_due || stream->end_received || std::exchange(stream->stopped, true)) return;
  stream->code = stream_code(code);
  watch(*stream);
}

void Session::release(StreamId id, std::uint64_t code) {
  auto* stream = find(id);
  if (stream == nullptr || stream->released) return;
  stream->released = true;
  if (!stream->write_over && !stream->finish_wanted) {
    reset(id, code);
  } else {
    if (!stream->stopped && !stream->reset_due) stream->code = stream_code(code);
    stop_reading(id, code);
  }
  // What was never announced has left with its reset.
  stream = find(id);
  if (stream == nullptr) return;
  if (stream->gone) return forget(*stream);
  watch(*stream);
}

std::optional<std::uint64_t> Session::peer_code(StreamId id) const {
  const auto* stream = find(id);
  return stream == nullptr ? std::nullopt : stream->peer_code;
}

// --- how streams end ------------------------------------------------------------------------------------------------

void Session::end_writing(Stream& stream) {
  stream.write_over = true;
  unsent_ -= stream.send.size();
  stream.send.clear();
  wake_writer(stream);
}

void Session::drop_received(Stream& stream) {
  unread_ -= stream.received.size();
  stream.received.clear();
}

void Session::begin_reset(Stream& stream, std::uint32_t code) {
  end_writing(stream);
  if (stream.gone || stream.reset_due) return;
  if (!stream.end_received) {
    drop_received(stream);
    stream.broken = true;
  }
  // The peer has never heard of it, and need not.
  if (stream.syn_due) return leave_wire(stream);
  stream.reset_due = true;
  stream.code = code;
  want_control(stream);
}

void Session::watch(Stream& stream) {
  stop_lingering(stream);
  // What waits for the transport waits as long as the session lives.
  if (stream.gone || stream.reset_due || stream.wants_turn()) return;
  const bool only_peer_is_open = stream.finish_sent && (stream.stopped || stream.released);
  if (!only_peer_is_open && !stream.released) return;
  stream.lingers_until = now_ + (only_peer_is_open ? kLingerTimeout : kStallTimeout);
  lingering_.emplace(*stream.lingers_until, stream.id);
}

void Session::stop_lingering(Stream& stream) {
  if (!stream.lingers_until) return;
  lingering_.erase({*stream.lingers_until, stream.id});
  stream.lingers_until.reset();
}

void Session::no_ack_awaited(Stream& stream) {
  if (!std::exchange(stream.awaits_ack, false)) return;
  --awaiting_ack_;
  announce_streams();
}

void Session::leave_wire(Stream& stream) {
  stream.gone = true;
  stream.reset_due = false;
  stop_lingering(stream);
  no_ack_awaited(stream);
  if (stream.released) forget(stream);
}

void Session::forget(Stream& stream) {
  drop_received(stream);
  no_ack_awaited(stream);
  growth_ -= stream.window.growth();
  if (!stream.ours) --peer_streams_;
  if (stream.control_queued) std::erase(control_queue_, stream.id);
  if (stream.send_queued) std::erase(send_queue_, stream.id);
  streams_.erase(StreamId{stream.id});
  announce_streams();
}

}  // namespace nmp::libp2p::yamux
