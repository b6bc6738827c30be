// What hostile peers get: libp2p.md section 18, and the "Attacks" of gossipsub-v1.1.md.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libp2p/gossipsub/testing.hpp"

namespace nmp::libp2p::gossipsub {
namespace {

using testing::milliseconds;
using testing::Network;
using testing::Node;
using testing::seconds;

const std::string kTopic = "topic";

/// Says nothing by itself and answers nothing.
void make_silent(Node& node) {
  node.hostile = [](Node&, const PeerId&, const Rpc&) {};
}

/// One honest node, subscribed, and one hostile peer of it that speaks what it is told.
struct Pair {
  explicit Pair(Router::Options options = {}) : net(1), honest(net.add(std::move(options))), hostile(net.add()) {
    make_silent(hostile);
    hostile.hostile = [this](Node&, const PeerId&, const Rpc& rpc) { said.push_back(rpc); };
    net.connect(1, 0);
    EXPECT_TRUE(honest.router.subscribe(kTopic, net.now));
    say(Rpc{.subscriptions = {{true, kTopic}}});
    net.run_for(seconds(2));
    said.clear();
  }
  void say(const Rpc& rpc) { net.inject(hostile, honest.id, rpc); }
  void hear(Duration time = milliseconds(200)) { net.run_for(time); }
  [[nodiscard]] double score() { return honest.router.score(hostile.id); }
  [[nodiscard]] std::size_t ids_asked() const {
    std::size_t count = 0;
    for (const auto& rpc : said)
      for (const auto& ids : rpc.iwant) count += ids.size();
    return count;
  }
  [[nodiscard]] std::size_t messages() const {
    std::size_t count = 0;
    for (const auto& rpc : said) count += rpc.publish.size();
    return count;
  }

