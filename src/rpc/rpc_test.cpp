#include <gtest/gtest.h>

#include "base/async/task_group.hpp"
#include "base/async/tcp.hpp"
#include "base/async/testing.hpp"
#include "rpc/channel.hpp"
#include "rpc/server.hpp"

namespace nmp::rpc {
namespace {

using async::Awaitable;
using namespace std::chrono_literals;

Instant in(Duration d) { return async::system_clock().now() + d; }
Bytes text(std::string_view t) { return to_bytes(t); }

struct Log {
  bool saw_cancel = false;
  bool context_cancelled = false;
  std::size_t written = 0;
  std::size_t started = 0;
};

Awaitable<Status> echo(ServerCall& call) {
  auto message = co_await call.read_only();
  if (!message) co_return to_status(message.error());
  for (const auto& [name, value] : call.context().metadata.fields())
    if (name.starts_with("x-")) call.add_initial_metadata(name, value);
  call.add_trailing_metadata("x-address", call.context().caller.address);
  if (call.context().metadata.find("x-compress")) call.compress(true);
  auto written = co_await call.write(*std::move(message));
  co_return written ? Status() : to_status(written.error());
}

Awaitable<Status> echo_each(ServerCall& call) {
  for (;;) {
    auto message = co_await call.read();
    if (!message) co_return to_status(message.error());
    if (!*message) co_return Status();
    auto written = co_await call.write(**std::move(message));
    if (!written) co_return to_status(written.error());
  }
}

Awaitable<Status> reject(ServerCall& /*call*/) {
  auto status = Status::because(Code::failed_precondition, "session_unknown", "no \xc3\xa9 100%\n");
  co_return status;
}

struct Rig {
  explicit Rig(async::Executor e, ServerLimits limits = ServerLimits(), std::size_t capacity = 256 * 1024)
      : executor(e), server(e, limits), tasks(e) {
    auto pipe = async::memory_pipe(e, capacity);
    near = std::move(pipe.first);
    far = std::move(pipe.second);
    server.handle("/t.T/Echo", echo);
    server.handle("/t.T/EchoEach", echo_each);
    server.handle("/t.T/Reject", reject);
  }
  static Awaitable<void> run_server(Server& server, async::ByteStreamPtr stream) {
    co_await server.serve(std::move(stream), Caller("here"));
  }
  void start() {
    tasks.spawn(run_server(server, std::move(far)));
    channel = Channel::make(executor, std::move(near), ChannelOptions());
  }
  Awaitable<void> stop() {
    if (channel) co_await channel->close();
    co_await server.close();
    co_await tasks.close();
  }
  async::Executor executor;
  Server server;
  async::TaskGroup tasks;
  async::ByteStreamPtr near, far;
  std::unique_ptr<Channel> channel;
};

template <class Body>
void with_rig(Body body, ServerLimits limits = ServerLimits()) {
  boost::asio::io_context context(1);
  auto run = [](boost::asio::io_context& c, Body test, ServerLimits l) -> Awaitable<bool> {
    Rig rig(c.get_executor(), l);
    co_await test(rig);
    co_await rig.stop();
    co_return true;
  };
  EXPECT_TRUE(async::run_until_done(context, run(context, std::move(body), limits)));
}

TEST(Rpc, UnaryCarriesMetadataAndCaller) {
  with_rig([](Rig& rig) -> Awaitable<void> {
    rig.start();
    CallOptions options;
    options.metadata.add("x-text", "hello");
    options.metadata.add("x-raw-bin", std::string("\0\xff,", 3));
    options.deadline = in(10s);
    auto reply = co_await rig.channel->unary_reply("/t.T/Echo", text("abc"), options);
    EXPECT_EQ(reply.status, Status());
    EXPECT_EQ(text_of(reply.message), "abc");
    EXPECT_EQ(reply.initial_metadata.find("x-text"), "hello");
    EXPECT_EQ(reply.initial_metadata.find("x-raw-bin"), std::string_view("\0\xff,", 3));
    EXPECT_EQ(reply.trailing_metadata.find("x-address"), "here");
  });
}

TEST(Rpc, StatusDetailsSurviveTheWire) {
  with_rig([](Rig& rig) -> Awaitable<void> {
    rig.start();
    auto reply = co_await rig.channel->unary_reply("/t.T/Reject", {}, CallOptions());
    EXPECT_EQ(reply.status, Status::because(Code::failed_precondition, "session_unknown", "no \xc3\xa9 100%\n"));
    auto unknown = co_await rig.channel->unary("/t.T/Nothing", {}, CallOptions());
    EXPECT_EQ(unknown.error().code, Code::unimplemented);
  });
}

TEST(Rpc, CompressesBothWays) {
  with_rig([](Rig& rig) -> Awaitable<void> {
    rig.start();
    CallOptions options;
    options.compress = true;
    options.metadata.add("x-compress", "1");
    Bytes big(1 << 20, std::byte{7});
    auto reply = co_await rig.channel->unary("/t.T/Echo", big, options);
    EXPECT_TRUE(reply && *reply == big);
    // What inflates beyond the cap is refused.
    options.message_bytes_max = 1000;
    auto refused = co_await rig.channel->unary("/t.T/Echo", big, options);
    EXPECT_EQ(refused.error().code, Code::resource_exhausted);
  });
}

TEST(Rpc, SixtyFourMebibytes) {
  with_rig([](Rig& rig) -> Awaitable<void> {
    rig.start();
    Bytes big(64UZ << 20, std::byte{1});
    big.back() = std::byte{9};
    auto reply = co_await rig.channel->unary("/t.T/Echo", big, CallOptions());
    EXPECT_TRUE(reply && *reply == big);
    big.push_back(std::byte{0});
    auto refused = co_await rig.channel->unary("/t.T/Echo", std::move(big), CallOptions());
    EXPECT_EQ(refused.error().code, Code::resource_exhausted);
  });
}

TEST(Rpc, BidirectionalHalfClose) {
  with_rig([](Rig& rig) -> Awaitable<void> {
    rig.start();
    auto call = rig.channel->call("/t.T/EchoEach", CallOptions());
    for (int i = 0; i < 20; ++i) {
      auto message = text(std::to_string(i));
      EXPECT_TRUE(co_await call->write(message));
      auto answer = co_await call->read();
      EXPECT_TRUE(answer && *answer && **answer == message);
    }
    call->writes_done();
    auto end = co_await call->read();
    EXPECT_TRUE(end && !*end);
    auto status = co_await call->finish();
    EXPECT_TRUE(status.ok());
  });
}

Awaitable<Status> wait_forever(Log* log, ServerCall& call) {
  ++log->started;
  auto message = co_await call.read();
  if (message && *message) message = co_await call.read();
  log->saw_cancel = !message && message.error().code == Errc::cancelled;
  log->context_cancelled = call.context().cancelled();
  co_return Status(Code::cancelled, "");
}

TEST(Rpc, DeadlineAndCancelReachTheHandler) {
  for (bool deadline : {true, false}) {
    with_rig([deadline](Rig& rig) -> Awaitable<void> {
      Log log;
      rig.server.handle("/t.T/Wait", [&log](ServerCall& call) { return wait_forever(&log, call); });
      rig.start();
      CallOptions options;
      if (deadline) options.deadline = in(50ms);
      auto call = rig.channel->call("/t.T/Wait", options);
      EXPECT_TRUE(co_await call->write(text("x")));
      (void)co_await async::sleep_until(in(20ms));
      if (!deadline) call->cancel();
      auto status = co_await call->finish();
      EXPECT_EQ(status.code, deadline ? Code::deadline_exceeded : Code::cancelled);
      for (int i = 0; i < 500 && !log.saw_cancel; ++i) (void)co_await async::sleep_until(in(5ms));
      EXPECT_TRUE(log.saw_cancel);
      EXPECT_TRUE(log.context_cancelled);
    });
  }
}

Awaitable<Status> pour(Log* log, ServerCall& call) {
  for (int i = 0; i < 4096; ++i) {
    auto written = co_await call.write(Bytes(64 * 1024));
    if (!written) co_return to_status(written.error());
    log->written += 64 * 1024;
  }
  co_return Status();
}

Awaitable<void> many(Channel& channel, int& good) {
  for (int i = 0; i < 3; ++i) {
    auto reply = co_await channel.unary("/t.T/Echo", Bytes(3000, std::byte{3}), CallOptions());
    if (reply && reply->size() == 3000) ++good;
  }
}

TEST(Rpc, StalledCallHoldsItsWriterAndNobodyElse) {
  with_rig([](Rig& rig) -> Awaitable<void> {
    Log log;
    rig.server.handle("/t.T/Pour", [&log](ServerCall& call) { return pour(&log, call); });
    rig.start();
    auto stalled = rig.channel->call("/t.T/Pour", CallOptions());
    stalled->writes_done();
    auto first = co_await stalled->read();
    EXPECT_TRUE(first && *first);
    int good = 0;
    {
      async::TaskGroup group(rig.executor);
      for (int i = 0; i < 500; ++i) group.spawn(many(*rig.channel, good));
      for (int i = 0; i < 4000 && group.size() > 0; ++i) (void)co_await async::sleep_until(in(5ms));
      co_await group.close();
    }
    EXPECT_EQ(good, 1500);
    EXPECT_LT(log.written, 1UZ << 20);
    std::size_t got = (*first)->size();
    for (;;) {
      auto message = co_await stalled->read();
      if (!message || !*message) break;
      got += (*message)->size();
    }
    EXPECT_EQ(got, 256UZ << 20);
    EXPECT_TRUE((co_await stalled->finish()).ok());
  });
}

TEST(Rpc, InspectionComesBeforeTheWindow) {
  with_rig([](Rig& rig) -> Awaitable<void> {
    MethodOptions options;
    std::size_t seen_max = 0;
    options.inspect_prefix = [&seen_max](const CallContext&, ByteView prefix, bool) -> Inspection {
      seen_max = std::max(seen_max, prefix.size());
      if (prefix.size() < 4) return Verdict::need_more;
      if (text_of(prefix).starts_with("good")) return Verdict::accept;
      return Status::because(Code::unauthenticated, "session_unknown", "no");
    };
    rig.server.handle("/t.T/Guarded", echo, options);
    rig.start();
    for (bool compress : {false, true}) {
      CallOptions call_options;
      call_options.compress = compress;
      Bytes good(4UZ << 20);
      std::ranges::copy(bytes_of("good"), good.begin());
      auto reply = co_await rig.channel->unary("/t.T/Guarded", good, call_options);
      EXPECT_TRUE(reply && *reply == good);
      Bytes bad(4UZ << 20);
      auto refused = co_await rig.channel->unary("/t.T/Guarded", bad, call_options);
      EXPECT_EQ(refused.error().code, Code::unauthenticated);
      EXPECT_EQ(to_status(refused.error()).reason(), "session_unknown");
      auto shortened = co_await rig.channel->unary("/t.T/Guarded", text("go"), call_options);
      EXPECT_EQ(shortened.error().code, Code::invalid_argument);
    }
    EXPECT_LE(seen_max, 4096U);
  });
}

Awaitable<Status> admit(ServerCall& call) {
  call.admit_connection();
  co_return co_await echo(call);
}

TEST(Rpc, ProbationEndsWithAdmissionOrTheConnection) {
  ServerLimits limits;
  limits.probation = true;
  limits.probation_time = 100ms;
  with_rig(
      [](Rig& rig) -> Awaitable<void> {
        rig.start();
        auto reply = co_await rig.channel->unary("/t.T/Echo", text("x"), CallOptions());
        EXPECT_TRUE(reply);
        EXPECT_TRUE(co_await rig.channel->wait_closed());
      },
      limits);
  with_rig(
      [](Rig& rig) -> Awaitable<void> {
        rig.server.handle("/t.T/Admit", admit);
        rig.start();
        EXPECT_TRUE(co_await rig.channel->unary("/t.T/Admit", text("x"), CallOptions()));
        (void)co_await async::sleep_until(in(200ms));
        Bytes big(1UZ << 20);
        EXPECT_TRUE(co_await rig.channel->unary("/t.T/Echo", big, CallOptions()));
        EXPECT_TRUE(rig.channel->alive());
      },
      limits);
}

TEST(Rpc, DrainLetsCallsEnd) {
  with_rig([](Rig& rig) -> Awaitable<void> {
    rig.start();
    auto call = rig.channel->call("/t.T/EchoEach", CallOptions());
    EXPECT_TRUE(co_await call->write(text("a")));
    (void)co_await call->read();
    async::TaskGroup group(rig.executor);
    group.spawn(rig.server.drain(in(10s)));
    for (int i = 0; i < 500 && rig.channel->alive(); ++i) (void)co_await async::sleep_until(in(5ms));
    auto refused = co_await rig.channel->unary("/t.T/Echo", {}, CallOptions());
    EXPECT_EQ(refused.error().code, Code::unavailable);
    EXPECT_TRUE(co_await call->write(text("b")));
    auto answer = co_await call->read();
    EXPECT_TRUE(answer && *answer);
    call->writes_done();
    EXPECT_TRUE((co_await call->finish()).ok());
    EXPECT_TRUE(co_await rig.channel->wait_closed());
    co_await group.close();
  });
}

TEST(Rpc, PingAndLostConnection) {
  with_rig([](Rig& rig) -> Awaitable<void> {
    rig.start();
    EXPECT_TRUE(co_await rig.channel->ping(in(10s)));
    auto call = rig.channel->call("/t.T/EchoEach", CallOptions());
    EXPECT_TRUE(co_await call->write(text("a")));
    (void)co_await call->read();
    co_await rig.server.close();
    auto status = co_await call->finish();
    EXPECT_FALSE(status.ok());
  });
}

/// Raw HTTP/2 against the server: what came back, as text.
Awaitable<std::string> raw(Rig& rig, Bytes input) {
  rig.tasks.spawn(Rig::run_server(rig.server, std::move(rig.far)));
  auto stream = std::move(rig.near);
  (void)co_await stream->write(input);
  (void)co_await stream->close_write();
  std::string got;
  Bytes buffer(65536);
  for (;;) {
    auto size = co_await stream->read_some(buffer);
    if (!size || *size == 0) break;
    got += text_of(ByteView(buffer).first(*size));
  }
  co_return got;
}

Bytes frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream, std::string_view payload) {
  Bytes out{std::byte(payload.size() >> 16),
            std::byte(payload.size() >> 8),
            std::byte(payload.size()),
            std::byte{type},
            std::byte{flags},
            std::byte(stream >> 24),
            std::byte(stream >> 16),
            std::byte(stream >> 8),
            std::byte(stream)};
  append(out, bytes_of(payload));
  return out;
}
Bytes preface() { return concat({bytes_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(4, 0, 0, "")}); }
std::string literal(std::string_view name, std::string_view value) {
  return std::string(1, '\0') + static_cast<char>(name.size()) + std::string(name) + static_cast<char>(value.size()) +
         std::string(value);
}
std::string request(std::string_view path, bool content_type = true) {
  auto out = literal(":method", "POST") + literal(":scheme", "http") + literal(":path", path);
  return content_type ? out + literal("content-type", "application/grpc") : out;
}
/// The error code of the last GOAWAY.
int goaway(const std::string& got) {
  int code = -1;
  for (std::size_t at = 0; at + 9 <= got.size();) {
    auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(got[at + i])); };
    auto size = byte(0) << 16 | byte(1) << 8 | byte(2);
    if (got[at + 3] == 7) code = static_cast<int>(byte(16));
    at += 9 + size;
  }
  return code;
}

