#include <limits>

#include "libp2p/yamux/session.hpp"

namespace nmp::libp2p::yamux {

namespace {

/// libp2p.md section 6, of a stream.
constexpr std::uint32_t kResourceLimit = 0x1002;
constexpr std::uint32_t kShutdown = 0x1007;

}  // namespace

void Session::on_bytes(ByteView bytes, Instant now) {
  clamp(now);
  if (closed()) return;
  if (!bytes.empty()) heard_ = now_;
  while (!bytes.empty() && !closed()) {
    if (payload_left_ > 0) {
      const auto piece = bytes.first(std::min<std::size_t>(bytes.size(), payload_left_));
      bytes = bytes.subspan(piece.size());
      on_payload(piece);
      continue;
    }
    const auto piece = bytes.first(std::min(bytes.size(), kHeaderBytes - header_held_));
    std::ranges::copy(piece, std::span(header_).subspan(header_held_).begin());
    header_held_ += piece.size();
    bytes = bytes.subspan(piece.size());
    if (header_held_ < kHeaderBytes) return;
    header_held_ = 0;
    const auto header = decode(header_);
    if (!header) return violation(static_cast<Errc>(header.error().code.value()), header.error().context);
    on_frame(*header);
  }
}

void Session::on_frame(const FrameHeader& header) {
  switch (header.type) {
    case FrameType::ping: return on_ping(header);
    case FrameType::go_away: return on_go_away(header.length);
    case FrameType::data:
    case FrameType::window_update: return on_stream_frame(header);
  }
}

void Session::on_ping(const FrameHeader& header) {
  if (header.has(kAck) && ping_ && ping_->sent && header.length == ping_number_) {
    const auto sample = now_ - *ping_->sent;
    rtt_ = rtt_ ? (*rtt_ + sample) / 2 : sample;
    ping_.reset();
    next_ping_ = now_ + kPingInterval;
    return;
  }
  // A pong that nobody waits for may be one that came too late.
  if (!pings_.take(now_)) return violation(Errc::ping_flood);
  if (header.has(kSyn)) pong_ = header.length;
}

void Session::on_go_away(std::uint32_t code) {
  if (code != 0) return end({Errc::peer_close, code, {}}, /*say_so=*/false);
  if (std::exchange(peer_goes_away_, true) && !idle_frames_.take(now_)) violation(Errc::idle_flood);
}

void Session::on_stream_frame(const FrameHeader& header) {
  const bool data = header.type == FrameType::data;
  if (data && header.length > kFrameBytesMax) return violation(Errc::frame_too_large);
  if (header.has(kSyn) && !on_syn(header)) return;
  auto* stream = find(header.stream);
  const bool announced = stream != nullptr ? !stream->syn_due : std::to_underlying(header.stream) < next_id_;
  if (is_ours(header.stream) && !announced) return violation(Errc::unknown_stream);
  payload_left_ = data ? header.length : 0;
  payload_stream_ = header.stream;
  payload_kept_ = payload_ends_ = false;

  // Frames cross: what is late is let go, a payload included.
  const bool late = stream == nullptr || stream->gone;
  const bool tells = header.has(kSyn) || payload_left_ > 0 ||
                     (!late && (header.has(kRst) || header.length > 0 || (header.has(kAck) && stream->awaits_ack) ||
                                (header.has(kFin) && !stream->end_received)));
  if (!tells && !idle_frames_.take(now_)) return violation(Errc::idle_flood);
  if (late) return;

  if (header.has(kAck)) no_ack_awaited(*stream);
  // The length of a window update with RST is a code, never credit.
  if (header.has(kRst)) return on_reset(*stream, data ? 0 : header.length);
  if (!data) {
    if (header.length > std::numeric_limits<std::uint32_t>::max() - stream->send_window)
      return violation(Errc::window_overflow);
    stream->send_window += header.length;
    want_turn(*stream);
    if (header.length > 0) watch(*stream);
  } else if (header.length > 0) {
    if (stream->end_received) return violation(Errc::data_after_end);
    if (header.length > stream->window.credit()) return violation(Errc::window_exceeded);
    payload_kept_ = true;
    payload_ends_ = header.has(kFin);
    return;
  }
  if (header.has(kFin)) on_end(*stream);
}

bool Session::on_syn(const FrameHeader& header) {
  const auto id = header.stream;
  const auto wrong = [&](Errc error) {
    violation(error);
    return false;
  };
  if (is_ours(id)) return wrong(Errc::wrong_parity);
  if (find(id) != nullptr) return wrong(Errc::stream_reused);
  if (peer_goes_away_) return wrong(Errc::opened_after_go_away);
  if (header.type == FrameType::data && header.length > kStreamWindowInitial) return wrong(Errc::window_exceeded);
  if (!opens_.take(now_)) return wrong(Errc::open_flood);
  const auto seen = seen_.take(id);
  if (seen == SeenIds::Answer::used) return wrong(Errc::stream_reused);
  // Opened and reset in one: nobody needs to hear of it.
  if (header.has(kRst)) return resets_.take(now_) || wrong(Errc::reset_flood);
  if (we_go_away_) return refuse(id, kShutdown);
  if (seen == SeenIds::Answer::forgotten || peer_streams_ >= kPeerStreamsMax) return refuse(id, kResourceLimit);
  auto& stream = streams_.try_emplace(id, id, /*by_us=*/false, now_).first->second;
  ++peer_streams_;
  stream.ack_due = true;
  want_control(stream);
  events_.push_back({Event::Kind::stream_opened, id});
  return true;
}

bool Session::refuse(StreamId id, std::uint32_t code) {
  if (!resets_.take(now_) || refusals_.size() >= kRefusalsMax) {
    violation(refusals_.size() >= kRefusalsMax ? Errc::refusal_flood : Errc::reset_flood);
    return false;
  }
  refusals_.emplace_back(id, code);
  return true;
}

void Session::on_reset(Stream& stream, std::uint32_t code) {
  // Those of ours are no more than we open.
  if (!stream.ours && !resets_.take(now_)) return violation(Errc::reset_flood);
  stream.peer_code = code;
  // What came before the peer's FIN stays readable: its RST says that it reads no more.
  if (!stream.end_received) {
    drop_received(stream);
    stream.broken = true;
    post(stream, Event::Kind::readable);
  }
  end_writing(stream);
  leave_wire(stream);
}

void Session::on_end(Stream& stream) {
  if (std::exchange(stream.end_received, true)) return;
  post(stream, Event::Kind::readable);
  if (stream.finish_sent) leave_wire(stream);
}

void Session::on_payload(ByteView piece) {
  payload_left_ -= static_cast<std::uint32_t>(piece.size());
  auto* stream = payload_kept_ ? find(payload_stream_) : nullptr;
  if (stream == nullptr || stream->gone) return;
  stream->window.consume(piece.size());
  const bool share_left = unread_ + piece.size() <= unread_bytes_max_;
  if (stream->broken) {
    // Dropped. Our FIN is out, so nothing of ours can be lost by an RST.
    if (stream->stopped && stream->finish_sent) begin_reset(*stream, stream->code);
  } else if (!share_left && stream->received.size() + piece.size() > kUnreadFloor) {
    begin_reset(*stream, kResourceLimit);
    post(*stream, Event::Kind::readable);
  } else {
    stream->received.append(piece);
    unread_ += piece.size();
    post(*stream, Event::Kind::readable);
  }
  if (payload_left_ == 0 && payload_ends_) on_end(*stream);
}

}  // namespace nmp::libp2p::yamux
