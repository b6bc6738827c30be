#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/async/byte_stream.hpp"
#include "base/async/event.hpp"
#include "base/bytes.hpp"
#include "libp2p/peer/peer_id.hpp"
#include "rpc/limits.hpp"
#include "rpc/metadata.hpp"
#include "rpc/status.hpp"

namespace nmp::rpc {

/// Who is at the other end of a connection, as the transport proved it. Without `peer` nothing is proved.
struct Caller {
  Caller() = default;
  explicit Caller(std::string at) : address(std::move(at)) {}
  Caller(libp2p::PeerId id, std::string at) : peer(std::move(id)), address(std::move(at)) {}
  std::optional<libp2p::PeerId> peer;
  std::string address;  ///< for logs: a multiaddr or host:port
};

namespace detail {
class ServerConnection;
struct ServerCallState;
}  // namespace detail

/// What a handler knows about its call.
struct CallContext {
  explicit CallContext(const async::Executor& executor) : on_cancel(executor) {}
  [[nodiscard]] bool cancelled() const { return cancelled_; }

  Caller caller;
  std::string path;
  Metadata metadata;
  Instant deadline = kNever;
  /// Notified once, when the caller cancels, the deadline passes or the connection goes. The handler's own pending
  /// operations end with `cancelled` as well.
  async::Event on_cancel;

 private:
  friend class detail::ServerConnection;
  bool cancelled_ = false;
};

/// One call at the server, of any of the four kinds. One reader and one writer at a time. Network thread only.
class ServerCall {
 public:
  explicit ServerCall(std::shared_ptr<detail::ServerCallState> state);
  ServerCall(const ServerCall&) = delete;
  ServerCall& operator=(const ServerCall&) = delete;
  ~ServerCall();

  [[nodiscard]] const CallContext& context() const;
  [[nodiscard]] const async::Executor& executor() const;

  /// The next message; nothing after the caller's half-close. Bytes are credited to the caller only from here.
  /// Errors: cancelled; Code::resource_exhausted (over message_bytes_max), ::internal, ::unimplemented (framing,
  /// compression): return that status from the handler.
  async::Awaitable<Result<std::optional<Bytes>>> read();
  /// Exactly one message, as unary and server-streaming methods take it. Errors: as read(), and
  /// Code::invalid_argument for none or more than one.
  async::Awaitable<Result<Bytes>> read_only();
  /// Waits while more than kSendQueueBytes of earlier messages have not left (the caller gives no window).
  /// Errors: cancelled, Code::resource_exhausted (over message_bytes_max).
  async::Awaitable<Result<void>> write(Bytes message);

  /// Before the first write. Metadata that cannot be sent makes an OK of the handler's Code::internal.
  void add_initial_metadata(std::string name, std::string value);
  /// Sends the initial metadata now rather than with the first message.
  void send_headers();
  void add_trailing_metadata(std::string name, std::string value);
  /// Later messages are gzipped if the caller accepts it. Off by default: compressing secrets beside an adversary's
  /// bytes leaks their length. Takes effect for messages only if called before the first write.
  void compress(bool on);

  /// Ends the connection's probation: full stream count and windows. See ServerLimits::probation.
  void admit_connection();

 private:
  std::shared_ptr<detail::ServerCallState> state_;  // the handler and the connection
};

/// A coroutine per call. The ServerCall lives until the handler has returned. What is written is sent before the
/// status.
using Handler = std::function<async::Awaitable<Status>(ServerCall&)>;

/// What a look at the first bytes of the first message says.
enum class Verdict : std::uint8_t { need_more, accept, refuse };
struct Inspection {
  Inspection(Verdict v) : verdict(v) {}  // NOLINT(google-explicit-constructor)
  Inspection(Status refusal)
      : verdict(Verdict::refuse), status(std::move(refusal)) {}  // NOLINT(google-explicit-constructor)
  Verdict verdict;
  Status status;
};
/// `prefix` is what has arrived of the first message, decompressed, at most `inspect_bytes_max`; `whole` if that is all
/// of it. need_more on a whole or full prefix refuses the call.
using InspectPrefix = std::function<Inspection(const CallContext&, ByteView prefix, bool whole)>;

struct MethodOptions {
  std::size_t message_bytes_max = kMessageBytesMax;       ///< each message received, after decompression
  std::size_t send_message_bytes_max = kMessageBytesMax;  ///< each message sent
  bool gzip_requests = true;                              ///< Off: a call with that grpc-encoding is UNIMPLEMENTED.
  /// The call's window stays at kInitialWindowBytes, and the handler is not started, until this accepts.
  InspectPrefix inspect_prefix;
  std::size_t inspect_bytes_max = 4096;
};

struct ServerLimits {
  /// At a time. A newcomer above it takes the place of the oldest connection that has begun no call, else of the oldest
  /// on probation, else of the oldest that has had no call under way for idle_time; when there is none, it is closed.
  std::size_t connections_max = SIZE_MAX;
  Duration idle_time = kIdleTime;
  std::size_t calls_max = kCallsMax;  ///< concurrent, per connection
  /// A new connection has few calls, one small window for all of them, and little time, until a handler calls
  /// admit_connection().
  bool probation = false;
  std::size_t probation_calls_max = kProbationCallsMax;
  Duration probation_time = kProbationTime;
  Duration keepalive_interval = kKeepaliveInterval;  ///< a ping after this long without a byte received
  Duration keepalive_timeout = kKeepaliveTimeout;    ///< and the end of the connection this much later
};

/// Methods by path, served on any number of byte streams. Network thread only. close() before destruction.
class Server {
 public:
  Server(async::Executor executor, ServerLimits limits);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  /// `path` is "/package.Service/Method". Before the first serve(), or later.
  void handle(std::string path, Handler handler, MethodOptions options = MethodOptions());
  /// Names of the services that have a method, sorted.
  [[nodiscard]] std::vector<std::string> services() const;

  /// Serves one connection to its end, which is at once if there is no place for it; returns when every handler of it
  /// has returned.
  async::Awaitable<void> serve(async::ByteStreamPtr stream, Caller caller);

  /// GOAWAY to every connection; calls under way may end until `deadline`; then as close().
  async::Awaitable<void> drain(Instant deadline);
  /// Refuses new connections, cancels every call, and waits until every serve() has ended.
  async::Awaitable<void> close();

 private:
  friend class detail::ServerConnection;
  struct Shared;
  std::shared_ptr<Shared> shared_;  // the server and its connections, whose last frames may outlive it
};

}  // namespace nmp::rpc
