#include "core/watch.hpp"
#include "tests/security/child_node.hpp"
#include "tests/security/raw_agent.hpp"

/// An intent is accepted once, by whom it names, for what it names, in its time; and until its signature holds, every
/// refusal looks the same.
namespace nmp::security {
namespace {

constexpr std::uint8_t kAgent = 1;

std::shared_ptr<rpc::Channel> agents(World& world) { return world.connect(peer_of(kAgent)); }
Draft draft_of(World& world) { return Draft(key_of(kAgent), world.me, good_filter()); }

TEST(Replay, OnTheSameConnection) {
  in_world([](World& world) -> Awaitable<void> {
    auto channel = agents(world);
    auto draft = draft_of(world);
    EXPECT_AWAIT(co_await reason_for(channel, draft.request()), "accepted");
    EXPECT_AWAIT(co_await reason_for(channel, draft.request()), "replayed");
    EXPECT_AWAIT(co_await reason_for(channel, draft.request()), "replayed");
    EXPECT_EQ(world.notes.negotiations, 1U);
  });
}

TEST(Replay, AtTheSameMoment) {
  in_world([](World& world) -> Awaitable<void> {
    auto draft = draft_of(world);
    auto wire = draft.request();
    std::vector<std::string> reasons;
    async::TaskGroup tasks(world.executor);
    auto one = [](World& w, Bytes request, std::vector<std::string>& out) -> Awaitable<void> {
      out.push_back(co_await reason_for(w.connect(peer_of(kAgent)), std::move(request)));
    };
    for (int i = 0; i < 20; ++i) tasks.spawn(one(world, wire, reasons));
    EXPECT_TRUE(co_await World::until([&] { return reasons.size() == 20; }));
    co_await tasks.close();
    EXPECT_EQ(std::ranges::count(reasons, "accepted"), 1);
    EXPECT_EQ(std::ranges::count(reasons, "replayed"), 19);
  });
}

TEST(Replay, OnAnotherConnection) {
  in_world([](World& world) -> Awaitable<void> {
    auto draft = draft_of(world);
    EXPECT_AWAIT(co_await reason_for(agents(world), draft.request()), "accepted");
    EXPECT_AWAIT(co_await reason_for(agents(world), draft.request()), "replayed");
  });
}

TEST(Replay, OverTheTcpListener) {
  in_world([](World& world) -> Awaitable<void> {
    auto draft = draft_of(world);
    auto tcp = co_await world.connect_tcp();
    EXPECT_AWAIT(co_await reason_for(agents(world), draft.request()), "accepted");
    EXPECT_AWAIT(co_await reason_for(tcp, draft.request()), "replayed");
    auto second = draft_of(world);
    EXPECT_AWAIT(co_await reason_for(tcp, second.request()), "accepted");
    EXPECT_AWAIT(co_await reason_for(tcp, second.request()), "replayed");
    EXPECT_AWAIT(co_await reason_for(agents(world), second.request()), "replayed");
  });
}

TEST(Replay, AfterTheStoreIsOpenedAnew) {
  in_world([](World& world) -> Awaitable<void> {
    auto draft = draft_of(world);
    EXPECT_AWAIT(co_await reason_for(agents(world), draft.request()), "accepted");
    co_await world.restart();
    EXPECT_AWAIT(co_await reason_for(agents(world), draft.request()), "replayed");
  });
}

/// What is held in a node's process dies with it: neither an intent nor a token outlives kill -9.
TEST(Replay, AfterKillNineAndRestart) {
  TemporaryFolder folder;
  boost::asio::io_context context(1);
  auto before = [](async::Executor executor, std::uint16_t port, Draft& draft, Bytes& unused) -> Awaitable<bool> {
    auto channel = co_await dial(executor, port);
    auto held = co_await negotiate(channel, draft);
    unused = prepare(held, draft).wire();
    auto other = Draft(key_of(kAgent), peer_of(42), good_filter());
    auto evidence = co_await run_once(channel, other);
    EXPECT_EQ(evidence, "evidence");
    co_await channel->close();
    co_return true;
  };
  auto after = [](async::Executor executor, std::uint16_t port, Draft& draft, Bytes& unused) -> Awaitable<bool> {
    auto channel = co_await dial(executor, port);
    auto again = co_await reason_for(channel, draft.request());
    EXPECT_EQ(again, "replayed");
    auto ran = co_await execute(channel, unused);
    EXPECT_EQ(ran.reason(), "session_unknown");
    auto fresh = Draft(key_of(kAgent), peer_of(42), good_filter());
    auto evidence = co_await run_once(channel, fresh);
    EXPECT_EQ(evidence, "evidence");
    co_await channel->close();
    co_return true;
  };
  auto draft = Draft(key_of(kAgent), peer_of(42), good_filter());
  Bytes unused;
  auto node = ChildNode::start(folder.path(), 42);
  ASSERT_NE(node, nullptr);
  async::run_until_done(context, before(context.get_executor(), node->port(), draft, unused));
  node->kill();
  node = ChildNode::start(folder.path(), 42);
  ASSERT_NE(node, nullptr);
  async::run_until_done(context, after(context.get_executor(), node->port(), draft, unused));
  EXPECT_TRUE(node->stop());
}

TEST(Replay, WithTheClockSetBackOneMinute) {
  in_world([](World& world) -> Awaitable<void> {
    auto draft = draft_of(world);
    EXPECT_AWAIT(co_await reason_for(agents(world), draft.request()), "accepted");
    world.clock.wall = -60s;
    EXPECT_AWAIT(co_await reason_for(agents(world), draft.request()), "replayed");
  });
}

TEST(Replay, WithTheClockSetBackFourMinutesAnExpiredIntentStaysExpired) {
  in_world([](World& world) -> Awaitable<void> {
    auto draft = draft_of(world);
    EXPECT_AWAIT(co_await reason_for(agents(world), draft.request()), "accepted");
    world.clock.wall = 300s;  // the intent expires and is forgotten
    auto later = draft_of(world);
    later.intent.issued += 300;
    later.intent.expires += 300;
    EXPECT_AWAIT(co_await reason_for(agents(world), later.request()), "accepted");
    world.clock.wall = 60s;  // four minutes back, to where the first one had not been forgotten
    EXPECT_AWAIT(co_await reason_for(agents(world), draft.request()), "expired");
    co_await world.restart();
    EXPECT_AWAIT(co_await reason_for(agents(world), draft.request()), "expired");
    EXPECT_AWAIT(co_await reason_for(agents(world), later.request()), "replayed");
  });
}

TEST(Replay, WithTheClockSetBackTenMinutesEverythingIsRefused) {
  in_world([](World& world) -> Awaitable<void> {
    auto draft = draft_of(world);
    EXPECT_AWAIT(co_await reason_for(agents(world), draft.request()), "accepted");
    world.clock.wall = -600s;
    EXPECT_AWAIT(co_await reason_for(agents(world), draft.request()), "clock_behind");
    auto fresh = draft_of(world);
    fresh.intent.issued -= 600;
    fresh.intent.expires -= 600;
    EXPECT_AWAIT(co_await reason_for(agents(world), fresh.request()), "clock_behind");
    co_await world.restart();
    EXPECT_AWAIT(co_await reason_for(agents(world), fresh.request()), "clock_behind");
    world.clock.wall = 0s;
    auto after = draft_of(world);
    EXPECT_AWAIT(co_await reason_for(agents(world), after.request()), "accepted");
  });
}

TEST(Replay, ToAnotherNode) {
  in_world([](World& world) -> Awaitable<void> {
    auto draft = Draft(key_of(kAgent), peer_of(77), good_filter());
    EXPECT_AWAIT(co_await reason_for(agents(world), draft.request()), "misdelivered");
    EXPECT_AWAIT(co_await reason_for(co_await world.connect_tcp(), draft.request()), "misdelivered");
  });
}

TEST(Replay, AsAnotherOperation) {
  in_world([](World& world) -> Awaitable<void> {
    auto draft = draft_of(world);
    draft.intent.op = "attest";
    EXPECT_AWAIT(co_await reason_for(agents(world), draft.request()), "wrong_operation");
    // Whoever may run here may not leave a watchdog for that, nor ask about those of others.
    auto watch = draft_of(world);
    watch.intent.op = std::string(core::kWatchOperation);
    EXPECT_AWAIT(co_await reason_for(agents(world), watch.request()), "not_available");
    auto list = draft_of(world);
    list.intent.op = std::string(core::kListOperation);
    EXPECT_AWAIT(co_await reason_for(agents(world), list.request()), "not_available");
  });
}

TEST(Replay, OfANodeToItself) {
  in_world([](World& world) -> Awaitable<void> {
    auto draft = Draft(key_of(world.options.node), world.me, good_filter());
    EXPECT_AWAIT(co_await reason_for(world.connect(world.me), draft.request()), "misdelivered");
  });
}

TEST(Replay, ByAnotherPeer) {
  in_world([](World& world) -> Awaitable<void> {
    auto draft = draft_of(world);
    EXPECT_AWAIT(co_await reason_for(world.connect(peer_of(5)), draft.request()), "agent_mismatch");
    // Refused, it was not spent: its owner may still use it.
    EXPECT_AWAIT(co_await reason_for(agents(world), draft.request()), "accepted");
  });
}

TEST(Intent, WithAWrongDidOrAnotherCapability) {
  in_world([](World& world) -> Awaitable<void> {
    auto draft = draft_of(world);
    auto channel = agents(world);
    auto wrong_did = draft.request([](auto& m) { m.set_agent_did(*core::did_of(peer_of(9))); });
    EXPECT_AWAIT(co_await reason_for(channel, std::move(wrong_did)), "bad_request");
    auto no_did = draft.request([](auto& m) { m.clear_agent_did(); });
    EXPECT_AWAIT(co_await reason_for(channel, std::move(no_did)), "bad_request");
    auto other = draft.request([](auto& m) { m.set_capability_hash("closed"); });
    EXPECT_AWAIT(co_await reason_for(channel, std::move(other)), "bad_request");
    EXPECT_AWAIT(co_await reason_for(channel, draft.request()), "accepted");
  });
}

TEST(Intent, OutOfItsTime) {
  in_world([](World& world) -> Awaitable<void> {
    auto channel = agents(world);
    struct Case {
      std::int64_t issued, expires;
      const char* reason;
    };
    const Case cases[] = {{-100, -1, "expired"},   {31, 90, "not_yet"},        {0, 121, "life_too_long"},
                          {0, 0, "life_too_long"}, {50, -50, "life_too_long"}, {-60, 5, "accepted"},
                          {25, 100, "accepted"}};
    for (const auto& c : cases) {
      auto draft = draft_of(world);
      draft.intent.issued += c.issued;
      draft.intent.expires = async::system_clock().unix_now() + c.expires;
      EXPECT_AWAIT(co_await reason_for(channel, draft.request()), c.reason);
    }
  });
}

/// Whoever cannot sign learns nothing but that.
TEST(Intent, RefusalsBeforeTheSignatureAreOneAnswer) {
  in_world([](World& world) -> Awaitable<void> {
    std::vector<Bytes> requests;
    const auto spoilt = [&](auto change) {
      auto draft = draft_of(world);
      change(draft);
      draft.sign();
      draft.cose.back() ^= std::byte{1};
      requests.push_back(draft.request());
    };
    spoilt([](Draft&) {});
    spoilt([](Draft& d) { d.intent.expires -= 1000, d.intent.issued -= 1000; });
    spoilt([](Draft& d) { d.intent.node = peer_of(77); });
    spoilt([](Draft& d) { d.intent.op = "watch"; });
    spoilt([](Draft& d) { d.intent.capability = "nothing"; });
    spoilt([](Draft& d) { d.intent.suites = {7}; });
    auto draft = draft_of(world);
    requests.push_back(draft.request([](auto& m) { m.clear_proof_of_intent(); }));
    requests.push_back(draft.request([](auto& m) { m.set_proof_of_intent("not cbor"); }));
    requests.push_back(draft.request([](auto& m) { m.mutable_proof_of_intent()->append(1, '\0'); }));
    requests.push_back(draft.request([](auto& m) { m.set_proof_of_intent(std::string(9000, 'x')); }));
    requests.push_back(to_bytes(std::string_view("\xff\xff\xff")));
    // One that is signed well, but names another as its agent.
    auto forged = draft_of(world);
    forged.sign();
    auto text = string_of(forged.cose);
    const auto mine = string_of(peer_of(kAgent).bytes());
    const auto other = string_of(peer_of(6).bytes());
    for (auto at = text.find(mine); at != std::string::npos; at = text.find(mine)) text.replace(at, mine.size(), other);
    requests.push_back(forged.request([&](auto& m) { m.set_proof_of_intent(text); }));

    std::optional<rpc::Status> first;
    for (auto& request : requests) {
      auto reply = co_await ask(agents(world), std::move(request));
      EXPECT_FALSE(reply.status.ok());
      if (!first) first = reply.status;
      EXPECT_EQ(reply.status, *first) << reply.status.reason();
    }
    EXPECT_EQ(first->reason(), "intent_refused");
    world.clock.wall = -3600s;
    auto late = draft_of(world);
    late.sign();
    late.cose.back() ^= std::byte{1};
    auto reply = co_await ask(agents(world), late.request());
    EXPECT_EQ(reply.status, *first);
    EXPECT_EQ(world.notes.negotiations, 0U);
  });
}

TEST(Intent, ForWhatTheNodeDoesNotHave) {
  in_world([](World& world) -> Awaitable<void> {
    auto channel = agents(world);
    const auto refused = [&](auto change) {
      auto draft = draft_of(world);
      change(draft);
      return draft.request();
    };
    EXPECT_AWAIT(co_await reason_for(channel, refused([](Draft& d) { d.intent.capability = "nothing"; })),
                 "unknown_capability");
    EXPECT_AWAIT(co_await reason_for(channel, refused([](Draft& d) { d.intent.capability = "closed"; })),
                 "grant_required");
    EXPECT_AWAIT(co_await reason_for(channel, refused([](Draft& d) { d.intent.suites = {2, 3}; })), "no_common_suite");
    EXPECT_AWAIT(co_await reason_for(channel, refused([](Draft& d) { d.intent.receipt_kind = core::ReceiptKind::zk; })),
                 "not_available");
    EXPECT_AWAIT(co_await reason_for(channel, refused([](Draft& d) { d.intent.via = core::Via{"bridge", {}}; })),
                 "not_available");
    EXPECT_AWAIT(co_await reason_for(
                     channel, refused([](Draft& d) { d.intent.grant_hash = crypto::sha256(bytes_of("grant")); })),
                 "not_available");
    auto draft = draft_of(world);
    auto with_grant = draft.request([](auto& m) { m.set_grant("a grant that the intent does not name"); });
    EXPECT_AWAIT(co_await reason_for(channel, std::move(with_grant)), "not_available");
  });
}

TEST(Intent, LimitsThatAreAbsentZeroOrHuge) {
  in_world([](World& world) -> Awaitable<void> {
    auto channel = agents(world);
    const auto& allowed = world.config.capability("scan")->limits;
    auto absent = draft_of(world);
    absent.intent.limits = {};
    auto held = co_await negotiate(channel, absent);
    EXPECT_EQ(held.answer.answer.limits, allowed);

    auto huge = draft_of(world);
    huge.intent.limits = {};
    huge.intent.limits.memory_bytes = core::kNoCeiling - 1;
    huge.intent.limits.fuel = core::kNoCeiling - 1;
    huge.intent.limits.wall_time_ms = core::kNoCeiling - 1;
    auto wide = co_await negotiate(channel, huge);
    EXPECT_EQ(wide.answer.answer.limits, allowed);
    auto wide_run = prepare(wide, huge);
    auto wide_ran = co_await execute(channel, wide_run.wire());
    EXPECT_EQ(read(wide_run.run, wide_ran).evidence, "evidence");

    auto zero = draft_of(world);
    zero.intent.limits = {.memory_bytes = 0, .fuel = 0, .wall_time_ms = 0, .output_bytes = 0};
    EXPECT_NE(co_await run_once(channel, zero), "evidence");
    auto no_time = draft_of(world);
    no_time.intent.limits.wall_time_ms = 0;
    EXPECT_AWAIT(co_await run_once(channel, no_time), "wall_time");
    auto no_output = draft_of(world);
    no_output.intent.limits.output_bytes = 0;
    EXPECT_AWAIT(co_await run_once(channel, no_output), "output_limit");
    EXPECT_EQ(world.engine->running(), 0U);
  });
}

}  // namespace
}  // namespace nmp::security
