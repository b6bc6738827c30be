#include "core/session_token.hpp"
#include "tests/security/raw_agent.hpp"

/// A session token is of use to its own peer only, once, and a wrong one tells nothing.
namespace nmp::security {
namespace {

constexpr std::uint8_t kOwner = 1;
constexpr std::uint8_t kThief = 66;

Draft draft_of(World& world, std::string capability = "scan") {
  auto draft = Draft(key_of(kOwner), world.me, good_filter());
  draft.intent.capability = std::move(capability);
  return draft;
}

std::string random_token() { return core::SessionToken::generate(crypto::system_random()).to_text(); }

/// What anyone gets for a token that never was.
Awaitable<Ran> random_refusal(std::shared_ptr<rpc::Channel> channel, Prepared prepared) {
  prepared.message.set_session_token(random_token());
  co_return co_await execute(std::move(channel), prepared.wire());
}

void expect_same(const Ran& a, const Ran& b) {
  EXPECT_EQ(a.status, b.status);
  EXPECT_EQ(a.trailers.fields(), b.trailers.fields());
  EXPECT_TRUE(a.messages.empty() && b.messages.empty());
  EXPECT_EQ(a.reason(), "session_unknown");
}

/// The thief has everything but the owner's connection and X25519 key; even the owner's own request is of no use to it.
TEST(StolenToken, LooksLikeARandomOneAndTheOwnerThenSucceeds) {
  in_world([](World& world) -> Awaitable<void> {
    auto owner = world.connect(peer_of(kOwner));
    auto thief = world.connect(peer_of(kThief));
    // The thief may run here itself: its connection is no stranger's.
    auto own = Draft(key_of(kThief), world.me, good_filter());
    auto evidence = co_await run_once(thief, own);
    EXPECT_EQ(evidence, "evidence");

    auto draft = draft_of(world);
    auto held = co_await negotiate(owner, draft);
    auto prepared = prepare(held, draft);
    auto random = co_await random_refusal(thief, prepare(held, draft, 1));
    auto stolen = co_await execute(thief, prepared.wire());
    expect_same(stolen, random);

    auto keys = core::AgentEnvelope::make(core::transcript_hash(draft.cose, bytes_of(held.response.answer())),
                                          bytes_of(held.response.kyber_public_key()), own.x25519,
                                          held.answer.answer.x25519_key, crypto::system_random());
    Held guessed{.response = held.response, .envelope = *std::move(keys), .answer = held.answer};
    for (int i = 0; i < 5; ++i) {
      auto encapsulated = prepare(guessed, draft, static_cast<std::uint32_t>(i));
      auto tried = co_await execute(thief, encapsulated.wire());
      expect_same(tried, random);
    }
    // A stranger that has not been admitted, and the plain listener.
    auto stranger = co_await execute(world.connect(peer_of(67)), prepared.wire());
    expect_same(stranger, random);
    auto tcp = co_await world.connect_tcp();
    auto plain = co_await execute(tcp, prepared.wire());
    expect_same(plain, random);

    auto ran = co_await execute(owner, prepared.wire());
    auto result = read(prepared.run, ran);
    EXPECT_TRUE(result.whole);
    EXPECT_EQ(result.evidence, "evidence");
    // And spent, it is like any other.
    auto spent = co_await execute(owner, prepared.wire());
    expect_same(spent, random);
    EXPECT_EQ(world.notes.ended.size(), 2U);
  });
}

/// On the plain listener nobody's peer is known: there it is the agent's X25519 key that a thief lacks.
TEST(StolenToken, OnThePlainListenerOpensNothing) {
  in_world([](World& world) -> Awaitable<void> {
    auto draft = draft_of(world);
    auto held = co_await negotiate(co_await world.connect_tcp(), draft);
    auto other = Draft(key_of(kThief), world.me, good_filter());
    auto keys = core::AgentEnvelope::make(core::transcript_hash(draft.cose, bytes_of(held.response.answer())),
                                          bytes_of(held.response.kyber_public_key()), other.x25519,
                                          held.answer.answer.x25519_key, crypto::system_random());
    Held guessed{.response = held.response, .envelope = *std::move(keys), .answer = held.answer};
    auto thief = co_await world.connect_tcp();
    for (int i = 0; i < 2; ++i) {
      auto encapsulated = prepare(guessed, draft, static_cast<std::uint32_t>(i));
      auto tried = co_await execute(thief, encapsulated.wire());
      EXPECT_EQ(tried.reason(), "envelope");
      EXPECT_TRUE(tried.messages.empty());
    }
    // A libp2p peer, be it the owner, has no session of the plain listener's.
    auto prepared = prepare(held, draft);
    auto peer = co_await execute(world.connect(peer_of(kOwner)), prepared.wire());
    EXPECT_EQ(peer.reason(), "session_unknown");
    auto ran = co_await execute(co_await world.connect_tcp(), prepared.wire());
    EXPECT_EQ(read(prepared.run, ran).evidence, "evidence");
  });
}

TEST(SessionToken, OfAHundredAtOnceExactlyOneWins) {
  in_world([](World& world) -> Awaitable<void> {
    auto draft = draft_of(world);
    auto first = world.connect(peer_of(kOwner));
    auto held = co_await negotiate(first, draft);
    auto prepared = prepare(held, draft);
    std::vector<std::shared_ptr<rpc::Channel>> channels{first};
    for (int i = 0; i < 3; ++i) {
      channels.push_back(world.connect(peer_of(kOwner)));
      auto other = draft_of(world);
      (void)co_await negotiate(channels.back(), other);  // admits the connection
    }
    std::vector<Ran> all;
    async::TaskGroup tasks(world.executor);
    auto one = [](std::shared_ptr<rpc::Channel> channel, Bytes wire, std::vector<Ran>& out) -> Awaitable<void> {
      auto ran = co_await execute(std::move(channel), std::move(wire));
      out.push_back(std::move(ran));
    };
    for (std::size_t i = 0; i < 100; ++i) tasks.spawn(one(channels[i % channels.size()], prepared.wire(), all));
    auto done = co_await World::until([&] { return all.size() == 100; });
    EXPECT_TRUE(done);
    co_await tasks.close();
    std::size_t won = 0;
    for (auto& ran : all) {
      if (ran.status.ok()) {
        ++won;
        EXPECT_EQ(read(prepared.run, ran).evidence, "evidence");
      } else {
        EXPECT_EQ(ran.reason(), "session_unknown");
        EXPECT_TRUE(ran.messages.empty());
      }
    }
    EXPECT_EQ(won, 1U);
    EXPECT_EQ(world.notes.ended.size(), 1U);
  });
}

/// The same, each with a run number and boxes of its own.
TEST(SessionToken, OfAHundredRunsAtOnceOnASingleUseExactlyOneWins) {
  in_world([](World& world) -> Awaitable<void> {
    auto draft = draft_of(world);
    auto channel = world.connect(peer_of(kOwner));
    auto held = co_await negotiate(channel, draft);
    std::size_t done = 0;
    std::size_t won = 0;
    async::TaskGroup tasks(world.executor);
    auto one = [](std::shared_ptr<rpc::Channel> to, Bytes wire, std::size_t& ended,
                  std::size_t& well) -> Awaitable<void> {
      auto ran = co_await execute(std::move(to), std::move(wire));
      ++ended;
      if (ran.status.ok()) ++well;
    };
    for (std::uint32_t i = 0; i < 100; ++i) tasks.spawn(one(channel, prepare(held, draft, i).wire(), done, won));
    auto all = co_await World::until([&] { return done == 100; });
    EXPECT_TRUE(all);
    co_await tasks.close();
    EXPECT_EQ(won, 1U);
    EXPECT_EQ(world.notes.ended.size(), 1U);
  });
}

TEST(SessionToken, ThreeWrongBoxesOfItsOwnPeerEraseItTwoDoNot) {
  in_world([](World& world) -> Awaitable<void> {
    auto channel = world.connect(peer_of(kOwner));
    for (const int wrong : {2, 3}) {
      auto draft = draft_of(world);
      auto held = co_await negotiate(channel, draft);
      auto prepared = prepare(held, draft);
      for (int i = 0; i < wrong; ++i) {
        auto spoilt = prepared.message;
        spoilt.mutable_sealed()->back() ^= 1;
        auto tried = co_await execute(channel, to_bytes(spoilt.SerializeAsString()));
        EXPECT_EQ(tried.reason(), "envelope");
      }
      auto ran = co_await execute(channel, prepared.wire());
      EXPECT_EQ(ran.reason(), wrong == 2 ? "" : "session_unknown");
      EXPECT_EQ(world.engine->sessions(), 0U);
      EXPECT_EQ(world.service->sessions(), 0U);
    }
  });
}

TEST(SessionToken, RunNumbersRiseAndNoneComesTwice) {
  in_world([](World& world) -> Awaitable<void> {
    auto channel = world.connect(peer_of(kOwner));
    auto draft = draft_of(world, "many");
    auto held = co_await negotiate(channel, draft);
    auto zero = prepare(held, draft, 0);
    auto four = prepare(held, draft, 4);
    auto seven = prepare(held, draft, 7);
    auto ran = co_await execute(channel, zero.wire());
    EXPECT_EQ(read(zero.run, ran).evidence, "evidence");
    ran = co_await execute(channel, seven.wire());
    EXPECT_EQ(read(seven.run, ran).evidence, "evidence");
    for (const auto& wire : {zero.wire(), four.wire(), seven.wire()}) {
      ran = co_await execute(channel, wire);
      EXPECT_EQ(ran.reason(), "session_unknown");
    }
    // That is somebody's second delivery, not an attempt: the session is still good.
    auto eight = prepare(held, draft, 8);
    ran = co_await execute(channel, eight.wire());
    EXPECT_EQ(read(eight.run, ran).evidence, "evidence");
  });
}

TEST(SessionToken, ExpiresAndIsThenLikeARandomOne) {
  in_world([](World& world) -> Awaitable<void> {
    auto channel = world.connect(peer_of(kOwner));
    auto draft = draft_of(world);
    auto held = co_await negotiate(channel, draft);
    auto prepared = prepare(held, draft);
    world.clock.passed = 60s;
    auto late = co_await execute(channel, prepared.wire());
    auto random = co_await random_refusal(channel, prepare(held, draft, 1));
    expect_same(late, random);
    world.service->sweep();
    EXPECT_EQ(world.service->sessions(), 0U);
    auto gone = co_await World::until([&] { return world.engine->sessions() == 0; });
    EXPECT_TRUE(gone);
  });
}

TEST(SessionToken, IsTheFirstThingInItsMessageOrTheCallEnds) {
  in_world([](World& world) -> Awaitable<void> {
    auto channel = world.connect(peer_of(kOwner));
    auto draft = draft_of(world);
    auto held = co_await negotiate(channel, draft);
    auto prepared = prepare(held, draft);
    auto random = co_await random_refusal(channel, prepare(held, draft, 1));
    auto with_token = [&](std::string token) {
      auto changed = prepared.message;
      changed.set_session_token(std::move(token));
      return to_bytes(changed.SerializeAsString());
    };
    auto token = held.response.session_token();
    nmp::v1::LogicRequest rest = prepared.message;
    rest.clear_session_token();
    nmp::v1::LogicRequest only;
    only.set_session_token(token);
    auto spare_bits = token;
    spare_bits.back() = spare_bits.back() == 'B' ? 'C' : 'B';
    auto lower = token;
    lower.front() = lower.front() == '+' ? '-' : '+';
    const std::vector<Bytes> wires = {to_bytes(rest.SerializeAsString()),                             // none
                                      to_bytes(rest.SerializeAsString() + only.SerializeAsString()),  // last
                                      with_token(token + "="),
                                      with_token(token + "A"),
                                      with_token(token.substr(1)),
                                      with_token(""),
                                      with_token(spare_bits),
                                      with_token(lower),
                                      with_token(std::string(43, '\xff')),
                                      Bytes(),
                                      Bytes(5000, std::byte{0x0a})};
    for (const auto& wire : wires) {
      auto tried = co_await execute(channel, wire);
      expect_same(tried, random);
    }
    auto ran = co_await execute(channel, prepared.wire());
    EXPECT_EQ(read(prepared.run, ran).evidence, "evidence");
  });
}

}  // namespace
}  // namespace nmp::security
