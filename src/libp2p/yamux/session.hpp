#pragma once

#include <deque>
#include <map>
#include <set>
#include <vector>

#include "libp2p/yamux/seen_ids.hpp"
#include "libp2p/yamux/stream.hpp"
#include "libp2p/yamux/token_bucket.hpp"

/// Yamux (github.com/libp2p/specs, yamux/README.md; libp2p.md section 8): many streams on one secured byte stream.
namespace nmp::libp2p::yamux {

inline constexpr std::string_view kProtocol = "/yamux/1.0.0";

/// The client is who dialled.
enum class Role : std::uint8_t { client, server };

struct Event {
  enum class Kind : std::uint8_t {
    stream_opened,      ///< by the peer
    readable,           ///< data, the end, or a reset is there to read
    writable,           ///< write() takes bytes again, or never will
    streams_available,  ///< open_stream() may succeed again
    closed,             ///< see close_reason(); the last event
  };
  Kind kind;
  StreamId stream{};
  friend bool operator==(const Event&, const Event&) = default;
};

struct ReadResult {
  std::size_t size = 0;
  bool end = false;     ///< the peer has finished, and all was read
  bool broken = false;  ///< reset by either side, or unknown
};

/// One Yamux session: the peer's bytes and time in; bytes, events and a deadline out. It holds no unsent frame but for
/// flags on streams: next_output() makes frames when it is asked, so a slow transport holds back the writers of
/// streams. `now` may repeat and go back; it is clamped.
class Session {
 public:
  /// next_output() wants at least this much to fill.
  static constexpr std::size_t kOutputBytesMin = 64;

  /// `unread_bytes_max`: what the peer may make us hold, see kConnectionUnreadMax.
  Session(Role role, Instant now, std::size_t unread_bytes_max = kConnectionUnreadMax);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void on_bytes(ByteView bytes, Instant now);
  /// The transport has ended, in order or not. What has arrived stays readable.
  void on_transport_end(Instant now);
  void on_deadline(Instant now);
  /// When on_deadline() wants to be called; kNever when not. Output may follow it.
  [[nodiscard]] Instant deadline() const;
  /// Fills `buffer` with whole frames and returns how much of it; 0 when there is nothing to send now. Streams take
  /// turns.
  std::size_t next_output(std::span<std::byte> buffer, Instant now);
  [[nodiscard]] std::vector<Event> take_events();

  /// Zero until the first ping is answered.
  [[nodiscard]] Duration smoothed_rtt() const { return rtt_.value_or(Duration::zero()); }
  [[nodiscard]] std::size_t streams() const { return streams_.size(); }
  [[nodiscard]] std::size_t unread_bytes() const { return unread_; }
  [[nodiscard]] std::size_t unsent_bytes() const { return unsent_; }

  /// Closed: streams are dead. forgettable(): next_output() has nothing more either.
  [[nodiscard]] bool closed() const { return reason_.has_value(); }
  [[nodiscard]] bool forgettable() const { return closed() && !go_away_due_; }
  [[nodiscard]] const std::optional<CloseReason>& close_reason() const { return reason_; }
  /// Drops what is unsent and says go-away with a connection code (libp2p.md section 6; 0 is normal).
  void close(std::uint64_t code, Instant now);
  /// Says go-away, normal: from here on no streams are opened by either side, those that are open go on.
  void go_away();
  /// Either side has said it.
  [[nodiscard]] bool going_away() const { return we_go_away_ || peer_goes_away_; }

  /// The peer learns of the stream with its first frame: write or finish something. Data may follow at once.
  /// Errors: Errc::stream_limit (wait for streams_available), going_away, ids_exhausted, local_close (closed).
  Result<StreamId> open_stream();
  /// Takes what fits into the send buffer; the rest has to wait for `writable`.
  std::size_t write(StreamId stream, ByteView data);
  /// False once writing is over: finished, reset.
  [[nodiscard]] bool can_write(StreamId stream) const;
  /// FIN after what is written; reading goes on.
  void finish(StreamId stream);
  /// Returns credit to the peer once half of a window has been handed out.
  ReadResult read(StreamId stream, std::span<std::byte> buffer);
  /// RST with a stream code: both directions are over, unsent and unread bytes are dropped.
  void reset(StreamId stream, std::uint64_t code);
  /// Drops what the peer has sent and will send; writing goes on. Yamux has no word for it: the peer is told by RST,
  /// but only after our FIN, when more data comes or after kLingerTimeout. Until then it stalls within its window.
  void stop_reading(StreamId stream, std::uint64_t code);
  /// The owner's last word on the stream: reset if it is unfinished, stop_reading() if it is not read to the end. Its
  /// slot is free when both sides have closed it.
  void release(StreamId stream, std::uint64_t code);
  /// The code with which the peer reset the stream, if it did.
  [[nodiscard]] std::optional<std::uint64_t> peer_code(StreamId stream) const;

