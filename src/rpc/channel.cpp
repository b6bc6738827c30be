#include "rpc/channel.hpp"

#include "rpc/connection.hpp"

namespace nmp::rpc {

using async::Awaitable;

namespace detail {

struct ClientCallState final : CallStream {
  ClientCallState(const async::Executor& executor, const CallOptions& options, std::shared_ptr<ClientConnection> c)
      : CallStream(executor, options.message_bytes_max, options.send_message_bytes_max), connection(std::move(c)) {}
  std::shared_ptr<ClientConnection> connection;  // the channel and its calls
  Instant deadline = kNever;
  std::optional<Status> status;
  std::string http_status;
  bool headers_seen = false;
  Metadata initial_metadata;
  Metadata trailing_metadata;
  std::optional<Status> trailer_status;
};
using ClientCallStatePtr = std::shared_ptr<ClientCallState>;

class ClientConnection final : public Connection, public std::enable_shared_from_this<ClientConnection> {
 public:
  ClientConnection(const async::Executor& executor, async::ByteStreamPtr stream, ChannelOptions options)
      : Connection(executor,
                   std::move(stream),
                   h2::Role::client,
                   h2::SessionOptions(kOpenWindowBytes, kConnectionWindowBytes, 0),
                   options.keepalive_interval,
                   options.keepalive_timeout),
        options_(std::move(options)),
        runner_(executor) {}

  void start() { runner_.spawn(run_owned(shared_from_this())); }
  Awaitable<void> join() {
    stop();
    while (runner_.size() > 0) {
      auto waited = co_await ended_event_.wait(async::system_clock().now() + std::chrono::milliseconds(20));
      if (!waited && waited.error().code == Errc::cancelled) break;
    }
    co_await runner_.close();
  }
  [[nodiscard]] bool alive() const { return !ended_ && !stopping_ && !goaway_; }

  ClientCallStatePtr begin(const std::string& path, const CallOptions& options) {
    auto call = std::make_shared<ClientCallState>(executor_, options, shared_from_this());
    call->deadline = options.deadline;
    auto refused = open(*call, path, options);
    if (refused) {
      call->gone = true;
      call->status = std::move(refused);
      return call;
    }
    streams_[call->id] = call;
    watch(call->deadline, call->id);
    flush();
    return call;
  }

  void half_close(ClientCallState& call) {
    if (call.gone || call.send_ended) return;
    call.send_ended = true;
    session_->end(call.id);
    flush();
  }

  /// Ends the call here and now.
  void end_call(ClientCallState& call, const Status& status) {
    if (call.status) return;
    call.status = status;
    streams_.erase(call.id);
    deadlines_.erase({call.deadline, call.id});
    if (!call.gone) session_->reset(call.id, h2::kCancel);
    call.gone = true;
    discard(call);
    call.changed.notify_all();
    flush();
  }

 protected:
  void on_headers(h2::StreamId id, h2::Headers headers, bool trailers) override {
    auto call = find_call(id);
    if (!call) return;
    if (trailers) {
      take_trailers(*call, headers);
      return;
    }
    const auto* http = h2::find(headers, ":status");
    call->headers_seen = true;
    call->changed.notify_all();
    // The HTTP status counts only where there is no grpc-status (doc/http-grpc-status-mapping.md).
    bool is_grpc = is_grpc_content(h2::find(headers, "content-type"));
    if (is_grpc && h2::find(headers, "grpc-status") != nullptr) {
      take_trailers(*call, headers);
      return;
    }
    if (http == nullptr || *http != "200") {
      auto code = h2::grpc_code_of_http_status(http == nullptr ? "" : *http);
      return end_call(*call,
                      Status(code_of(static_cast<std::uint64_t>(code)), "HTTP status " + (http ? *http : "none")));
    }
    if (!is_grpc) return end_call(*call, Status(Code::unknown, "the response is not application/grpc"));
    auto encoding = h2::Encoding::identity;
    if (const auto* name = h2::find(headers, "grpc-encoding"); name != nullptr && *name != "identity") {
      if (*name != "gzip")
        return end_call(*call, Status(Code::internal, "the response's grpc-encoding was not offered"));
      encoding = h2::Encoding::gzip;
    }
    auto metadata = metadata_of(headers);
    if (!metadata) return end_call(*call, Status(Code::internal, "malformed binary metadata"));
    call->initial_metadata = *std::move(metadata);
    if (!call->discard) call->reader = std::make_unique<h2::MessageReader>(encoding, call->receive_bytes_max);
  }