  Network net;
  Node& honest;
  Node& hostile;
  std::vector<Rpc> said;  ///< by the honest node
};

TEST(Hostile, WhoBringsForgedMessagesIsPrunedThenIgnored) {
  Pair pair;
  ASSERT_TRUE(pair.honest.router.mesh(kTopic).contains(pair.hostile.id));
  const auto author = testing::key_of(900);
  auto forged = seal(author, kTopic, to_bytes("lie"), 1);
  forged.data = to_bytes("die");
  for (int i = 0; i < 3; ++i) pair.say(Rpc{.publish = {forged}});
  pair.hear(seconds(2));
  EXPECT_EQ(pair.honest.got.size(), 0U);
  EXPECT_FALSE(pair.honest.router.mesh(kTopic).contains(pair.hostile.id));
  EXPECT_LT(pair.score(), Thresholds().graylist);
  // The genuine one is not kept out by the forged one, but this peer is not listened to any more.
  const auto genuine = seal(author, kTopic, to_bytes("lie"), 1);
  pair.say(Rpc{.publish = {genuine}});
  pair.hear();
  EXPECT_EQ(pair.honest.got["lie"], 0U);
  auto& friendly = pair.net.add();
  make_silent(friendly);
  pair.net.connect(2, 0);
  pair.net.inject(friendly, pair.honest.id, Rpc{.publish = {genuine}});
  pair.hear();
  EXPECT_EQ(pair.honest.got["lie"], 1U);
}

TEST(Hostile, UnsignedMessagesAreRefused) {
  Pair pair;
  const auto good = seal(testing::key_of(900), kTopic, to_bytes("x"), 1);
  for (auto Message::* field : {&Message::from, &Message::seqno, &Message::signature}) {
    auto bad = good;
    (bad.*field).reset();
    pair.say(Rpc{.publish = {bad}});
  }
  pair.hear();
  EXPECT_TRUE(pair.honest.got.empty());
  EXPECT_LT(pair.score(), 0);
}

TEST(Hostile, SpamThatTheOwnerRejectsCostsWhoBringsIt) {
  Network net(3);
  net.add_many(20);
  auto& spammer = net.add();
  make_silent(spammer);
  net.connect_all();
  for (std::size_t i = 0; i < 20; ++i) EXPECT_TRUE(net[i].router.subscribe(kTopic, net.now));
  net.validate = [](Node&, const Received& message) {
    return text_of(message.data).starts_with("spam") ? Verdict::reject : Verdict::accept;
  };
  for (std::size_t i = 0; i < 20; ++i)
    net.inject(spammer, net[i].id, Rpc{.subscriptions = {{true, kTopic}}, .graft = {kTopic}});
  net.run_for(seconds(5));
  for (std::uint64_t n = 0; n < 50; ++n) {
    for (std::size_t i = 0; i < 20; ++i)
      net.inject(spammer, net[i].id,
                 Rpc{.publish = {seal(spammer.key, kTopic, to_bytes("spam " + std::to_string(n)), n)}});
    net.run_for(milliseconds(100));
  }
  net.run_for(seconds(2));
  EXPECT_TRUE(net[4].router.publish(kTopic, to_bytes("news"), net.now));
  net.run_for(seconds(2));
  std::size_t heard = 0;
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_LT(net[i].router.score(spammer.id), Thresholds().graylist);
    EXPECT_FALSE(net[i].router.mesh(kTopic).contains(spammer.id));
    EXPECT_LE(net[i].got.size(), 15U) << "spam that was looked at before it was ignored";
    heard += net[i].got["news"];
    // Nobody passed spam on, so nobody else is blamed for it.
    for (std::size_t k = 0; k < 20; ++k) EXPECT_GE(net[i].router.score(net[k].id), 0);
  }
  EXPECT_EQ(heard, 19U);
}

TEST(Hostile, AnIhaveFloodIsAskedForSoMuchAndItsBrokenPromisesCount) {
  Pair pair;
  std::size_t number = 0;
  const auto lie = [&](std::size_t count) {
    Ihave list{kTopic, {}};
    while (count-- > 0) list.ids.push_back(to_bytes("no such message " + std::to_string(number++)));
    return Rpc{.ihave = {std::move(list)}};
  };
  for (int i = 0; i < 30; ++i) pair.say(lie(2000));
  pair.hear(milliseconds(400));
  EXPECT_LE(pair.ids_asked(), 2 * kIdsAskedPerHeartbeatMax) << "one heartbeat at most has passed";
  EXPECT_GE(pair.ids_asked(), 2000U);
  pair.hear(seconds(6));
  EXPECT_LT(pair.score(), 0);
  EXPECT_FALSE(pair.honest.router.mesh(kTopic).contains(pair.hostile.id));
}

TEST(Hostile, IhaveOfForeignTopicsIsNotAskedFor) {
  Pair pair;
  pair.say(Rpc{.ihave = {{"other", {to_bytes("id")}}}});
  pair.hear();
  EXPECT_EQ(pair.ids_asked(), 0U);
}

TEST(Hostile, AnIwantFloodGetsEachMessageSoOften) {
  Pair pair;
  const auto id = pair.honest.router.publish(kTopic, to_bytes("news"), pair.net.now);
  ASSERT_TRUE(id);
  pair.hear();
  pair.said.clear();
  for (int i = 0; i < 100; ++i) pair.say(Rpc{.iwant = {std::vector<MessageId>(50, *id)}});
  pair.hear();
  EXPECT_EQ(pair.messages(), kRetransmissionsMax);
}

TEST(Hostile, AGraftFloodIsRefusedAndCounts) {
  Pair pair;
  pair.say(Rpc{.prune = {{kTopic, 60}}});
  pair.hear();
  EXPECT_FALSE(pair.honest.router.mesh(kTopic).contains(pair.hostile.id));
  pair.said.clear();
  for (int i = 0; i < 3; ++i) pair.say(Rpc{.graft = {kTopic}});
  pair.hear();
  EXPECT_FALSE(pair.honest.router.mesh(kTopic).contains(pair.hostile.id));
  EXPECT_LT(pair.score(), 0);
  std::size_t prunes = 0;
  for (const auto& rpc : pair.said) prunes += rpc.prune.size();
  EXPECT_LE(prunes, 3U) << "no amplification";
}

TEST(Hostile, AGraftForForeignTopicsGetsNoAnswer) {
  Pair pair;
  Rpc rpc;
  for (int i = 0; i < 100; ++i) rpc.graft.push_back("topic " + std::to_string(i));
  pair.say(rpc);
  pair.hear();
  EXPECT_TRUE(pair.said.empty());
}

TEST(Hostile, GraftsFromManyDoNotOverfillAMesh) {
  Network net(5);
  net.add();
  EXPECT_TRUE(net[0].router.subscribe(kTopic, net.now));
  for (std::size_t i = 1; i <= 60; ++i) {
    make_silent(net.add());
    net.connect(i, 0);
  }
  for (std::size_t i = 1; i <= 60; ++i)
    net.inject(net[i], net[0].id, Rpc{.subscriptions = {{true, kTopic}}, .graft = {kTopic}});
  net.run_for(milliseconds(80));
  EXPECT_LE(net[0].router.mesh(kTopic).size(), Parameters().d_high);
  net.run_for(seconds(5));
  EXPECT_LE(net[0].router.mesh(kTopic).size(), Parameters().d_high);
}

TEST(Hostile, APruneForEverIsForAnHourAtMost) {
  Pair pair;
  pair.say(Rpc{.prune = {{kTopic, ~0ULL}}});
  pair.hear(seconds(3500));
  EXPECT_FALSE(pair.honest.router.mesh(kTopic).contains(pair.hostile.id));
  pair.hear(seconds(200));
  EXPECT_TRUE(pair.honest.router.mesh(kTopic).contains(pair.hostile.id));
}

TEST(Hostile, ASubscriptionFloodIsForgotten) {
  Pair pair;
  for (int k = 0; k < 20; ++k) {
    Rpc rpc;
    for (int i = 0; i < 500; ++i) rpc.subscriptions.push_back({true, "topic " + std::to_string(k * 500 + i)});
    pair.say(rpc);
  }
  pair.hear();
  // The first ones were kept, the last ones were not: to those nothing is sent.
  pair.said.clear();
  EXPECT_TRUE(pair.honest.router.publish("topic 1", to_bytes("x"), pair.net.now));
  EXPECT_TRUE(pair.honest.router.publish("topic 9999", to_bytes("y"), pair.net.now));
  pair.hear();
  EXPECT_EQ(pair.messages(), 1U);
}

TEST(Hostile, ADontWantFloodDoesNotSilenceThePeersOfOthers) {
  Network net(9);
  net.add_many(3);
  net.connect_all();
  net.subscribe_all(kTopic);
  net.run_for(seconds(3));
  // Node 2 says of everything that node 1 could publish that it does not want it.
  for (std::uint64_t k = 0; k < 5000; ++k) {
    Message name;
    name.from = to_bytes(net[1].id.bytes());
    name.seqno = Bytes(8);
    name.seqno->at(7) = std::byte(k % 256);
    name.seqno->at(6) = std::byte(k / 256);
    net.inject(net[2], net[0].id, Rpc{.idontwant = {{name.id()}}});
  }
  net.run_for(milliseconds(100));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(net[1].router.publish(kTopic, to_bytes(std::to_string(i)), net.now));
  net.run_for(seconds(3));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(net[0].got[std::to_string(i)], 1U);
}

TEST(Hostile, MessagesThatWaitForAVerdictAreBounded) {
  Network net(31);
  auto& node = net.add();
  EXPECT_TRUE(node.router.subscribe(kTopic, net.now));
  const auto author = testing::key_of(900);
  const auto from = PeerId::of(testing::key_of(901).public_key());
  EXPECT_TRUE(node.router.add_peer(from, {}, net.now));
  for (std::uint64_t i = 0; i < 2 * kValidationsMax; ++i)
    node.router.on_rpc(from, Rpc{.publish = {seal(author, kTopic, to_bytes("x"), i)}}, net.now);
  const auto waiting = node.router.take_received();
  EXPECT_EQ(waiting.size(), kValidationsMax);
  node.router.decide(waiting.front().id, Verdict::accept, net.now);
  // What was dropped may come again.
  node.router.on_rpc(from, Rpc{.publish = {seal(author, kTopic, to_bytes("x"), 2 * kValidationsMax - 1)}}, net.now);
  EXPECT_EQ(node.router.take_received().size(), 1U);
  node.router.decide(to_bytes("no such id"), Verdict::accept, net.now);
}

TEST(Hostile, CensorsInTheMajorityDoNotStopAMessage) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    Network net(seed);
    constexpr std::size_t kHonest = 20;
    constexpr std::size_t kCensors = 40;
    net.add_many(kHonest);
    for (std::size_t i = 0; i < kCensors; ++i) {
      auto& censor = net.add();
      // Takes every graft, and passes nothing on.
      make_silent(censor);
    }
    net.connect_all();
    for (std::size_t i = 0; i < kHonest; ++i) EXPECT_TRUE(net[i].router.subscribe(kTopic, net.now));
    for (std::size_t c = kHonest; c < net.size(); ++c)
      for (std::size_t i = 0; i < kHonest; ++i)
        net.inject(net[c], net[i].id, Rpc{.subscriptions = {{true, kTopic}}, .graft = {kTopic}});
    net.run_for(seconds(10));
    EXPECT_TRUE(net[0].router.publish(kTopic, to_bytes("uncensored"), net.now));
    net.run_for(seconds(10));
    std::size_t heard = 0;
    for (std::size_t i = 0; i < kHonest; ++i) heard += net[i].got["uncensored"];
    EXPECT_EQ(heard, kHonest - 1);
  }
}

}  // namespace
}  // namespace nmp::libp2p::gossipsub
