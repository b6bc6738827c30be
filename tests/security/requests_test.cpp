#include "core/session_token.hpp"
#include "tests/security/raw_agent.hpp"
#include "tests/security/raw_h2.hpp"

/// What callers send, hold open, give up or do not read.
namespace nmp::security {
namespace {

constexpr std::uint8_t kAgent = 1;

Draft draft_of(World& world, Bytes module = good_filter(), std::string capability = "scan") {
  auto draft = Draft(key_of(kAgent), world.me, std::move(module));
  draft.intent.capability = std::move(capability);
  return draft;
}

bool idle(const World& world) { return world.engine->running() == 0 && world.service->queue().running() == 0; }

TEST(Request, OverItsSizeIsRefusedAndTheConnectionGoesOn) {
  WorldOptions options;
  options.config = "[limits]\nrequest = \"64KiB\"\n";
  in_world(
      [](World& world) -> Awaitable<void> {
        auto channel = world.connect(peer_of(kAgent));
        EXPECT_AWAIT(co_await reason_for(channel, Bytes(server::kIntentRequestBytesMax + 1)), "RESOURCE_EXHAUSTED");
        auto draft = draft_of(world);
        auto held = co_await negotiate(channel, draft);
        auto prepared = prepare(held, draft);
        auto large = prepared.message;
        large.set_wasm_binary(std::string(64 * 1024, 'x'));
        auto ran = co_await execute(channel, to_bytes(large.SerializeAsString()));
        EXPECT_EQ(ran.reason(), "RESOURCE_EXHAUSTED");
        ran = co_await execute(channel, prepared.wire());
        EXPECT_EQ(read(prepared.run, ran).evidence, "evidence");
      },
      std::move(options));
}

TEST(Request, CompressedIsRefusedWhereItIsSealed) {
  in_world([](World& world) -> Awaitable<void> {
    auto channel = world.connect(peer_of(kAgent));
    auto draft = draft_of(world);
    auto held = co_await negotiate(channel, draft);
    auto prepared = prepare(held, draft);
    rpc::CallOptions options;
    options.compress = true;
    options.deadline = in(10s);
    auto reply = co_await channel->unary_reply(std::string(core::kExecuteLogicMethod), prepared.wire(), options);
    EXPECT_EQ(reply.status.code, rpc::Code::unimplemented);
    auto ran = co_await execute(channel, prepared.wire());
    EXPECT_EQ(read(prepared.run, ran).evidence, "evidence");
  });
}

TEST(Request, ForWhatIsNotThereSaysSo) {
  in_world([](World& world) -> Awaitable<void> {
    auto channel = world.connect(peer_of(kAgent));
    for (const auto* method : {"GetReceipt", "Prove", "Attest", "ReadAudit", "GetTreeHead"}) {
      rpc::CallOptions options;
      options.deadline = in(10s);
      auto path = std::string("/nmp.v1.NeuralMesh/") + method;
      auto reply = co_await channel->unary_reply(path, Bytes(), options);
      EXPECT_EQ(reply.status.reason(), "not_available") << method;
      EXPECT_EQ(reply.status.code, rpc::Code::unimplemented);
    }
  });
}

TEST(Request, OpenInputsAreNotTaken) {
  in_world([](World& world) -> Awaitable<void> {
    auto channel = world.connect(peer_of(kAgent));
    auto draft = draft_of(world);
    auto held = co_await negotiate(channel, draft);
    auto prepared = prepare(held, draft);
    auto legacy = prepared.message;
    (*legacy.mutable_inputs())["name"] = "value";
    auto ran = co_await execute(channel, to_bytes(legacy.SerializeAsString()));
    EXPECT_EQ(ran.reason(), "bad_request");
    legacy.clear_sealed();
    legacy.clear_pqc_ciphertext();
    ran = co_await execute(channel, to_bytes(legacy.SerializeAsString()));
    EXPECT_EQ(ran.reason(), "bad_request");
    // The reserved field of the first version, and fields that nobody knows, are passed over.
    auto wire =
        to_bytes(prepared.message.SerializeAsString() + std::string("\x32\x02zz", 4) + std::string("\xfa\x07\x01z", 4));
    ran = co_await execute(channel, std::move(wire));
    EXPECT_EQ(read(prepared.run, ran).evidence, "evidence");
  });
}

TEST(Run, EndsWithItsCallersCancellationDeadlineOrConnection) {
  in_world([](World& world) -> Awaitable<void> {
    for (const auto* how : {"cancel", "deadline", "connection"}) {
      auto channel = world.connect(peer_of(kAgent));
      auto draft = draft_of(world, waiting_filter());
      auto held = co_await negotiate(channel, draft);
      auto prepared = prepare(held, draft);
      rpc::CallOptions options;
      options.deadline = how == std::string("deadline") ? in(300ms) : in(60s);
      auto call = channel->call(std::string(core::kExecuteLogicMethod), options);
      auto written = co_await call->write(prepared.wire());
      EXPECT_TRUE(written.has_value());
      call->writes_done();
      auto runs = co_await World::until([&] { return world.engine->running() == 1; });
      EXPECT_TRUE(runs) << how;
      if (how == std::string("cancel")) call->cancel();
      if (how == std::string("connection")) co_await channel->close();
      auto status = co_await call->finish();
      EXPECT_EQ(status.code, how == std::string("deadline") ? rpc::Code::deadline_exceeded : rpc::Code::cancelled);
      auto ended = co_await World::until([&] { return idle(world); });
      EXPECT_TRUE(ended) << how;
      EXPECT_EQ(world.engine->sessions(), 0U);
      EXPECT_EQ(world.notes.ended.back(), "cancelled");
    }
  });
}

TEST(Run, EndsWithTheServer) {
  in_world([](World& world) -> Awaitable<void> {
    auto channel = world.connect(peer_of(kAgent));
    auto draft = draft_of(world, waiting_filter(), "many");
    auto held = co_await negotiate(channel, draft);
    async::TaskGroup tasks(world.executor);
    auto one = [](std::shared_ptr<rpc::Channel> to, Bytes wire) -> Awaitable<void> {
      auto ran = co_await execute(std::move(to), std::move(wire));
      EXPECT_FALSE(ran.status.ok());
    };
    for (std::uint32_t i = 0; i < 80; ++i) tasks.spawn(one(channel, prepare(held, draft, i).wire()));
    auto runs =
        co_await World::until([&] { return world.service->queue().waiting() > 0 && world.engine->running() > 4; });
    EXPECT_TRUE(runs);
    channel.reset();
    co_await world.restart();
    co_await tasks.close();
    auto ended = co_await World::until([&] { return world.engine->running() == 0; });
    EXPECT_TRUE(ended);
  });
}

/// A request that never comes whole.
TEST(SlowLoris, ProbationEndsIt) {
  WorldOptions options;
  options.limits.probation_time = 300ms;
  in_world(
      [](World& world) -> Awaitable<void> {
        std::vector<std::unique_ptr<RawH2>> clients;
        for (int i = 0; i < 5; ++i) {
          std::optional<libp2p::PeerId> who;
          if (i != 0) who = peer_of(kAgent);
          clients.push_back(std::make_unique<RawH2>(world.executor, world.stream(who)));
        }
        clients[1]->call(kNegotiate);                                    // headers only
        clients[2]->send(clients[2]->call(kNegotiate), 8000, Bytes(3));  // a part of a message
        clients[3]->send(clients[3]->call(core::kExecuteLogicMethod), 64 << 20, Bytes(20));
        auto busy = clients[4]->call(kNegotiate);
        clients[4]->send(busy, 30'000, Bytes(1));
        auto done = [&] { return std::ranges::all_of(clients, [](auto& c) { return c->connection_ended(); }); };
        auto end = in(20s);
        while (!done() && async::system_clock().now() < end) {
          clients[4]->more(busy, Bytes(1));  // a byte now and then
          (void)co_await async::sleep_until(in(20ms));
        }
        EXPECT_TRUE(done());
        for (auto& client : clients) co_await client->close();
        // Who has been admitted is not hurried.
        auto channel = world.connect(peer_of(kAgent));
        auto draft = draft_of(world);
        (void)co_await negotiate(channel, draft);
        (void)co_await async::sleep_until(in(600ms));
        EXPECT_TRUE(channel->alive());
      },
      std::move(options));
}

/// Before the first accepted intent: four calls, 64 KiB in all. What is claimed beyond is not even taken from the wire.
TEST(Probation, FourCallsAndOneSmallWindow) {
  in_world([](World& world) -> Awaitable<void> {
    RawH2 client(world.executor, world.stream(peer_of(kAgent)));
    std::vector<h2::StreamId> ids;
    for (int i = 0; i < 4; ++i) ids.push_back(client.call(kNegotiate));
    for (auto id : ids) client.send(id, 32'000, Bytes(30'000));
    (void)co_await async::sleep_until(in(200ms));
    std::size_t left = 0;
    for (auto id : ids) left += client.queued(id);
    EXPECT_GE(left, 4 * 30'000U - 65'535U);
    auto fifth = client.call(kNegotiate);
    (void)co_await async::sleep_until(in(100ms));
    EXPECT_TRUE(fifth == 0 || client.streams[fifth].closed || client.queued(fifth) == 0);
    co_await client.close();
  });
}

/// Without a token that its caller may use, a LogicRequest of any size gets no window beyond the first.
TEST(Probation, ALogicRequestWithoutATokenIsAnsweredFromItsFirstBytes) {
  in_world([](World& world) -> Awaitable<void> {
    RawH2 client(world.executor, world.stream(peer_of(kAgent)));
    nmp::v1::LogicRequest start;
    start.set_session_token(core::SessionToken::generate(crypto::system_random()).to_text());
    auto no_token = client.call(core::kExecuteLogicMethod);
    client.send(no_token, 64 << 20, concat({bytes_of("\x12"), Bytes(60'000)}));
    auto wrong_token = client.call(core::kExecuteLogicMethod);
    client.send(wrong_token, 64 << 20, to_bytes(start.SerializeAsString()));
    auto answered = co_await World::until([&] {
      return !client.streams[no_token].reason_header.empty() && !client.streams[wrong_token].reason_header.empty();
    });
    EXPECT_TRUE(answered);
    EXPECT_EQ(client.streams[no_token].reason_header, "16");
    EXPECT_EQ(client.streams[wrong_token].reason_header, "16");
    co_await client.close();
  });
}

/// Hundreds of runs of one session on one connection: those that find no place wait, and one reader that takes nothing
/// stalls nobody but itself.
TEST(Reader, ThatStallsStallsOnlyItself) {
  in_world([](World& world) -> Awaitable<void> {
    constexpr std::uint32_t kRuns = 500;
    auto channel = world.connect(peer_of(kAgent));
    auto talker = draft_of(world, talking_filter(), "many");
    talker.intent.limits.wall_time_ms = core::kNoCeiling;
    auto talk = co_await negotiate(channel, talker);
    auto stalled = prepare(talk, talker);
    rpc::CallOptions options;
    auto unread = channel->call(std::string(core::kExecuteLogicMethod), options);
    auto written = co_await unread->write(stalled.wire());
    EXPECT_TRUE(written.has_value());
    unread->writes_done();

    auto draft = draft_of(world, brief_filter(), "many");
    auto held = co_await negotiate(channel, draft);
    std::vector<Prepared> prepared;
    for (std::uint32_t i = 0; i < kRuns; ++i) prepared.push_back(prepare(held, draft, i));
    std::map<std::string, int> results;
    async::TaskGroup tasks(world.executor);
    auto one = [](std::shared_ptr<rpc::Channel> to, Prepared& mine,
                  std::map<std::string, int>& out) -> Awaitable<void> {
      auto ran = co_await execute(std::move(to), mine.wire());
      auto result = read(mine.run, ran);
      ++out[ran.status.ok() && result.whole ? result.evidence + result.reason : ran.reason()];
    };
    // Numbers rise on the wire as the calls start in order.
    for (auto& mine : prepared) tasks.spawn(one(channel, mine, results));
    std::size_t most_waiting = 0;
    auto done = co_await World::until(
        [&] {
          most_waiting = std::max(most_waiting, world.service->queue().waiting());
          int sum = 0;
          for (const auto& [result, count] : results) sum += count;
          return sum == static_cast<int>(kRuns);
        },
        200s);
    EXPECT_TRUE(done);
    co_await tasks.close();
    EXPECT_EQ(results["evidence"], static_cast<int>(kRuns));
    for (const auto& [result, count] : results) EXPECT_EQ(result, "evidence") << count;
    EXPECT_GT(most_waiting, 100U);
    EXPECT_EQ(world.service->queue().running(), 1U) << "the stalled one";

    Ran ran;
    for (;;) {
      auto message = co_await unread->read();
      if (!message || !*message) break;
      ran.messages.push_back(**std::move(message));
    }
    EXPECT_EQ(read(stalled.run, ran).evidence.size(), 1U << 20);
    auto ended = co_await World::until([&] { return idle(world); });
    EXPECT_TRUE(ended);
  });
}

/// A run whose reader takes nothing is over some time after its wall time.
TEST(Reader, ThatNeverReadsLosesItsRun) {
  WorldOptions options;
  options.run_overhead = 300ms;
  in_world(
      [](World& world) -> Awaitable<void> {
        auto channel = world.connect(peer_of(kAgent));
        auto draft = draft_of(world, talking_filter());
        draft.intent.limits.wall_time_ms = 100;
        auto held = co_await negotiate(channel, draft);
        auto prepared = prepare(held, draft);
        auto unread = channel->call(std::string(core::kExecuteLogicMethod), rpc::CallOptions());
        auto written = co_await unread->write(prepared.wire());
        EXPECT_TRUE(written.has_value());
        unread->writes_done();
        auto runs = co_await World::until([&] { return world.service->queue().running() == 1; });
        EXPECT_TRUE(runs);
        auto ended = co_await World::until([&] { return idle(world) && world.engine->sessions() == 0; });
        EXPECT_TRUE(ended);
        auto status = co_await unread->finish();
        EXPECT_FALSE(status.ok());
      },
      std::move(options));
}

/// A negotiation that is given up leaves no keys in the engine.
TEST(Negotiation, GivenUpLeavesNothing) {
  in_world([](World& world) -> Awaitable<void> {
    for (int round = 0; round < 20; ++round) {
      auto channel = world.connect(peer_of(kAgent));
      std::vector<rpc::ClientCallPtr> calls;
      for (int i = 0; i < 4; ++i) {
        auto draft = draft_of(world);
        calls.push_back(channel->call(std::string(kNegotiate), rpc::CallOptions()));
        (void)co_await calls.back()->write(draft.request());
        calls.back()->writes_done();
      }
      // Some are given up before they are sent, some while the engine makes keys.
      for (int turns = 0; turns < round; ++turns) (void)co_await async::sleep_until(in(100us));
      for (auto& call : calls) call->cancel();
      co_await channel->close();
    }
    EXPECT_LE(world.service->sessions(), server::kSessionsPerCallerMax);
    auto same = co_await World::until([&] { return world.engine->sessions() == world.service->sessions(); });
    EXPECT_TRUE(same) << world.engine->sessions() << " in the engine, " << world.service->sessions() << " outside";
    world.clock.passed = 61s;
    auto draft = draft_of(world);
    EXPECT_AWAIT(co_await run_once(world.connect(peer_of(kAgent)), draft), "evidence");
    auto none = co_await World::until([&] { return world.engine->sessions() == 0; });
    EXPECT_TRUE(none);
  });
}

TEST(Sessions, OnePeersFloodIsItsOwnProblem) {
  in_world([](World& world) -> Awaitable<void> {
    auto flooder = world.connect(peer_of(66));
    std::map<std::string, int> reasons;
    for (int i = 0; i < 40; ++i) {
      auto draft = Draft(key_of(66), world.me, good_filter());
      auto reason = co_await reason_for(flooder, draft.request());
      ++reasons[reason];
      if (i % 10 == 9) {
        auto other = draft_of(world);
        EXPECT_AWAIT(co_await run_once(world.connect(peer_of(kAgent)), other), "evidence");
      }
    }
    EXPECT_EQ(reasons["accepted"], static_cast<int>(server::kSessionsPerCallerMax));
    EXPECT_EQ(reasons["too_many_sessions"], 40 - static_cast<int>(server::kSessionsPerCallerMax));
    // Another connection, and the plain listener, are the same agent.
    std::vector<std::shared_ptr<rpc::Channel>> others{world.connect(peer_of(66)), world.connect(std::nullopt)};
    for (auto& channel : others) {
      auto draft = Draft(key_of(66), world.me, good_filter());
      EXPECT_AWAIT(co_await reason_for(channel, draft.request()), "too_many_sessions");
    }
  });
}

}  // namespace
}  // namespace nmp::security