  void on_end(h2::StreamId id) override {
    auto call = find_call(id);
    if (!call) return;
    call->peer_ended = true;
    call->headers_seen = true;
    call->status = call->trailer_status.value_or(Status(Code::internal, "the response ended without a status"));
    streams_.erase(id);
    deadlines_.erase({call->deadline, id});
    // The server needs no more of the request.
    if (!call->send_ended) session_->reset(id, h2::kNoError);
    call->gone = true;
    call->changed.notify_all();
  }

  void on_closed(h2::StreamId id, std::uint32_t error_code) override {
    auto call = find_call(id);
    if (!call) return;
    call->gone = true;
    auto code = code_of(static_cast<std::uint64_t>(h2::grpc_code_of_h2_error(error_code)));
    end_call(*call, Status(code, "stream reset, HTTP/2 error " + std::to_string(error_code)));
  }

  void on_goaway(h2::StreamId last, std::uint32_t error_code) override {
    goaway_ = true;
    if (error_code != h2::kNoError) goaway_reason_ = "GOAWAY, HTTP/2 error " + std::to_string(error_code);
    for (auto streams = streams_; auto& [id, stream] : streams)
      if (id > last) {
        stream->gone = true;
        end_call(static_cast<ClientCallState&>(*stream), Status(Code::unavailable, "refused by GOAWAY"));
      }
  }

  void on_deadline(h2::StreamId id) override {
    if (auto call = find_call(id)) end_call(*call, Status(Code::deadline_exceeded, "deadline exceeded"));
  }

  void on_connection_end() override {
    auto status = stopping_ ? Status(Code::cancelled, "the channel was closed")
                            : Status(Code::unavailable, goaway_reason_.empty() ? "connection lost" : goaway_reason_);
    for (auto streams = streams_; auto& [id, stream] : streams)
      end_call(static_cast<ClientCallState&>(*stream), status);
  }

 private:
  static Awaitable<void> run_owned(std::shared_ptr<ClientConnection> self) { co_await self->run(); }

  ClientCallStatePtr find_call(h2::StreamId id) {
    auto it = streams_.find(id);
    return it == streams_.end() ? nullptr : std::static_pointer_cast<ClientCallState>(it->second);
  }

  void take_trailers(ClientCallState& call, const h2::Headers& headers) {
    auto status = parse_status(headers);
    call.trailer_status = status ? *status : Status(Code::unknown, "trailers without grpc-status");
    auto metadata = metadata_of(headers);
    if (metadata)
      call.trailing_metadata = *std::move(metadata);
    else
      call.trailer_status = Status(Code::internal, "malformed binary metadata");
  }

  std::optional<Status> open(ClientCallState& call, const std::string& path, const CallOptions& options) {
    if (!alive()) return Status(Code::unavailable, "the connection has ended");
    if (streams_.size() >= options_.calls_max) return Status(Code::resource_exhausted, "too many calls on the channel");
    auto time = async::system_clock().now();
    if (options.deadline <= time) return Status(Code::deadline_exceeded, "deadline exceeded");
    h2::Headers headers{{":method", "POST"},
                        {":scheme", "http"},
                        {":path", path},
                        {":authority", options_.authority},
                        {"te", "trailers"},
                        {"content-type", "application/grpc"},
                        {"user-agent", options_.user_agent}};
    if (options.deadline != kNever) headers.emplace_back("grpc-timeout", h2::format_timeout(options.deadline - time));
    if (options.compress) headers.emplace_back("grpc-encoding", "gzip");
    headers.emplace_back("grpc-accept-encoding", "identity,gzip");
    call.gzip_out = options.compress;
    auto added = add_metadata(headers, options.metadata);
    if (!added) return Status(Code::internal, "metadata that cannot be sent: " + added.error().context);
    auto id = session_->open(headers);
    if (!id) return Status(Code::unavailable, "no more streams on this connection");
    call.id = *id;
    return std::nullopt;
  }

