#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/async/byte_stream.hpp"
#include "base/bytes.hpp"
#include "rpc/limits.hpp"
#include "rpc/metadata.hpp"
#include "rpc/status.hpp"

namespace nmp::rpc {

namespace detail {
class ClientConnection;
struct ClientCallState;
}  // namespace detail

struct CallOptions {
  Instant deadline = kNever;
  Metadata metadata;
  std::size_t message_bytes_max = kMessageBytesMax;       ///< each message received, after decompression
  std::size_t send_message_bytes_max = kMessageBytesMax;  ///< each message sent
  bool compress = false;                                  ///< gzip what is sent
};

struct ChannelOptions {
  std::string authority = "nmp";
  std::string user_agent = "nmp";
  std::size_t calls_max = kCallsMax;  ///< concurrent; further calls end with resource_exhausted
  Duration keepalive_interval = kKeepaliveInterval;
  Duration keepalive_timeout = kKeepaliveTimeout;
};

/// One call at the client, of any of the four kinds. One reader and one writer at a time; reading and writing may go on
/// side by side. Destruction cancels a call that has not ended. Network thread only.
class ClientCall {
 public:
  explicit ClientCall(std::shared_ptr<detail::ClientCallState> state);
  ClientCall(const ClientCall&) = delete;
  ClientCall& operator=(const ClientCall&) = delete;
  ~ClientCall();

  /// Waits while more than kSendQueueBytes of earlier messages have not left (the server gives no window).
  /// Errors: Code::* if the call has ended (finish() tells why), cancelled (the coroutine was).
  async::Awaitable<Result<void>> write(Bytes message);
  /// As write(), uncompressed in a call that compresses.
  async::Awaitable<Result<void>> write_plain(Bytes message);
  /// Half-close: no more writes.
  void writes_done();
  /// The next message; nothing when the call has ended, well or badly: finish() tells.
  /// Errors: cancelled (the coroutine was).
  async::Awaitable<Result<std::optional<Bytes>>> read();
  /// The status; messages not yet read are dropped. Also what ends the call locally is told here: deadline_exceeded,
  /// cancelled, unavailable (the connection went). Any number of times.
  async::Awaitable<Status> finish();
  void cancel();

  /// Waits for the server's initial metadata (empty if the call ended without).
  async::Awaitable<Result<Metadata>> initial_metadata();
  /// Whole after finish().
  [[nodiscard]] const Metadata& trailing_metadata() const;

 private:
  std::shared_ptr<detail::ClientCallState> state_;  // the call and the channel
};
using ClientCallPtr = std::unique_ptr<ClientCall>;

struct UnaryReply {
  Status status;
  Bytes message;
  Metadata initial_metadata;
  Metadata trailing_metadata;
};

/// The client's end of one connection. There is no reconnecting: make a new channel when alive() is false.
/// Network thread only. `co_await close()` before destruction.
class Channel {
 public:
  static std::unique_ptr<Channel> make(const async::Executor& executor,
                                       async::ByteStreamPtr stream,
                                       ChannelOptions options);
  explicit Channel(std::shared_ptr<detail::ClientConnection> connection);
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  ~Channel();

  /// Starts a call; never null: a call that cannot start has ended with its status.
  ClientCallPtr call(const std::string& path, const CallOptions& options);
  /// One message each way. Errors: Code::* by to_error(); cancelled.
  async::Awaitable<Result<Bytes>> unary(std::string path, Bytes request, CallOptions options);
  /// The same, with the status, its ErrorInfo and the metadata whole.
  async::Awaitable<UnaryReply> unary_reply(std::string path, Bytes request, CallOptions options);

  /// False once the connection has ended or the server has sent GOAWAY.
  [[nodiscard]] bool alive() const;
  /// Waits until the connection has ended.
  async::Awaitable<Result<void>> wait_closed();
  /// Round trip of an HTTP/2 PING. Errors: deadline_exceeded, closed, cancelled.
  async::Awaitable<Result<Duration>> ping(Instant deadline);

  /// GOAWAY, ends every call with `cancelled`, ends the stream.
  async::Awaitable<void> close();

 private:
  std::shared_ptr<detail::ClientConnection> connection_;  // the channel, its calls and its tasks
};

}  // namespace nmp::rpc
