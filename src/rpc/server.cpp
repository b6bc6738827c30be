#include "rpc/server.hpp"

#include <map>

#include "rpc/connection.hpp"

namespace nmp::rpc {

using async::Awaitable;

namespace detail {

struct Method {
  Handler handler;
  MethodOptions options;
};
using MethodPtr = std::shared_ptr<const Method>;

struct ServerCallState final : CallStream {
  ServerCallState(const async::Executor& executor, MethodPtr m, std::shared_ptr<ServerConnection> c)
      : CallStream(executor, m->options.message_bytes_max, m->options.send_message_bytes_max),
        method(std::move(m)),
        connection(std::move(c)),
        context(executor),
        task(executor),
        returned(executor) {}

  MethodPtr method;                              // the server and its calls
  std::shared_ptr<ServerConnection> connection;  // serve() and its calls
  CallContext context;
  async::TaskGroup task;  ///< the handler
  async::Event returned;
  std::optional<Status> result;
  bool started = false;
  bool accepted = false;
  std::size_t inspected = 0;  ///< wire bytes the inspection took, not yet credited
  bool accepts_gzip = false;
  bool compress = false;
  bool headers_sent = false;
  Metadata initial_metadata;
  Metadata trailing_metadata;
  std::optional<Status> unsendable;  ///< metadata of the handler's that no header may carry
};
using ServerCallPtr = std::shared_ptr<ServerCallState>;

}  // namespace detail

struct Server::Shared {
  explicit Shared(async::Executor e, ServerLimits l) : executor(std::move(e)), limits(l), changed(executor) {}
  async::Executor executor;
  ServerLimits limits;
  std::map<std::string, detail::MethodPtr, std::less<>> methods;
  std::map<std::uint64_t, std::shared_ptr<detail::ServerConnection>> connections;  // with serve(); oldest first
  std::uint64_t arrivals = 0;
  async::Event changed;
  bool draining = false;
  bool closed = false;

  bool make_room();
};

namespace detail {

class ServerConnection final : public Connection, public std::enable_shared_from_this<ServerConnection> {
 public:
  ServerConnection(std::shared_ptr<Server::Shared> server, async::ByteStreamPtr stream, Caller caller)
      : Connection(server->executor,
                   std::move(stream),
                   h2::Role::server,
                   h2::SessionOptions(
                       kInitialWindowBytes,
                       server->limits.probation ? kInitialWindowBytes : kConnectionWindowBytes,
                       server->limits.probation ? server->limits.probation_calls_max : server->limits.calls_max),
                   server->limits.keepalive_interval,
                   server->limits.keepalive_timeout),
        server_(std::move(server)),
        caller_(std::move(caller)) {
    if (server_->limits.probation) {
      defer_connection_credit_ = true;
      probation_end_ = async::system_clock().now() + server_->limits.probation_time;
    }
  }

  void admit() {
    if (probation_end_ == kNever || ended_) return;
    probation_end_ = kNever;
    defer_connection_credit_ = false;
    session_->set_streams_max(server_->limits.calls_max);
    session_->set_connection_window(kConnectionWindowBytes);
    // What has arrived and is not read counts as the calls' from here on.
    for (auto& [id, stream] : streams_) {
      auto& call = static_cast<ServerCallState&>(*stream);
      session_->consume_connection(call.unread().size() + call.inspected + std::exchange(call.owed, 0));
    }
    flush();
  }

  void announce() {
    session_->announce_shutdown();
    session_->shutdown();
    flush();
  }
  [[nodiscard]] std::size_t calls() const { return handlers_; }
  /// What is lost with it: nothing (it has begun no call, or is ending), a stranger, a caller that was admitted and has
  /// asked for nothing for a while, one that has.
  enum class Worth : std::uint8_t { nothing, stranger, idle_caller, caller };
  [[nodiscard]] Worth worth() const {
    if (!spoken_ || stopping_ || ended_) return Worth::nothing;
    if (probation_end_ != kNever) return Worth::stranger;
    const bool idle = handlers_ == 0 && async::system_clock().now() - last_call_ >= server_->limits.idle_time;
    return idle ? Worth::idle_caller : Worth::caller;
  }
  [[nodiscard]] bool dropped() const { return dropped_; }
  /// Ends at once, without a word.
  void drop() {
    dropped_ = true;
    stream_->reset(0);
  }