int attack(const Bytes& once, int times) {
  int code = -2;
  with_rig([&once, times, &code](Rig& rig) -> Awaitable<void> {
    auto input = preface();
    for (int i = 0; i < times; ++i) append(input, once);
    auto got = co_await raw(rig, std::move(input));
    code = goaway(got);
  });
  return code;
}

TEST(RpcHostile, FloodsEndWithEnhanceYourCalm) {
  EXPECT_EQ(attack(frame(6, 0, 0, "12345678"), 3000), 0xb) << "PING";
  EXPECT_EQ(attack(frame(4, 0, 0, ""), 100), 0xb) << "SETTINGS";
  EXPECT_EQ(attack(frame(0x55, 0, 0, "?"), 5000), 0xb) << "unknown frames";
  auto open = frame(1, 4, 1, request("/t.T/EchoEach"));
  Bytes empty = open;
  for (int i = 0; i < 2000; ++i) append(empty, frame(0, 0, 1, ""));
  EXPECT_EQ(attack(empty, 1), 0xb) << "empty DATA";
  Bytes resets;
  for (std::uint32_t i = 0; i < 4000; ++i) {
    append(resets, frame(1, 4, 2 * i + 1, request("/t.T/EchoEach")));
    append(resets, frame(3, 0, 2 * i + 1, std::string_view("\0\0\0\x8", 4)));
  }
  EXPECT_EQ(attack(resets, 1), 0xb) << "rapid reset";
  auto continued = frame(1, 0, 1, request("/t.T/Echo"));
  for (int i = 0; i < 50; ++i) append(continued, frame(9, 0, 1, literal("x-a", "b")));
  EXPECT_EQ(attack(continued, 1), 0xb) << "CONTINUATION";
  // An indexed field of 4,000 bytes, repeated by one byte each: the HPACK bomb.
  std::string big = std::string(1, '\x40') + "\x03x-a" + "\x7f\xa1\x1e" + std::string(4000, 'a');
  EXPECT_EQ(attack(frame(1, 4, 1, request("/t.T/Echo") + big + std::string(1000, '\xbe')), 1), 0xb) << "HPACK";
}

