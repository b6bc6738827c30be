#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/time.hpp"
#include "rpc/h2/errors.hpp"

namespace nmp::h2 {

using StreamId = std::int32_t;
using Headers = std::vector<std::pair<std::string, std::string>>;
/// The first of that name, or nothing.
[[nodiscard]] const std::string* find(const Headers& headers, std::string_view name);

/// HTTP/2 error codes that callers name (RFC 9113 section 7).
inline constexpr std::uint32_t kNoError = 0x0;
inline constexpr std::uint32_t kProtocolError = 0x1;
inline constexpr std::uint32_t kRefusedStream = 0x7;
inline constexpr std::uint32_t kCancel = 0x8;
inline constexpr std::uint32_t kEnhanceYourCalm = 0xb;

/// What a session tells. Called from receive() and produce(); a method may call any Session method but those two.
class SessionObserver {
 public:
  virtual ~SessionObserver() = default;
  /// A header block: a request (server), a response (client), or trailers (`trailers`). 1xx responses are left out.
  virtual void on_headers(StreamId /*id*/, Headers /*headers*/, bool /*trailers*/) {}
  /// `bytes` are valid during the call. Not credited until consume() and consume_connection().
  virtual void on_data(StreamId /*id*/, ByteView /*bytes*/) {}
  /// The peer has finished writing.
  virtual void on_end(StreamId /*id*/) {}
  /// The stream is gone; `error_code` is kNoError after a good end.
  virtual void on_closed(StreamId /*id*/, std::uint32_t /*error_code*/) {}
  /// Bytes of the stream have left its queue.
  virtual void on_sent(StreamId /*id*/) {}
  /// The peer takes no streams above `last`.
  virtual void on_goaway(StreamId /*last*/, std::uint32_t /*error_code*/) {}
  virtual void on_pong(std::uint64_t /*opaque*/) {}
};

enum class Role : std::uint8_t { client, server };

struct SessionOptions {
  SessionOptions(std::size_t initial_window, std::size_t connection_window, std::size_t streams)
      : initial_window_bytes(initial_window), connection_window_bytes(connection_window), streams_max(streams) {}
  std::size_t initial_window_bytes;     ///< of each stream
  std::size_t connection_window_bytes;  ///< at least 65,535
  std::size_t streams_max;              ///< that the peer may have open
};

/// One end of an HTTP/2 connection as a machine: bytes in, bytes and observer calls out.
class Session {
 public:
  /// `observer` outlives the session.
  static std::unique_ptr<Session> make(Role role, SessionOptions options, SessionObserver& observer);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  /// Feeds bytes from the peer. `now` never goes back.
  /// Errors: protocol, flooded (send what produce() still gives, then close), ended.
  Result<void> receive(ByteView bytes, Instant now);
  /// Appends frames to `out` until it has `size_max` bytes or nothing is left to send now.
  void produce(Bytes& out, std::size_t size_max);
  /// Whether the connection is over: GOAWAY both said and done, or an error.
  [[nodiscard]] bool ended() const;

  /// Client: starts a stream whose body follows with send() and end(). Errors: refused.
  Result<StreamId> open(const Headers& headers);
  /// Server: the response's header block; a body follows.
  void respond(StreamId id, const Headers& headers);
  /// Server: a header block that is also the end ("Trailers-Only").
  void respond_only(StreamId id, const Headers& headers);
  /// Queues bytes of the body, without any limit: ask queued() first.
  void send(StreamId id, Bytes bytes);
  /// Ends the body after what is queued.
  void end(StreamId id);
  /// Ends it with trailers.
  void end_with(StreamId id, Headers trailers);
  [[nodiscard]] std::size_t queued(StreamId id) const;
  /// RST_STREAM; unsent bytes are dropped. on_closed follows from produce().
  void reset(StreamId id, std::uint32_t error_code);

  /// Gives the peer credit for bytes that on_data brought.
  void consume(StreamId id, std::size_t size);
  void consume_connection(std::size_t size);
  /// The whole window of a stream, or of the connection.
  void set_window(StreamId id, std::size_t bytes);
  void set_connection_window(std::size_t bytes);
  /// SETTINGS_MAX_CONCURRENT_STREAMS and SETTINGS_INITIAL_WINDOW_SIZE stay otherwise as they were.
  void set_streams_max(std::size_t streams);

  void ping(std::uint64_t opaque);
  /// First half of a graceful end: the peer learns to open no more (RFC 9113 section 6.8).
  void announce_shutdown();
  /// GOAWAY with the last stream taken; streams under way go on.
  void shutdown();
  /// GOAWAY and the end of the session once it is sent.
  void terminate(std::uint32_t error_code);

 private:
  class Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nmp::h2
