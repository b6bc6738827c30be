#pragma once

#include <string>

#include "base/encoding.hpp"
#include "libp2p/yamux/session.hpp"

/// For tests: a session on a bench, whose peer is hand-written frames.
namespace nmp::libp2p::yamux {

inline constexpr Instant kStart{std::chrono::hours(1)};

struct Frame {
  FrameHeader header;
  Bytes payload;
  friend bool operator==(const Frame&, const Frame&) = default;
};

/// Cuts whole frames; what is no frame is a test that fails.
inline std::vector<Frame> frames_of(ByteView bytes) {
  std::vector<Frame> frames;
  while (!bytes.empty()) {
    auto header = decode(bytes.first<kHeaderBytes>()).value();
    bytes = bytes.subspan(kHeaderBytes);
    Bytes payload;
    if (header.type == FrameType::data) {
      payload = to_bytes(bytes.first(header.length));
      bytes = bytes.subspan(header.length);
    }
    frames.push_back({header, std::move(payload)});
  }
  return frames;
}

inline Bytes raw(const FrameHeader& header, ByteView payload = {}) {
  Bytes bytes = to_bytes(ByteView(encode(header)));
  append(bytes, payload);
  return bytes;
}
inline Bytes data(std::uint32_t stream, std::uint16_t flags, std::size_t size) {
  return raw({FrameType::data, flags, StreamId{stream}, static_cast<std::uint32_t>(size)}, Bytes(size, std::byte{'x'}));
}
inline Bytes window_update(std::uint32_t stream, std::uint16_t flags, std::uint32_t length = 0) {
  return raw({FrameType::window_update, flags, StreamId{stream}, length});
}
inline Bytes ping(std::uint16_t flags, std::uint32_t value) { return raw({FrameType::ping, flags, kSessionId, value}); }
inline Bytes go_away_frame(std::uint32_t code) { return raw({FrameType::go_away, 0, kSessionId, code}); }

class Bench {
 public:
  /// Answers the first ping after `rtt`, so that it is out of the way.
  explicit Bench(Role role,
                 Duration rtt = std::chrono::milliseconds(10),
                 std::size_t unread_bytes_max = kConnectionUnreadMax)
      : session(role, kStart, unread_bytes_max), now(kStart) {
    (void)output();
    now += rtt;
    feed(ping(kAck, 0));
  }

  void feed(ByteView bytes) { session.on_bytes(bytes, now); }
  /// Everything that the session has to send now, asked for in pieces of `most`.
  Bytes output(std::size_t most = 70'000) {
    Bytes all;
    Bytes buffer(most);
    while (const auto size = session.next_output(buffer, now)) append(all, ByteView(buffer).first(size));
    return all;
  }
  std::string output_hex() { return hex_encode(output()); }
  std::vector<Frame> frames() { return frames_of(output()); }
  /// Moves the clock to the next deadline, within `limit`.
  bool wait(Duration limit) {
    if (session.deadline() > now + limit) return false;
    now = std::max(now, session.deadline());
    session.on_deadline(now);
    return true;
  }
  bool has_event(Event::Kind kind, std::uint32_t stream = 0) {
    for (const auto& event : session.take_events()) events.push_back(event);
    const auto found = std::ranges::find(events, Event{kind, StreamId{stream}});
    if (found == events.end()) return false;
    events.erase(found);
    return true;
  }
  /// Everything unread, and how it ended.
  std::pair<Bytes, ReadResult> read_all(std::uint32_t stream) {
    Bytes all;
    Bytes piece(5'000);
    for (;;) {
      const auto result = session.read(StreamId{stream}, piece);
      if (result.size == 0) return {std::move(all), result};
      append(all, ByteView(piece).first(result.size));
    }
  }
  std::uint32_t open() { return std::to_underlying(session.open_stream().value()); }
  /// A stream of the peer, acknowledged.
  void peer_opens(std::uint32_t stream) {
    feed(window_update(stream, kSyn));
    (void)output();
  }
  /// Why it ended; nothing special if it did not.
  [[nodiscard]] CloseReason reason() const { return session.close_reason().value_or(CloseReason{{}, 0, {}}); }
  /// Closed for `error`, and the peer is told `code`.
  bool ended_by(Errc error, std::uint32_t code) {
    return reason().error == error && output() == go_away_frame(code) && session.forgettable();
  }

  Session session;
  Instant now;
  std::vector<Event> events;
};

}  // namespace nmp::libp2p::yamux
