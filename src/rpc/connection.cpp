#include "rpc/connection.hpp"

#include "base/async/with_deadline.hpp"

namespace nmp::rpc::detail {

using async::Awaitable;

namespace {
constexpr std::size_t kReadBytes = 64UZ << 10;
constexpr std::size_t kWriteBytes = 64UZ << 10;
Instant now() { return async::system_clock().now(); }
Instant after(Instant from, Duration d) { return from >= kNever - d ? kNever : from + d; }
}  // namespace

Connection::Connection(const async::Executor& executor,
                       async::ByteStreamPtr stream,
                       h2::Role role,
                       h2::SessionOptions options,
                       Duration keepalive_interval,
                       Duration keepalive_timeout)
    : executor_(executor),
      stream_(std::move(stream)),
      session_(h2::Session::make(role, options, *this)),
      wake_writer_(executor),
      wake_timer_(executor),
      ended_event_(executor),
      tasks_(executor),
      last_received_(now()),
      keepalive_interval_(keepalive_interval),
      keepalive_timeout_(keepalive_timeout),
      ponged_(executor) {}
Connection::~Connection() = default;

Awaitable<void> Connection::run() {
  tasks_.spawn(write_loop());
  tasks_.spawn(timer_loop());
  auto read = co_await read_loop();
  ended_ = true;
  on_connection_end();
  for (auto streams = std::exchange(streams_, {}); auto& [id, call] : streams) {
    call->gone = true;
    call->changed.notify_all();
  }
  wake_writer_.notify_all();
  wake_timer_.notify_all();
  auto linger = now() + kLingerTime;
  bool broken = !read && (read.error().code == Errc::closed || read.error().code == Errc::cancelled);
  while (!broken && !writer_done_) {
    auto waited = co_await ended_event_.wait(linger);
    broken = !waited;
  }
  if (!broken && !peer_finished_) (void)co_await async::with_deadline(linger + kLingerTime, drain());
  stream_->reset(0);
  co_await tasks_.close();
  writer_done_ = true;
  ended_event_.notify_all();
}

void Connection::stop() {
  if (stopping_ || ended_) return;
  stopping_ = true;
  stop_at_ = now() + kLingerTime;
  on_connection_end();
  session_->terminate(h2::kNoError);
  flush();
  wake_timer_.notify_all();
}

Awaitable<Result<void>> Connection::drain() {
  Bytes buffer(kReadBytes);
  for (;;) {
    NMP_CO_TRY(auto size, co_await stream_->read_some(buffer));
    if (size == 0) co_return Result<void>();
  }
}

Awaitable<Result<void>> Connection::read_loop() {
  Bytes buffer(kReadBytes);
  while (!session_->ended()) {
    NMP_CO_TRY(auto size, co_await stream_->read_some(buffer));
    if (size == 0) {
      peer_finished_ = true;
      break;
    }
    last_received_ = now();
    awaiting_pong_ = false;
    auto taken = session_->receive(ByteView(buffer).first(size), last_received_);
    flush();
    NMP_CO_CHECK(std::move(taken));
  }
  co_return Result<void>();
}

Awaitable<void> Connection::write_loop() {
  Bytes out;
  for (;;) {
    out.clear();
    session_->produce(out, kWriteBytes);
    if (!out.empty()) {
      auto written = co_await stream_->write(out);
      if (!written) break;
      continue;
    }
    if (ended_ || session_->ended()) {
      (void)co_await stream_->close_write();
      break;
    }
    if (!co_await wake_writer_.wait()) break;
  }
  writer_done_ = true;
  ended_event_.notify_all();
}

Awaitable<void> Connection::timer_loop() {
  while (!ended_) {
    auto keepalive =
        after(last_received_, awaiting_pong_ ? keepalive_interval_ + keepalive_timeout_ : keepalive_interval_);
    auto next =
        std::min({keepalive, stop_at_, next_timeout(), deadlines_.empty() ? kNever : deadlines_.begin()->first});
    auto waited = co_await wake_timer_.wait(next);
    if (!waited && waited.error().code == Errc::cancelled) co_return;
    auto time = now();
    while (!deadlines_.empty() && deadlines_.begin()->first <= time) {
      auto id = deadlines_.begin()->second;
      deadlines_.erase(deadlines_.begin());
      on_deadline(id);
    }
    on_timeout(time);
    if (stop_at_ <= time) {
      stop_at_ = kNever;
      stream_->reset(0);
    }
    if (time < after(last_received_, keepalive_interval_)) continue;
    if (!awaiting_pong_) {
      awaiting_pong_ = true;
      session_->ping(++pings_sent_);
      flush();
    } else if (time >= after(last_received_, keepalive_interval_ + keepalive_timeout_)) {
      stream_->reset(0);
      co_return;
    }
  }
}

void Connection::watch(Instant deadline, h2::StreamId id) {
  if (deadline == kNever) return;
  deadlines_.emplace(deadline, id);
  if (deadlines_.begin()->second == id) wake_timer_.notify_all();
}

void Connection::account(CallStream& call) {
  auto size = call.unread().size() + (call.reader ? call.reader->partial().size() : 0);
  held_ = held_ - call.held + size;
  call.held = size;
}

void Connection::credit(CallStream& call, std::size_t size, std::size_t of_connection) {
  if (size == 0 && of_connection == 0) return;
  if (defer_connection_credit_) session_->consume_connection(of_connection);
  if (!call.gone) session_->consume(call.id, size);
  flush();
}

void Connection::discard(CallStream& call) {
  call.discard = true;
  auto size = call.unread().size();
  call.raw = Bytes();
  call.raw_taken = 0;
  call.reader.reset();
  account(call);
  credit(call, size, size + std::exchange(call.owed, 0));
}

Result<bool> Connection::pump(CallStream& call, std::size_t stop_at, bool give_credit) {
  if (!call.reader) return false;
  auto fed = call.reader->feed(call.unread(), stop_at);
  if (!fed) return fail(std::move(fed).error());
  call.raw_taken += *fed;
  if (call.raw_taken == call.raw.size()) {
    call.raw.clear();
    call.raw_taken = 0;
  }
  const bool whole = call.reader->whole();
  if (give_credit) {
    if (defer_connection_credit_) call.owed += *fed;
    credit(call, *fed, whole ? std::exchange(call.owed, 0) : 0);
  }
  account(call);
  return whole;
}

void Connection::on_data(h2::StreamId id, ByteView bytes) {
  if (!defer_connection_credit_) session_->consume_connection(bytes.size());
  auto it = streams_.find(id);
  if (it == streams_.end() || it->second->discard) {
    if (defer_connection_credit_) session_->consume_connection(bytes.size());
    if (it != streams_.end()) session_->consume(id, bytes.size());
    return;
  }
  auto call = it->second;
  if (call->raw_taken > 0) {
    call->raw.erase(call->raw.begin(), call->raw.begin() + static_cast<std::ptrdiff_t>(call->raw_taken));
    call->raw_taken = 0;
  }
  append(call->raw, bytes);
  call->received += bytes.size();
  account(*call);
  if (held_ > kConnectionHeldBytesMax && !call->read_error) {
    call->read_error = Status(Code::resource_exhausted, "the connection's calls hold too much");
    discard(*call);
  }
  if (call->may_open && !call->window_open && call->received > kOpenWindowAfterBytes) {
    call->window_open = true;
    session_->set_window(id, kOpenWindowBytes);
  }
  on_call_data(call);
}

void Connection::on_sent(h2::StreamId id) {
  auto it = streams_.find(id);
  if (it != streams_.end()) it->second->changed.notify_all();
}

void Connection::on_pong(std::uint64_t opaque) {
  pong_seen_ = std::max(pong_seen_, opaque);
  ponged_.notify_all();
}

Awaitable<Result<Duration>> Connection::ping(Instant deadline) {
  if (ended_) co_return fail(Errc::closed);
  auto number = ++pings_sent_;
  auto sent = now();
  session_->ping(number);
  flush();
  while (pong_seen_ < number) {
    if (ended_) co_return fail(Errc::closed);
    NMP_CO_CHECK(co_await ponged_.wait(deadline));
  }
  co_return now() - sent;
}

Awaitable<Result<std::optional<Bytes>>> Connection::read(CallStreamPtr call) {
  for (;;) {
    if (call->read_error) co_return fail(to_error(*call->read_error));
    if (call->discard) co_return std::optional<Bytes>();
    auto whole = pump(*call, SIZE_MAX, true);
    if (!whole) {
      call->read_error = status_of(whole.error());
      discard(*call);
      continue;
    }
    if (*whole) {
      std::optional<Bytes> message = call->reader->take();
      account(*call);
      co_return message;
    }
    if (call->unread().empty() && (call->peer_ended || call->gone)) {
      if (call->peer_ended && call->reader && !call->reader->at_boundary()) {
        call->read_error = Status(Code::internal, "the stream ends inside a message");
        continue;
      }
      co_return std::optional<Bytes>();
    }
    NMP_CO_CHECK(co_await call->changed.wait());
  }
}

Awaitable<Result<void>> Connection::write(CallStreamPtr call, Bytes message, bool compressed) {
  if (message.size() > call->send_bytes_max)
    co_return fail(Code::resource_exhausted, "message of " + std::to_string(message.size()) + " bytes is over the cap");
  if (compressed) message = h2::gzip(message);
  while (!call->gone && session_->queued(call->id) > kSendQueueBytes) NMP_CO_CHECK(co_await call->changed.wait());
  if (call->gone || call->send_ended) co_return fail(Code::cancelled, "the call has ended");
  before_write(*call);
  session_->send(call->id, h2::message_header(compressed, message.size()));
  session_->send(call->id, std::move(message));
  flush();
  co_return Result<void>();
}

Status status_of(const Error& reading) {
  if (reading.code == h2::Errc::message_too_large)
    return {Code::resource_exhausted, "received message is over the cap"};
  if (reading.code == h2::Errc::bad_frame) return {Code::internal, "malformed message frame"};
  if (reading.code == h2::Errc::unexpected_compression)
    return {Code::internal, "compressed message without grpc-encoding"};
  if (reading.code == h2::Errc::bad_compression) return {Code::internal, "malformed compressed message"};
  return to_status(reading);
}

Result<Metadata> metadata_of(const h2::Headers& headers) {
  Metadata out;
  for (const auto& [name, value] : headers) {
    if (name.starts_with(':') || (!h2::is_custom_name(name) && name != "user-agent")) continue;
    if (!h2::is_binary(name)) {
      out.add(name, value);
      continue;
    }
    NMP_TRY(auto values, h2::decode_binary(value));
    for (auto& raw : values) out.add(name, std::move(raw));
  }
  return out;
}

Result<void> add_metadata(h2::Headers& headers, const Metadata& metadata) {
  for (const auto& [name, value] : metadata.fields()) {
    if (!h2::is_custom_name(name)) return fail(h2::Errc::bad_metadata, name);
    bool binary = h2::is_binary(name);
    if (!binary && !h2::is_ascii_value(value)) return fail(h2::Errc::bad_metadata, name);
    headers.emplace_back(name, binary ? h2::encode_binary(value) : value);
  }
  return {};
}

void add_status(h2::Headers& headers, const Status& status) {
  headers.emplace_back("grpc-status", std::to_string(static_cast<int>(status.code)));
  if (!status.message.empty()) headers.emplace_back("grpc-message", h2::percent_encode(status.message));
  if (status.info) headers.emplace_back("grpc-status-details-bin", h2::encode_binary(text_of(encode_details(status))));
}

Result<Status> parse_status(const h2::Headers& headers) {
  const auto* code = h2::find(headers, "grpc-status");
  if (code == nullptr) return fail(Errc::not_found);
  std::uint64_t number = code->empty() || code->size() > 9 ? UINT64_MAX : 0;
  for (char c : *code) {
    if (c < '0' || c > '9') number = UINT64_MAX;
    if (number != UINT64_MAX) number = number * 10 + static_cast<std::uint64_t>(c - '0');
  }
  Status status(code_of(number), "");
  if (const auto* message = h2::find(headers, "grpc-message")) status.message = h2::percent_decode(*message);
  if (const auto* details = h2::find(headers, "grpc-status-details-bin")) {
    auto raw = h2::decode_binary(*details);
    // Details that do not parse are left out: the status itself stands.
    if (raw && raw->size() == 1)
      if (auto info = decode_details(bytes_of(raw->front())); info) status.info = *std::move(info);
  }
  return status;
}

bool is_grpc_content(const std::string* content_type) {
  static constexpr std::string_view kType = "application/grpc";
  if (content_type == nullptr || !content_type->starts_with(kType)) return false;
  return content_type->size() == kType.size() || (*content_type)[kType.size()] == '+' ||
         (*content_type)[kType.size()] == ';';
}

}  // namespace nmp::rpc::detail