  void send_headers(ServerCallState& call) {
    if (call.headers_sent || call.gone) return;
    call.headers_sent = true;
    call.gzip_out = call.compress && call.accepts_gzip;
    h2::Headers headers{
        {":status", "200"}, {"content-type", "application/grpc"}, {"grpc-accept-encoding", "identity,gzip"}};
    if (call.gzip_out) headers.emplace_back("grpc-encoding", "gzip");
    add(headers, call.initial_metadata, call);
    session_->respond(call.id, headers);
    flush();
  }

 protected:
  void before_write(CallStream& stream) override { send_headers(static_cast<ServerCallState&>(stream)); }

  void on_headers(h2::StreamId id, h2::Headers headers, bool trailers) override {
    if (trailers) return;
    spoken_ = true;
    const auto* path = h2::find(headers, ":path");
    const auto* method = h2::find(headers, ":method");
    if (method == nullptr || *method != "POST") return respond_http(id, "405");
    if (!is_grpc_content(h2::find(headers, "content-type"))) return respond_http(id, "415");
    if (path == nullptr) return respond_http(id, "400");
    auto found = server_->methods.find(*path);
    if (found == server_->methods.end())
      return refuse(id, Status(Code::unimplemented, "unknown method " + path->substr(0, 256)));
    if (handlers_ >= kHandlersMax || stopping_) return session_->reset(id, h2::kRefusedStream);

    auto call = std::make_shared<ServerCallState>(executor_, found->second, shared_from_this());
    call->id = id;
    call->context.caller = caller_;
    call->context.path = *path;
    if (const auto* timeout = h2::find(headers, "grpc-timeout")) {
      auto left = h2::parse_timeout(*timeout);
      if (!left) return refuse(id, Status(Code::internal, "malformed grpc-timeout"));
      call->context.deadline = async::system_clock().now() + *left;
    }
    auto encoding = h2::Encoding::identity;
    if (const auto* name = h2::find(headers, "grpc-encoding"); name != nullptr && *name != "identity") {
      if (*name != "gzip" || !call->method->options.gzip_requests)
        return refuse(id, Status(Code::unimplemented, "grpc-encoding is not supported"));
      encoding = h2::Encoding::gzip;
    }
    for (const auto& [name, value] : headers)
      if (name == "grpc-accept-encoding" && h2::accepts_gzip(value)) call->accepts_gzip = true;
    auto metadata = metadata_of(headers);
    if (!metadata) return refuse(id, Status(Code::internal, "malformed binary metadata"));
    call->context.metadata = *std::move(metadata);
    call->reader = std::make_unique<h2::MessageReader>(encoding, call->receive_bytes_max);
    streams_[id] = call;
    watch(call->context.deadline, id);
    if (!call->method->options.inspect_prefix) start(call);
  }

  void on_call_data(const CallStreamPtr& stream) override {
    auto call = std::static_pointer_cast<ServerCallState>(stream);
    if (!call->accepted) inspect(call);
    call->changed.notify_all();
  }

  void on_end(h2::StreamId id) override {
    auto it = streams_.find(id);
    if (it == streams_.end()) return;
    auto call = std::static_pointer_cast<ServerCallState>(it->second);
    call->peer_ended = true;
    if (!call->accepted) reject(call, Status(Code::invalid_argument, "no whole message"));
    call->changed.notify_all();
  }

  void on_closed(h2::StreamId id, std::uint32_t /*error_code*/) override {
    auto it = streams_.find(id);
    if (it == streams_.end()) return;
    auto call = std::static_pointer_cast<ServerCallState>(it->second);
    streams_.erase(it);
    deadlines_.erase({call->context.deadline, id});
    if (defer_connection_credit_) session_->consume_connection(std::exchange(call->inspected, 0));
    call->gone = true;
    discard(*call);
    if (!call->result) cancel(*call);
    call->changed.notify_all();
  }

  void on_deadline(h2::StreamId id) override {
    auto it = streams_.find(id);
    if (it == streams_.end()) return;
    auto call = std::static_pointer_cast<ServerCallState>(it->second);
    finish(*call, Status(Code::deadline_exceeded, "deadline exceeded"), /*at_once=*/true);
    cancel(*call);
  }

  void on_connection_end() override {
    for (auto& [id, stream] : streams_) cancel(static_cast<ServerCallState&>(*stream));
  }

  Instant next_timeout() override { return probation_end_; }
  void on_timeout(Instant now) override {
    if (now < probation_end_) return;
    probation_end_ = kNever;
    stop();
  }

