#include "libp2p/yamux/session.hpp"

namespace nmp::libp2p::yamux {

namespace {

/// The rest of a buffer that is left rather than filled with a sliver of a stream's data.
constexpr std::size_t kSliverBytes = 1024;

}  // namespace

/// Frames, one after the other, into the owner's buffer.
class Session::Output {
 public:
  explicit Output(std::span<std::byte> buffer) : buffer_(buffer) {}

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool fits_frame() const { return buffer_.size() - size_ >= kHeaderBytes; }
  [[nodiscard]] std::size_t payload_room() const { return fits_frame() ? buffer_.size() - size_ - kHeaderBytes : 0; }

  void frame(FrameType type, std::uint16_t flags, StreamId id, std::uint32_t length) {
    const auto bytes = encode(FrameHeader{type, flags, id, length});
    std::ranges::copy(bytes, buffer_.subspan(size_).begin());
    size_ += bytes.size();
  }
  /// `size` bytes from the front of `queue`, which has them.
  void payload(ByteQueue& queue, std::size_t size) { size_ += queue.take(buffer_.subspan(size_, size)); }

 private:
  std::span<std::byte> buffer_;
  std::size_t size_ = 0;
};

std::size_t Session::next_output(std::span<std::byte> buffer, Instant now) {
  clamp(now);
  NMP_ASSERT(buffer.size() >= kOutputBytesMin);
  Output out(buffer);
  send_session_frames(out);
  while (!control_queue_.empty() && out.fits_frame()) {
    auto* stream = find(control_queue_.front());
    control_queue_.pop_front();
    if (stream == nullptr || !std::exchange(stream->control_queued, false)) continue;
    send_control(out, *stream);
  }
  while (!send_queue_.empty()) {
    auto* stream = find(send_queue_.front());
    const bool willing = stream != nullptr && stream->send_queued && stream->wants_turn();
    if (willing) {
      const auto wanted = std::min(stream->send.size(), kSliverBytes);
      if (!out.fits_frame() || (out.size() > 0 && out.payload_room() < wanted)) break;
    }
    send_queue_.pop_front();
    if (stream == nullptr || !std::exchange(stream->send_queued, false) || !willing) continue;
    send_turn(out, *stream);
  }
  wake_writers();
  return out.size();
}

void Session::send_session_frames(Output& out) {
  // The buffer holds at least five frames.
  if (!closed()) {
    if (const auto value = std::exchange(pong_, std::nullopt)) out.frame(FrameType::ping, kAck, kSessionId, *value);
    if (ping_ && !ping_->sent) {
      out.frame(FrameType::ping, kSyn, kSessionId, ping_number_);
      ping_->sent = now_;
    }
  }
  if (go_away_due_) {
    out.frame(FrameType::go_away, 0, kSessionId, go_away_code_);
    go_away_due_ = false;
  }
  while (!refusals_.empty() && out.fits_frame()) {
    const auto [id, code] = refusals_.front();
    refusals_.pop_front();
    out.frame(FrameType::window_update, kRst, id, code);
  }
}

std::uint16_t Session::opening_flags(Stream& stream) {
  std::uint16_t flags = 0;
  if (std::exchange(stream.syn_due, false)) flags |= kSyn;
  if (std::exchange(stream.ack_due, false)) flags |= kAck;
  return flags;
}

void Session::send_control(Output& out, Stream& stream) {
  if (stream.gone) return;
  if (stream.reset_due) {
    out.frame(FrameType::window_update, kRst, stream.id, stream.code);
    return leave_wire(stream);
  }
  std::uint32_t delta = 0;
  if (stream.wants_credit()) {
    const auto before = stream.window.growth();
    delta = stream.window.grant(stream.received.size(), now_, rtt_, growth_max_ - growth_);
    growth_ += stream.window.growth() - before;
  }
  // An ACK alone rides on data or FIN, if there is any.
  if (delta == 0 && (!stream.ack_due || stream.wants_turn())) return;
  out.frame(FrameType::window_update, opening_flags(stream), stream.id, delta);
}

void Session::send_turn(Output& out, Stream& stream) {
  if (stream.can_send_data()) {
    const auto most = send_queue_.empty() ? kSentFrameBytesMax : kTurnBytes;
    const auto size = std::min({stream.send.size(), std::size_t{stream.send_window}, out.payload_room(), most});
    out.frame(FrameType::data, opening_flags(stream), stream.id, static_cast<std::uint32_t>(size));
    out.payload(stream.send, size);
    stream.send_window -= static_cast<std::uint32_t>(size);
    unsent_ -= size;
    wake_writer(stream);
  }
  // A frame of its own: go may tell the reader the end before it has stored the data of the same frame.
  if (stream.can_send_end() && out.fits_frame()) {
    out.frame(FrameType::data, static_cast<std::uint16_t>(kFin | opening_flags(stream)), stream.id, 0);
    stream.finish_sent = true;
  }
  if (stream.finish_sent && stream.end_received) return leave_wire(stream);
  want_turn(stream);
  watch(stream);
}

void Session::want_control(Stream& stream) {
  if (stream.gone || std::exchange(stream.control_queued, true)) return;
  control_queue_.push_back(stream.id);
}

void Session::want_turn(Stream& stream) {
  if (!stream.wants_turn() || std::exchange(stream.send_queued, true)) return;
  send_queue_.push_back(stream.id);
}

std::size_t Session::room(const Stream& stream) const {
  const auto held = stream.send.size();
  const auto left = [](std::size_t ceiling, std::size_t used) { return ceiling > used ? ceiling - used : 0; };
  const auto own = left(kSendBufferMax, held);
  return std::max(std::min(own, left(kConnectionSendBufferMax, unsent_)), std::min(own, left(kSendBufferFloor, held)));
}

void Session::wake_writer(Stream& stream) {
  if (!stream.writer_waits || (!stream.write_over && room(stream) < kSendBufferFloor)) return;
  stream.writer_waits = false;
  post(stream, Event::Kind::writable);
}

/// Writers that waited for the connection's share rather than for their own buffer.
void Session::wake_writers() {
  if (!writers_wait_for_share_ || unsent_ + kSendBufferFloor > kConnectionSendBufferMax) return;
  writers_wait_for_share_ = false;
  for (auto& [id, stream] : streams_) wake_writer(stream);
}

}  // namespace nmp::libp2p::yamux