TEST(RpcHostile, ProtocolErrorsEndTheConnection) {
  EXPECT_GT(attack(frame(0, 0, 1, "data before headers"), 1), 0);
  EXPECT_GT(attack(frame(1, 4, 2, request("/t.T/Echo")), 1), 0) << "even stream";
  EXPECT_GT(attack(frame(1, 4, 1, "\xff\xff\xff\xff\xff\xff"), 1), 0) << "HPACK garbage";
}

std::string answer(Bytes frames) {
  std::string got;
  with_rig([&frames, &got](Rig& rig) -> Awaitable<void> {
    rig.tasks.spawn(Rig::run_server(rig.server, std::move(rig.far)));
    auto stream = std::move(rig.near);
    auto input = concat({preface(), frames, frame(6, 0, 0, "12345678")});
    (void)co_await stream->write(input);
    Bytes buffer(65536);
    (void)co_await async::sleep_until(in(30ms));
    auto size = co_await stream->read_some(buffer);
    if (size) got = text_of(ByteView(buffer).first(*size));
    stream->reset(0);
  });
  return got;
}

TEST(RpcHostile, BadRequestsEndAlone) {
  EXPECT_EQ(goaway(answer(frame(1, 5, 1, request("/t.T/Echo", /*content_type=*/false)))), -1);
  EXPECT_EQ(goaway(answer(frame(1, 5, 1, request("/t.T/Echo") + literal("grpc-timeout", "soon")))), -1);
  EXPECT_EQ(goaway(answer(frame(1, 5, 1, request("/t.T/Echo") + literal("x-a-bin", "!!")))), -1);
  for (std::string_view body : {std::string_view("\x02\0\0\0\0", 5), std::string_view("\x01\0\0\0\1a", 6),
                                std::string_view("\0\xff\xff\xff\xff", 5), std::string_view("\0\0\0\0\5ab", 7)})
    EXPECT_EQ(goaway(answer(concat({frame(1, 4, 1, request("/t.T/Echo")), frame(0, 1, 1, body)}))), -1);
}