 private:
  void respond_http(h2::StreamId id, std::string status) {
    h2::Headers headers{{":status", std::move(status)}};
    session_->respond_only(id, headers);
  }
  void refuse(h2::StreamId id, const Status& status) {
    h2::Headers headers{
        {":status", "200"}, {"content-type", "application/grpc"}, {"grpc-accept-encoding", "identity,gzip"}};
    add_status(headers, status);
    session_->respond_only(id, headers);
  }

  void start(const ServerCallPtr& call) {
    call->accepted = call->may_open = true;
    call->started = true;
    ++handlers_;
    tasks_.spawn(run_call(call));
  }

  void inspect(const ServerCallPtr& call) {
    const auto& options = call->method->options;
    if (call->gone || call->discard) return;
    auto before = call->unread().size();
    auto whole = pump(*call, options.inspect_bytes_max, /*credit=*/false);
    if (!whole) return reject(call, status_of(whole.error()));
    call->inspected += before - call->unread().size();
    auto prefix = call->reader->partial();
    if (prefix.empty() && !*whole) return;
    bool full = prefix.size() >= options.inspect_bytes_max;
    auto verdict =
        options.inspect_prefix(call->context, prefix.first(std::min(prefix.size(), options.inspect_bytes_max)),
                               *whole && prefix.size() <= options.inspect_bytes_max);
    if (verdict.verdict == Verdict::refuse) return reject(call, verdict.status);
    if (verdict.verdict == Verdict::need_more) {
      if (*whole || full)
        reject(call, Status(Code::invalid_argument, "the first bytes of the message do not say enough"));
      return;
    }
    credit(*call, call->inspected, call->inspected);
    call->inspected = 0;
    start(call);
  }

  void reject(const ServerCallPtr& call, const Status& status) {
    call->accepted = true;
    call->result = status;
    credit(*call, call->inspected, call->inspected);
    call->inspected = 0;
    discard(*call);
    finish(*call, status, /*at_once=*/false);
  }

  void cancel(ServerCallState& call) {
    if (call.context.cancelled_) return;
    call.context.cancelled_ = true;
    call.context.on_cancel.notify_all();
    call.task.cancel();
  }

  static void add(h2::Headers& headers, const Metadata& metadata, ServerCallState& call) {
    auto added = add_metadata(headers, metadata);
    if (!added) call.unsendable = Status(Code::internal, "metadata that cannot be sent: " + added.error().context);
  }

  void finish(ServerCallState& call, const Status& status, bool at_once) {
    if (call.gone || call.send_ended) return;
    // In a block that is header and trailer at once, initial metadata would arrive as trailing.
    if (!call.initial_metadata.empty()) send_headers(call);
    call.send_ended = true;
    discard(call);
    h2::Headers trailers;
    if (!call.headers_sent)
      trailers = {{":status", "200"}, {"content-type", "application/grpc"}, {"grpc-accept-encoding", "identity,gzip"}};
    add(trailers, call.trailing_metadata, call);
    add_status(trailers, status.ok() ? call.unsendable.value_or(status) : status);
    if (!call.headers_sent)
      session_->respond_only(call.id, trailers);
    else if (at_once && session_->queued(call.id) > 0)
      session_->reset(call.id, h2::kCancel);
    else
      session_->end_with(call.id, std::move(trailers));
    flush();
  }

  Awaitable<void> invoke(ServerCallPtr call) {
    ServerCall handle(call);
    auto status = co_await call->method->handler(handle);
    call->result = std::move(status);
    call->returned.notify_all();
  }

  Awaitable<void> run_call(ServerCallPtr call) {
    call->task.spawn(invoke(call));
    if (call->context.cancelled()) call->task.cancel();
    while (!call->result) {
      auto waited = co_await call->returned.wait();
      if (!waited) break;
    }
    if (!call->result) cancel(*call);
    co_await call->task.close();
    --handlers_;
    last_call_ = async::system_clock().now();
    finish(*call, call->result.value_or(Status(Code::cancelled, "cancelled")), /*at_once=*/false);
    server_->changed.notify_all();
  }