  ChannelOptions options_;
  bool goaway_ = false;
  std::string goaway_reason_;
  async::TaskGroup runner_;
};

}  // namespace detail

ClientCall::ClientCall(std::shared_ptr<detail::ClientCallState> state) : state_(std::move(state)) {}
ClientCall::~ClientCall() {
  cancel();
  // Also what a call that had ended before has received: else it would count as held for ever.
  if (!state_->discard) state_->connection->discard(*state_);
}

Awaitable<Result<void>> ClientCall::write(Bytes message) {
  auto state = state_;
  bool gzip = state->gzip_out;
  co_return co_await state->connection->write(state, std::move(message), gzip);
}
Awaitable<Result<void>> ClientCall::write_plain(Bytes message) {
  auto state = state_;
  co_return co_await state->connection->write(state, std::move(message), false);
}
void ClientCall::writes_done() { state_->connection->half_close(*state_); }

Awaitable<Result<std::optional<Bytes>>> ClientCall::read() {
  auto state = state_;
  auto message = co_await state->connection->read(state);
  if (message || message.error().code == Errc::cancelled) co_return message;
  // What cannot be read ends the call, whatever the server says later.
  auto status = to_status(message.error());
  if (state->status)
    state->status = status;
  else
    state->connection->end_call(*state, status);
  co_return std::optional<Bytes>();
}

Awaitable<Status> ClientCall::finish() {
  auto state = state_;
  if (!state->discard) state->connection->discard(*state);
  while (!state->status) {
    auto waited = co_await state->changed.wait();
    if (!waited) {
      state->connection->end_call(*state, Status(Code::cancelled, "cancelled"));
      break;
    }
  }
  co_return *state->status;
}

void ClientCall::cancel() { state_->connection->end_call(*state_, Status(Code::cancelled, "cancelled by the caller")); }

Awaitable<Result<Metadata>> ClientCall::initial_metadata() {
  auto state = state_;
  while (!state->headers_seen && !state->status) NMP_CO_CHECK(co_await state->changed.wait());
  co_return state->initial_metadata;
}
const Metadata& ClientCall::trailing_metadata() const { return state_->trailing_metadata; }

std::unique_ptr<Channel> Channel::make(const async::Executor& executor,
                                       async::ByteStreamPtr stream,
                                       ChannelOptions options) {
  auto connection = std::make_shared<detail::ClientConnection>(executor, std::move(stream), std::move(options));
  connection->start();
  return std::make_unique<Channel>(std::move(connection));
}
Channel::Channel(std::shared_ptr<detail::ClientConnection> connection) : connection_(std::move(connection)) {}
Channel::~Channel() { connection_->stop(); }

ClientCallPtr Channel::call(const std::string& path, const CallOptions& options) {
  return std::make_unique<ClientCall>(connection_->begin(path, options));
}

Awaitable<UnaryReply> Channel::unary_reply(std::string path, Bytes request, CallOptions options) {
  auto handle = call(path, options);
  UnaryReply reply;
  auto written = co_await handle->write(std::move(request));
  if (written) {
    handle->writes_done();
  } else if (written.error().code == Code::resource_exhausted) {
    handle->cancel();
    reply.status = to_status(written.error());
    co_return reply;
  }
  auto message = co_await handle->read();
  if (message && *message) {
    reply.message = **std::move(message);
    auto more = co_await handle->read();
    if (more && *more) {
      handle->cancel();
      reply.status = Status(Code::internal, "more than one response message");
      co_return reply;
    }
    reply.status = co_await handle->finish();
  } else {
    reply.status = co_await handle->finish();
    if (reply.status.ok()) reply.status = Status(Code::internal, "no response message");
  }
  auto initial = co_await handle->initial_metadata();
  if (initial) reply.initial_metadata = *std::move(initial);
  reply.trailing_metadata = handle->trailing_metadata();
  co_return reply;
}

Awaitable<Result<Bytes>> Channel::unary(std::string path, Bytes request, CallOptions options) {
  auto reply = co_await unary_reply(std::move(path), std::move(request), std::move(options));
  if (!reply.status.ok()) co_return fail(to_error(reply.status));
  co_return std::move(reply.message);
}

bool Channel::alive() const { return connection_->alive(); }
Awaitable<Result<void>> Channel::wait_closed() {
  auto connection = connection_;
  while (!connection->ended()) NMP_CO_CHECK(co_await connection->ended_event_.wait());
  co_return Result<void>();
}
Awaitable<Result<Duration>> Channel::ping(Instant deadline) {
  auto connection = connection_;
  co_return co_await connection->ping(deadline);
}
Awaitable<void> Channel::close() {
  auto connection = connection_;
  co_await connection->join();
}

}  // namespace nmp::rpc