Awaitable<void> accept_one(async::StreamListener& listener, Server& server) {
  auto accepted = co_await listener.accept();
  if (!accepted) co_return;
  co_await server.serve(std::move(accepted->stream), Caller(accepted->address));
}

TEST(Rpc, OverTcpAndUnixSockets) {
  for (bool local : {false, true}) {
    with_rig([local](Rig& rig) -> Awaitable<void> {
      SocketAddress address;
      address.ip[0] = std::byte{127};
      address.ip[3] = std::byte{1};
      auto path = testing::TempDir() + "nmp_rpc_test.sock";
      auto listener = local ? async::StreamListener::unix_socket(rig.executor, path)
                            : async::StreamListener::tcp(rig.executor, address);
      EXPECT_TRUE(listener);
      if (!listener) co_return;
      rig.tasks.spawn(accept_one(**listener, rig.server));
      address.port = (*listener)->port();
      Result<async::ByteStreamPtr> stream = fail(Errc::closed);
      if (local)
        stream = co_await async::dial_unix(path, in(5s));
      else
        stream = co_await async::dial_tcp(address, in(5s));
      EXPECT_TRUE(stream);
      if (!stream) co_return;
      rig.channel = Channel::make(rig.executor, *std::move(stream), ChannelOptions());
      Bytes big(3UZ << 20, std::byte{4});
      auto reply = co_await rig.channel->unary("/t.T/Echo", big, CallOptions());
      EXPECT_TRUE(reply && *reply == big);
      co_await rig.channel->close();
      (*listener)->close();
      co_await rig.tasks.close();
    });
  }
}

TEST(Status, DetailsAndErrors) {
  ErrorInfo info;
  info.reason = "r";
  info.metadata = {{"k", "v"}};
  Status status(Code::aborted, "m", info);
  auto decoded = decode_details(encode_details(status));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(*decoded, info);
  EXPECT_FALSE(decode_details(bytes_of("\x1a\xff")));
  EXPECT_EQ(to_status(to_error(status)).reason(), "r");
  EXPECT_EQ(code_of(99), Code::unknown);
}

}  // namespace
}  // namespace nmp::rpc