  std::shared_ptr<Server::Shared> server_;  // the server and its connections
  Caller caller_;
  std::size_t handlers_ = 0;
  bool spoken_ = false;
  bool dropped_ = false;
  Instant probation_end_ = kNever;
  Instant last_call_{};  ///< ended
};

}  // namespace detail

bool Server::Shared::make_room() {
  if (connections.size() < limits.connections_max) return true;
  std::size_t live = 0;
  std::shared_ptr<detail::ServerConnection> least;
  for (const auto& [arrival, connection] : connections) {
    if (connection->dropped()) continue;
    ++live;
    if (least == nullptr || connection->worth() < least->worth()) least = connection;
  }
  if (live < limits.connections_max) return true;
  if (least == nullptr || least->worth() == detail::ServerConnection::Worth::caller) return false;
  least->drop();
  return true;
}

ServerCall::ServerCall(std::shared_ptr<detail::ServerCallState> state) : state_(std::move(state)) {}
ServerCall::~ServerCall() = default;
const CallContext& ServerCall::context() const { return state_->context; }
const async::Executor& ServerCall::executor() const { return state_->connection->executor(); }

Awaitable<Result<std::optional<Bytes>>> ServerCall::read() {
  auto state = state_;
  auto message = co_await state->connection->read(state);
  if (message && !*message && !state->peer_ended) co_return fail(Errc::cancelled);
  co_return message;
}

Awaitable<Result<Bytes>> ServerCall::read_only() {
  NMP_CO_TRY(auto message, co_await read());
  if (!message) co_return fail(Code::invalid_argument, "no request message");
  NMP_CO_TRY(auto more, co_await read());
  if (more) co_return fail(Code::invalid_argument, "more than one request message");
  co_return *std::move(message);
}

Awaitable<Result<void>> ServerCall::write(Bytes message) {
  auto state = state_;
  state->connection->send_headers(*state);
  bool gzip = state->gzip_out && state->compress;
  auto written = co_await state->connection->write(state, std::move(message), gzip);
  if (!written && state->context.cancelled()) co_return fail(Errc::cancelled);
  co_return written;
}

void ServerCall::add_initial_metadata(std::string name, std::string value) {
  state_->initial_metadata.add(std::move(name), std::move(value));
}
void ServerCall::send_headers() { state_->connection->send_headers(*state_); }
void ServerCall::add_trailing_metadata(std::string name, std::string value) {
  state_->trailing_metadata.add(std::move(name), std::move(value));
}
void ServerCall::compress(bool on) { state_->compress = on; }
void ServerCall::admit_connection() { state_->connection->admit(); }

Server::Server(async::Executor executor, ServerLimits limits)
    : shared_(std::make_shared<Shared>(std::move(executor), limits)) {}
Server::~Server() { NMP_ASSERT(shared_->connections.empty()); }

void Server::handle(std::string path, Handler handler, MethodOptions options) {
  auto method = std::make_shared<detail::Method>();
  method->handler = std::move(handler);
  method->options = std::move(options);
  shared_->methods[std::move(path)] = std::move(method);
}

std::vector<std::string> Server::services() const {
  std::set<std::string> names;
  for (const auto& [path, method] : shared_->methods) names.insert(path.substr(1, path.rfind('/') - 1));
  return {names.begin(), names.end()};
}

Awaitable<void> Server::serve(async::ByteStreamPtr stream, Caller caller) {
  auto shared = shared_;
  if (shared->closed || shared->draining || !shared->make_room()) {
    stream->reset(0);
    co_return;
  }
  auto connection = std::make_shared<detail::ServerConnection>(shared, std::move(stream), std::move(caller));
  const auto arrival = ++shared->arrivals;
  shared->connections.emplace(arrival, connection);
  co_await connection->run();
  shared->connections.erase(arrival);
  shared->changed.notify_all();
}

Awaitable<void> Server::drain(Instant deadline) {
  auto shared = shared_;
  shared->draining = true;
  for (const auto& [arrival, connection] : shared->connections) connection->announce();
  auto busy = [](const Shared& s) {
    return std::ranges::any_of(s.connections, [](const auto& c) { return c.second->calls() > 0; });
  };
  while (busy(*shared)) {
    auto waited = co_await shared->changed.wait(deadline);
    if (!waited) break;
  }
  co_await close();
}

Awaitable<void> Server::close() {
  auto shared = shared_;
  shared->closed = true;
  for (auto connections = shared->connections; const auto& [arrival, connection] : connections) connection->stop();
  while (!shared->connections.empty()) {
    auto waited = co_await shared->changed.wait();
    if (!waited) break;
  }
}

}  // namespace nmp::rpc
