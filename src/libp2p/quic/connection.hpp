#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/random.hpp"
#include "base/secret.hpp"
#include "base/socket_address.hpp"
#include "libp2p/quic/errors.hpp"
#include "libp2p/quic/limits.hpp"
#include "libp2p/tls/context.hpp"

namespace nmp::libp2p::quic {

enum class StreamId : std::int64_t {};

/// A QUIC connection ID as a map key. Chosen by peers in part: kept in ordered maps, which no choice can degrade.
struct Cid {
  std::uint8_t size = 0;
  ByteArray<20> bytes{};
  friend auto operator<=>(const Cid&, const Cid&) = default;
};
using ResetToken = ByteArray<16>;

/// Told by a connection which datagrams are its own.
class Router {
 public:
  virtual ~Router() = default;
  virtual void add(const Cid& cid) = 0;
  virtual void remove(const Cid& cid) = 0;
  virtual void add(const ResetToken& token) = 0;
  virtual void remove(const ResetToken& token) = 0;
};

struct Event {
  enum class Kind {
    handshake_completed,  ///< both sides are authenticated: peer() is set
    stream_opened,        ///< by the peer
    readable,             ///< data, the end, or a reset is there to read
    writable,             ///< write() takes bytes again, or never will
    streams_available,    ///< open_stream() may succeed again
    closed,               ///< see close_reason(); the last event
  };
  Kind kind;
  StreamId stream{};
};

struct ReadResult {
  std::size_t size = 0;
  bool end = false;     ///< the peer has finished, and all was read
  bool broken = false;  ///< reset by either side, or unknown
};

/// Datagrams of `segment` bytes (the last may be shorter) laid out in the caller's buffer, for one destination.
struct Batch {
  std::size_t size = 0;
  std::size_t segment = 0;
  std::size_t socket = 0;
  SocketAddress local;
  SocketAddress remote;
};

/// Smaller windows for a peer that is not trusted yet.
struct Restriction {
  std::uint64_t streams_max = 0;
  std::uint64_t bytes_max = 0;
};

/// One QUIC v1 connection with libp2p's TLS: datagrams and time in; datagrams, events and a deadline out.
/// No method may be called from inside another (there are no callbacks to do so from). `now` may repeat and go back; it
/// is clamped, since ngtcp2 stops the process otherwise.
class Connection {
 public:
  struct Common {
    tls::Context& tls;
    Random& random;                       ///< fit for keys
    const SecretBytes<32>& reset_secret;  ///< survives restarts, so that peers of an earlier life learn of its end
  };
  struct Path {
    std::size_t socket = 0;
    SocketAddress local;
    SocketAddress remote;
  };
  /// What an accepted Initial packet said; made by Endpoint.
  struct Incoming {
    std::uint32_t version = 0;
    Cid dcid, scid, original_dcid;
    bool retried = false;
    Bytes token;
    std::optional<Restriction> restriction;
  };

  /// `router` and what `common` refers to outlive the connection. Errors: Errc::internal (out of memory).
  static Result<std::unique_ptr<Connection>> dial(
      const Common& common, Router& router, Path path, std::optional<PeerId> expected, Instant now);
  static Result<std::unique_ptr<Connection>> accept(
      const Common& common, Router& router, Path path, const Incoming& incoming, Instant now);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  void on_datagram(ByteView datagram, const SocketAddress& remote, Instant now);
  void on_deadline(Instant now);
  /// When on_deadline() wants to be called; kNever when not.
  [[nodiscard]] Instant deadline() const;
  /// Fills `buffer` (64 KiB or more) with the next datagrams; nothing when there is nothing to send now.
  std::optional<Batch> next_batch(std::span<std::byte> buffer, Instant now);
  [[nodiscard]] std::vector<Event> take_events();

  [[nodiscard]] bool inbound() const;
  [[nodiscard]] bool established() const;
  [[nodiscard]] const std::optional<PeerId>& peer() const;
  [[nodiscard]] SocketAddress remote() const;
  [[nodiscard]] Duration smoothed_rtt() const;
  [[nodiscard]] std::size_t streams() const;
  /// Bytes that have arrived and were not read, and bytes written that were not acknowledged, over all streams.
  [[nodiscard]] std::size_t held_bytes() const;

  /// Closed or draining: streams are dead. forgettable(): nothing more will be sent, the object may go.
  [[nodiscard]] bool closed() const;
  [[nodiscard]] bool forgettable(Instant now) const;
  [[nodiscard]] const std::optional<CloseReason>& close_reason() const;
  /// Closed because the ClientHello did not begin with its beginning (its datagrams changed places): nothing is kept of
  /// a stranger's later bytes, so it has to prove its address by Retry and start again.
  [[nodiscard]] bool wants_retry() const;
  /// Closed by its first datagram, which said nothing that could be read, or by wants_retry(): nobody has heard of it.
  [[nodiscard]] bool stillborn() const;
  /// Queues CONNECTION_CLOSE with an application code.
  void close(std::uint64_t code, Instant now);

  /// Errors: Errc::stream_limit (wait for streams_available), local_close.
  Result<StreamId> open_stream();
  /// Takes what fits into the send buffer; the rest has to wait for `writable`.
  std::size_t write(StreamId stream, ByteView data);
  /// False once writing is over: finished, reset, stopped by the peer.
  [[nodiscard]] bool can_write(StreamId stream) const;
  void finish(StreamId stream);
  /// Returns credit to the peer for what it hands out.
  ReadResult read(StreamId stream, std::span<std::byte> buffer);
  /// RESET_STREAM and STOP_SENDING.
  void reset(StreamId stream, std::uint64_t code);
  /// STOP_SENDING.
  void stop_reading(StreamId stream, std::uint64_t code);
  /// The owner's last word on the stream: what is unfinished is reset, its slot returns to the peer when it is closed.
  void release(StreamId stream, std::uint64_t code);
  [[nodiscard]] std::optional<std::uint64_t> peer_code(StreamId stream) const;

  /// Full windows from here on.
  void lift_restriction();
  [[nodiscard]] bool restricted() const;

  struct Impl;

 private:
  explicit Connection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nmp::libp2p::quic
