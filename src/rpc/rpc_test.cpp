#include <gtest/gtest.h>

#include "base/async/tcp.hpp"
#include "base/async/with_deadline.hpp"
#include "rpc/testing.hpp"

namespace nmp::rpc {
namespace {

using namespace testing;

struct Log {
  bool saw_cancel = false;
  bool context_cancelled = false;
  std::size_t written = 0;
  std::size_t started = 0;
};

Awaitable<Status> reject(ServerCall& /*call*/) {
  auto status = Status::because(Code::failed_precondition, "session_unknown", "no \xc3\xa9 100%\n");
  co_return status;
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
    rig.server.handle("/t.T/Reject", reject);
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

Awaitable<void> end_a_waiting_call(Rig& rig, bool deadline) {
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
}
TEST(Rpc, DeadlineAndCancelReachTheHandler) {
  for (bool deadline : {true, false}) with_rig([deadline](Rig& rig) { return end_a_waiting_call(rig, deadline); });
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

TEST(Rpc, ConnectionsAboveTheCeilingTakeTheLeastWorthyPlace) {
  ServerLimits limits;
  limits.probation = true;
  limits.connections_max = 3;
  with_rig(
      [](Rig& rig) -> Awaitable<void> {
        rig.server.handle("/t.T/Admit", admit);
        auto connect = [](Rig& r) {
          auto [near, far] = async::memory_pipe(r.executor, 256 * 1024);
          r.tasks.spawn(Rig::run_server(r.server, std::move(far)));
          return std::move(near);
        };
        auto channel = [&] { return Channel::make(rig.executor, connect(rig), ChannelOptions()); };
        auto ended = [](async::ByteStream& stream) -> Awaitable<bool> {
          Bytes buffer(4096);
          for (;;) {
            auto size = co_await async::with_deadline(in(50ms), stream.read_some(buffer));
            if (!size) co_return size.error().code != Errc::deadline_exceeded;
            if (*size == 0) co_return true;
          }
        };
        // The oldest that is silent goes first, however long a stranger with a call has been there.
        auto stranger = channel();
        EXPECT_TRUE(co_await stranger->unary("/t.T/Echo", text("x"), CallOptions()));
        auto silent = connect(rig);
        auto later = connect(rig);
        auto known = channel();
        EXPECT_TRUE(co_await known->unary("/t.T/Admit", text("x"), CallOptions()));
        EXPECT_TRUE(co_await ended(*silent));
        EXPECT_FALSE(co_await ended(*later));
        auto second = channel();
        EXPECT_TRUE(co_await second->unary("/t.T/Admit", text("x"), CallOptions()));
        EXPECT_TRUE(co_await ended(*later));
        // Then the stranger.
        EXPECT_TRUE(stranger->alive());
        auto third = channel();
        EXPECT_TRUE(co_await third->unary("/t.T/Admit", text("x"), CallOptions()));
        EXPECT_TRUE(co_await stranger->wait_closed());
        // Whom a handler has admitted keeps its place.
        auto fourth = connect(rig);
        EXPECT_TRUE(co_await ended(*fourth));
        for (auto* one : {known.get(), second.get(), third.get()})
          EXPECT_TRUE(co_await one->unary("/t.T/Echo", text("x"), CallOptions()));
        co_await third->close();
        auto fifth = channel();
        EXPECT_TRUE(co_await fifth->unary("/t.T/Echo", text("x"), CallOptions()));
        for (auto* one : {known.get(), second.get(), fifth.get(), stranger.get()}) co_await one->close();
      },
      limits);
}

TEST(Rpc, AnAdmittedCallerWithoutCallsGivesWayInTime) {
  ServerLimits limits;
  limits.probation = true;
  limits.connections_max = 2;
  limits.idle_time = 100ms;
  with_rig(
      [](Rig& rig) -> Awaitable<void> {
        rig.server.handle("/t.T/Admit", admit);
        auto channel = [&] {
          auto [near, far] = async::memory_pipe(rig.executor, 256 * 1024);
          rig.tasks.spawn(Rig::run_server(rig.server, std::move(far)));
          return Channel::make(rig.executor, std::move(near), ChannelOptions());
        };
        auto busy = channel();
        EXPECT_TRUE(co_await busy->unary("/t.T/Admit", text("x"), CallOptions()));
        auto call = busy->call("/t.T/EchoEach", CallOptions());
        EXPECT_TRUE(co_await call->write(text("a")));
        (void)co_await call->read();
        auto idle = channel();
        EXPECT_TRUE(co_await idle->unary("/t.T/Admit", text("x"), CallOptions()));
        auto early = channel();
        EXPECT_FALSE(co_await early->unary("/t.T/Admit", text("x"), CallOptions()));
        (void)co_await async::sleep_until(in(150ms));
        auto newcomer = channel();
        EXPECT_TRUE(co_await newcomer->unary("/t.T/Admit", text("x"), CallOptions()));
        EXPECT_TRUE(co_await idle->wait_closed());
        EXPECT_TRUE(co_await call->write(text("b")));
        auto answer = co_await call->read();
        EXPECT_TRUE(answer && *answer);
        call->writes_done();
        EXPECT_TRUE((co_await call->finish()).ok());
        for (auto* one : {busy.get(), idle.get(), early.get(), newcomer.get()}) co_await one->close();
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

TEST(Rpc, KeepaliveKeepsALivingConnection) {
  ServerLimits limits;
  limits.keepalive_interval = 5ms;
  limits.keepalive_timeout = 30s;
  with_rig(
      [](Rig& rig) -> Awaitable<void> {
        rig.channel_options.keepalive_interval = 5ms;
        rig.channel_options.keepalive_timeout = 30s;
        rig.start();
        auto call = rig.channel->call("/t.T/EchoEach", CallOptions());
        (void)co_await async::sleep_until(in(100ms));
        EXPECT_TRUE(rig.channel->alive());
        EXPECT_TRUE(co_await call->write(text("a")));
        auto answer = co_await call->read();
        EXPECT_TRUE(answer && *answer);
      },
      limits);
}

TEST(Rpc, CallsAboveTheServersLimitWait) {
  ServerLimits limits;
  limits.calls_max = 2;
  with_rig(
      [](Rig& rig) -> Awaitable<void> {
        rig.start();
        // After an answer the channel knows the server's SETTINGS.
        EXPECT_TRUE(co_await rig.channel->unary("/t.T/Echo", text("x"), CallOptions()));
        std::vector<ClientCallPtr> calls;
        calls.reserve(3);
        for (int i = 0; i < 3; ++i) calls.push_back(rig.channel->call("/t.T/EchoEach", CallOptions()));
        for (auto& call : calls) EXPECT_TRUE(co_await call->write(text("a")));
        for (int i = 0; i < 2; ++i) {
          auto answer = co_await calls[static_cast<std::size_t>(i)]->read();
          EXPECT_TRUE(answer && *answer);
        }
        // A waiting call can be cancelled, and one that is not gets the place that is freed.
        auto waiting = rig.channel->call("/t.T/EchoEach", CallOptions());
        waiting->cancel();
        auto status = co_await waiting->finish();
        EXPECT_EQ(status.code, Code::cancelled);
        calls[0]->writes_done();
        status = co_await calls[0]->finish();
        EXPECT_TRUE(status.ok());
        auto answer = co_await calls[2]->read();
        EXPECT_TRUE(answer && *answer);
      },
      limits);
}

TEST(Rpc, CallsAboveTheChannelsLimitFail) {
  with_rig([](Rig& rig) -> Awaitable<void> {
    rig.channel_options.calls_max = 2;
    rig.start();
    auto first = rig.channel->call("/t.T/EchoEach", CallOptions());
    auto second = rig.channel->call("/t.T/EchoEach", CallOptions());
    auto third = rig.channel->call("/t.T/EchoEach", CallOptions());
    auto status = co_await third->finish();
    EXPECT_EQ(status.code, Code::resource_exhausted);
    first.reset();
    EXPECT_TRUE(co_await rig.channel->unary("/t.T/Echo", text("x"), CallOptions()));
  });
}

/// Ends the call while the caller is still writing.
Awaitable<Status> leave_early(ServerCall& call) {
  auto first = co_await call.read();
  if (!first) co_return to_status(first.error());
  co_return Status(Code::aborted, "enough");
}

TEST(Rpc, ServerEndsACallThatStillWrites) {
  with_rig([](Rig& rig) -> Awaitable<void> {
    rig.server.handle("/t.T/LeaveEarly", leave_early);
    rig.start();
    auto call = rig.channel->call("/t.T/LeaveEarly", CallOptions());
    Bytes big(256 * 1024);
    int written = 0;
    for (;;) {
      auto sent = co_await call->write(big);
      if (!sent) break;
      ++written;
      EXPECT_LT(written, 1000);
      if (written == 1000) break;
    }
    auto status = co_await call->finish();
    EXPECT_EQ(status, Status(Code::aborted, "enough"));
    EXPECT_TRUE(co_await rig.channel->unary("/t.T/Echo", text("x"), CallOptions()));
  });
}

TEST(Rpc, ShutdownCancelsCallsAtTheirCallers) {
  with_rig([](Rig& rig) -> Awaitable<void> {
    Log log;
    rig.server.handle("/t.T/Wait", [&log](ServerCall& call) { return wait_forever(&log, call); });
    rig.start();
    auto call = rig.channel->call("/t.T/Wait", CallOptions());
    EXPECT_TRUE(co_await call->write(text("a")));
    for (int i = 0; i < 500 && log.started == 0; ++i) (void)co_await async::sleep_until(in(5ms));
    co_await rig.server.close();
    EXPECT_TRUE(log.saw_cancel);
    auto status = co_await call->finish();
    EXPECT_TRUE(status.code == Code::cancelled || status.code == Code::unavailable) << name_of(status.code);
    EXPECT_FALSE(rig.channel->alive());
  });
}

TEST(Rpc, InitialMetadataOfACallWithoutMessages) {
  with_rig([](Rig& rig) -> Awaitable<void> {
    rig.server.handle("/t.T/Bare", [](ServerCall& call) -> Awaitable<Status> {
      call.add_initial_metadata("x-initial", "1");
      call.add_trailing_metadata("x-trailing", "2");
      co_return Status();
    });
    rig.start();
    auto call = rig.channel->call("/t.T/Bare", CallOptions());
    call->writes_done();
    auto status = co_await call->finish();
    EXPECT_TRUE(status.ok());
    auto initial = co_await call->initial_metadata();
    EXPECT_TRUE(initial && initial->find("x-initial") == "1");
    EXPECT_EQ(call->trailing_metadata().find("x-trailing"), "2");
  });
}

TEST(Rpc, MetadataThatCannotBeSentEndsTheCall) {
  with_rig([](Rig& rig) -> Awaitable<void> {
    rig.server.handle("/t.T/Initial", [](ServerCall& call) -> Awaitable<Status> {
      call.add_initial_metadata("X-Upper", "1");
      co_return Status();
    });
    rig.server.handle("/t.T/Trailing", [](ServerCall& call) -> Awaitable<Status> {
      call.add_trailing_metadata("x-line", "1\n2");
      co_return Status();
    });
    rig.server.handle("/t.T/Failed", [](ServerCall& call) -> Awaitable<Status> {
      call.add_trailing_metadata("x-line", "1\n2");
      co_return Status(Code::not_found, "what the handler said stands");
    });
    rig.start();
    for (auto [path, code] : {std::pair("/t.T/Initial", Code::internal), std::pair("/t.T/Trailing", Code::internal),
                              std::pair("/t.T/Failed", Code::not_found)}) {
      auto call = rig.channel->call(path, CallOptions());
      call->writes_done();
      auto status = co_await call->finish();
      EXPECT_EQ(status.code, code) << path << ": " << status.message;
    }
  });
}

TEST(Rpc, CallsThatNobodyReadsHoldNothing) {
  with_rig([](Rig& rig) -> Awaitable<void> {
    rig.start();
    // Together more than kConnectionHeldBytesMax, had they stayed.
    Bytes big(200 * 1024);
    for (std::size_t i = 0; i < kConnectionHeldBytesMax / big.size() + 10; ++i) {
      auto call = rig.channel->call("/t.T/Echo", CallOptions());
      EXPECT_TRUE(co_await call->write(big));
      call->writes_done();
      // Dropped when all of it is here.
      for (int n = 0; n < 10'000 && call->trailing_metadata().empty(); ++n) (void)co_await async::sleep_until(in(1ms));
      EXPECT_FALSE(call->trailing_metadata().empty());
    }
    auto reply = co_await rig.channel->unary("/t.T/Echo", big, CallOptions());
    EXPECT_TRUE(reply && *reply == big);
  });
}

Awaitable<void> accept_one(async::StreamListener& listener, Server& server) {
  auto accepted = co_await listener.accept();
  if (!accepted) co_return;
  co_await server.serve(std::move(accepted->stream), Caller(accepted->address));
}

Awaitable<void> call_over_a_socket(Rig& rig, bool local) {
  SocketAddress address;
  address.ip[0] = std::byte{127};
  address.ip[3] = std::byte{1};
  auto path = ::testing::TempDir() + "nmp_rpc_test.sock";
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
}
TEST(Rpc, OverTcpAndUnixSockets) {
  for (bool local : {false, true}) with_rig([local](Rig& rig) { return call_over_a_socket(rig, local); });
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