 private:
  class Output;

  Instant clamp(Instant now) { return now_ = std::max(now_, now); }
  [[nodiscard]] bool is_ours(StreamId id) const;
  [[nodiscard]] Stream* find(StreamId id);
  [[nodiscard]] const Stream* find(StreamId id) const;
  void post(Stream& stream, Event::Kind kind);
  void end(CloseReason reason, bool say_so);
  void violation(Errc error, std::string text = {});

  // What arrives: session_receive.cpp.
  void on_frame(const FrameHeader& header);
  void on_ping(const FrameHeader& header);
  void on_go_away(std::uint32_t code);
  void on_stream_frame(const FrameHeader& header);
  /// False if the session ends by it.
  bool on_syn(const FrameHeader& header);
  void on_reset(Stream& stream, std::uint32_t code);
  void on_end(Stream& stream);
  void on_payload(ByteView piece);
  bool refuse(StreamId id, std::uint32_t code);

  // What is sent: session_send.cpp.
  void send_session_frames(Output& out);
  void send_control(Output& out, Stream& stream);
  void send_turn(Output& out, Stream& stream);
  [[nodiscard]] std::uint16_t opening_flags(Stream& stream);
  [[nodiscard]] std::size_t room(const Stream& stream) const;
  void want_control(Stream& stream);
  void want_turn(Stream& stream);
  void wake_writer(Stream& stream);
  void wake_writers();

  // How streams end: session.cpp.
  void end_writing(Stream& stream);
  void drop_received(Stream& stream);
  void begin_reset(Stream& stream, std::uint32_t code);
  /// Starts the time after which a stream that only the peer can move on is reset, or stops it.
  void watch(Stream& stream);
  void stop_lingering(Stream& stream);
  /// Nothing more goes over the wire; erases a released stream.
  void leave_wire(Stream& stream);
  void forget(Stream& stream);
  void no_ack_awaited(Stream& stream);
  void announce_streams();

  Role role_;
  std::size_t unread_bytes_max_;
  std::size_t growth_max_;
  Instant now_;
  std::map<StreamId, Stream> streams_;  // ordered: peers choose the keys
  std::size_t peer_streams_ = 0;
  std::size_t awaiting_ack_ = 0;
  std::uint64_t next_id_;
  SeenIds seen_;
  std::vector<Event> events_;
  bool open_was_refused_ = false;
  std::size_t unread_ = 0;  ///< over all streams
  std::size_t unsent_ = 0;
  std::size_t growth_ = 0;
  bool writers_wait_for_share_ = false;
  std::set<std::pair<Instant, StreamId>> lingering_;

  // The frame that is arriving.
  ByteArray<kHeaderBytes> header_{};
  std::size_t header_held_ = 0;
  std::uint32_t payload_left_ = 0;
  StreamId payload_stream_{};
  bool payload_kept_ = false;
  bool payload_ends_ = false;  ///< FIN after it

  TokenBucket opens_{kOpenRate};
  TokenBucket resets_{kResetRate};
  TokenBucket pings_{kPingRate};
  TokenBucket idle_frames_{kIdleFrameRate};

  std::deque<StreamId> control_queue_;
  std::deque<StreamId> send_queue_;
  std::deque<std::pair<StreamId, std::uint32_t>> refusals_;
  std::optional<std::uint32_t> pong_;  ///< one slot: a newer ping makes the older one moot

  struct Ping {
    Instant since;                ///< it is due
    std::optional<Instant> sent;  ///< unless the transport takes nothing
  };
  std::uint32_t ping_number_ = 0;
  std::optional<Ping> ping_;
  Instant next_ping_;
  Instant heard_;
  std::optional<Duration> rtt_;

  bool we_go_away_ = false;
  bool peer_goes_away_ = false;
  bool go_away_due_ = false;
  std::uint32_t go_away_code_ = 0;
  std::optional<CloseReason> reason_;
};

}  // namespace nmp::libp2p::yamux
