#pragma once

#include <set>
#include <unordered_map>

#include "base/async/byte_stream.hpp"
#include "base/async/event.hpp"
#include "base/async/task_group.hpp"
#include "rpc/h2/grpc_codec.hpp"
#include "rpc/h2/message_reader.hpp"
#include "rpc/h2/session.hpp"
#include "rpc/limits.hpp"
#include "rpc/metadata.hpp"
#include "rpc/status.hpp"

/// What server and channel share; not for other rooms.
namespace nmp::rpc::detail {

class Connection;

/// The message flow of one call, both ways.
struct CallStream {
  CallStream(const async::Executor& executor, std::size_t receive_max, std::size_t send_max)
      : receive_bytes_max(receive_max), send_bytes_max(send_max), changed(executor) {}
  CallStream(const CallStream&) = delete;
  CallStream& operator=(const CallStream&) = delete;
  virtual ~CallStream() = default;

  [[nodiscard]] ByteView unread() const { return ByteView(raw).subspan(raw_taken); }

  h2::StreamId id = 0;
  std::size_t receive_bytes_max;
  std::size_t send_bytes_max;
  async::Event changed;  ///< bytes came or left, or the call has ended

  Bytes raw;  ///< received and not yet taken by the reader: at most the window
  std::size_t raw_taken = 0;
  std::unique_ptr<h2::MessageReader> reader;
  std::size_t held = 0;      ///< this call's part of Connection::held_
  std::size_t owed = 0;      ///< of the connection's window, while its credit is deferred
  std::size_t received = 0;  ///< bytes in all
  bool window_open = false;  ///< set_window was called
  bool may_open = false;     ///< ... or may be
  bool discard = false;      ///< nobody reads any more
  bool peer_ended = false;
  bool gone = false;  ///< the stream has closed, or the call is over for us
  std::optional<Status> read_error;

  bool gzip_out = false;  ///< grpc-encoding says gzip
  bool send_ended = false;
};
using CallStreamPtr = std::shared_ptr<CallStream>;

/// Drives one HTTP/2 session over one byte stream.
class Connection : public h2::SessionObserver {
 public:
  Connection(const async::Executor& executor,
             async::ByteStreamPtr stream,
             h2::Role role,
             h2::SessionOptions options,
             Duration keepalive_interval,
             Duration keepalive_timeout);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() override;

  /// Reads until the connection ends, then ends every call, sends what is left and closes the stream.
  async::Awaitable<void> run();
  /// Begins the end: GOAWAY; calls are over at once.
  void stop();

  async::Awaitable<Result<std::optional<Bytes>>> read(CallStreamPtr call);
  async::Awaitable<Result<void>> write(CallStreamPtr call, Bytes message, bool compressed);
  async::Awaitable<Result<Duration>> ping(Instant deadline);

  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] const async::Executor& executor() const { return executor_; }

  async::Executor executor_;
  async::ByteStreamPtr stream_;
  std::unique_ptr<h2::Session> session_;
  async::Event wake_writer_;
  async::Event wake_timer_;
  async::Event ended_event_;
  async::TaskGroup tasks_;
  std::unordered_map<h2::StreamId, CallStreamPtr> streams_;
  std::set<std::pair<Instant, h2::StreamId>> deadlines_;
  bool ended_ = false;
  bool stopping_ = false;
  bool defer_connection_credit_ = false;  ///< the connection's window is credited as calls have whole messages

  void flush() { wake_writer_.notify_all(); }
  void watch(Instant deadline, h2::StreamId id);
  /// Frees what the call holds; late bytes are dropped.
  void discard(CallStream& call);
  /// Moves received bytes into the reader. Returns whether a whole message is there.
  Result<bool> pump(CallStream& call, std::size_t stop_at, bool credit);
  /// Lets the peer send `size` bytes more of the call; of the connection's window, `of_connection`, if that is
  /// deferred.
  void credit(CallStream& call, std::size_t size, std::size_t of_connection);

 protected:
  virtual void on_deadline(h2::StreamId id) = 0;
  /// Before the first write: the server's header block.
  virtual void before_write(CallStream& /*call*/) {}
  virtual void on_connection_end() = 0;
  virtual void on_call_data(const CallStreamPtr& call) { call->changed.notify_all(); }
  /// When the timer has to act next for reasons of the subclass, and that it is time.
  virtual Instant next_timeout() { return kNever; }
  virtual void on_timeout(Instant /*now*/) {}

  void on_data(h2::StreamId id, ByteView bytes) override;
  void on_sent(h2::StreamId id) override;
  void on_pong(std::uint64_t opaque) override;

 private:
  async::Awaitable<Result<void>> read_loop();
  async::Awaitable<void> write_loop();
  async::Awaitable<void> timer_loop();
  async::Awaitable<Result<void>> drain();
  void account(CallStream& call);

  std::size_t held_ = 0;
  bool writer_done_ = false;
  bool peer_finished_ = false;
  Instant last_received_;
  bool awaiting_pong_ = false;
  Duration keepalive_interval_;
  Duration keepalive_timeout_;
  Instant stop_at_ = kNever;
  std::uint64_t pings_sent_ = 0;
  std::uint64_t pong_seen_ = 0;
  async::Event ponged_;
};

Status status_of(const Error& reading);
/// Custom metadata from a header block. Errors: h2::Errc::bad_metadata.
Result<Metadata> metadata_of(const h2::Headers& headers);
/// Appends custom metadata. Errors: h2::Errc::bad_metadata (a name or value of ours that cannot be sent).
Result<void> add_metadata(h2::Headers& headers, const Metadata& metadata);
void add_status(h2::Headers& headers, const Status& status);
Result<Status> parse_status(const h2::Headers& headers);
/// `application/grpc`, alone or with `+proto` or a parameter.
bool is_grpc_content(const std::string* content_type);

}  // namespace nmp::rpc::detail
