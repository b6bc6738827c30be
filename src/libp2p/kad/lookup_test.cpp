#include "libp2p/kad/lookup.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libp2p/kad/query.hpp"
#include "libp2p/kad/testing.hpp"

namespace nmp::libp2p::kad {
namespace {

using namespace std::chrono_literals;

const auto kTarget = Key::of(bytes_of("target"));

std::vector<PeerInfo> peers(std::uint64_t from, std::uint64_t count) {
  std::vector<PeerInfo> list;
  for (auto i = from; i < from + count; ++i) list.push_back(peer_info(i));
  std::ranges::sort(list, {}, [](const PeerInfo& info) { return distance(kTarget, Key::of(info.id)); });
  return list;
}

class KadLookup : public testing::Test {
 protected:
  RoutingPolicy policy_;
};

TEST_F(KadLookup, AsksAlphaAtATimeAndEndsWithTheClosest) {
  Instant now{};
  auto all = peers(1, 40);
  Lookup lookup(kTarget, peer(0), {all.end() - 20, all.end()}, policy_, {}, now);
  auto first = lookup.next(now);
  EXPECT_EQ(first.size(), kAlpha);
  EXPECT_TRUE(lookup.next(now).empty());
  EXPECT_EQ(lookup.deadline(), now + kRequestTimeout);
  std::vector<PeerInfo> asking = first;
  while (!lookup.done()) {
    ASSERT_FALSE(asking.empty());
    auto one = asking.back();
    asking.pop_back();
    lookup.on_answer(one.id, std::span(all).first(20), now += 1ms);
    for (auto& more : lookup.next(now)) asking.push_back(more);
  }
  EXPECT_TRUE(lookup.complete());
  EXPECT_EQ(lookup.closest(), std::vector(all.begin(), all.begin() + 20));
  EXPECT_EQ(lookup.stats(now).hops, 2);
  EXPECT_EQ(lookup.depth(all[39].id), 1);
  EXPECT_EQ(lookup.depth(peer(9999)), 0);
}

TEST_F(KadLookup, NobodyAnswers) {
  Instant now{};
  Lookup lookup(kTarget, peer(0), peers(1, 15), policy_, {}, now);
  EXPECT_EQ(lookup.next(now).size(), 10);
  now += kRequestTimeout;
  lookup.on_timer(now);
  EXPECT_FALSE(lookup.done());
  auto rest = lookup.next(now);
  EXPECT_EQ(rest.size(), 5);
  for (auto& silent : rest) lookup.on_failure(silent.id, now);
  EXPECT_TRUE(lookup.done());
  EXPECT_TRUE(lookup.closest().empty());
  EXPECT_EQ(lookup.stats(now).peers_failed, 15);
  EXPECT_EQ(lookup.deadline(), kNever);
}

TEST_F(KadLookup, EmptyTableIsDoneAtOnce) {
  Lookup lookup(kTarget, peer(0), {}, policy_, {}, {});
  EXPECT_TRUE(lookup.done());
  Lookup only_self(kTarget, peer(0), {peer_info(0), PeerInfo{peer(1), {}}}, policy_, {}, {});
  EXPECT_TRUE(only_self.done());
}

TEST_F(KadLookup, LateAnswersCountAndUnaskedOnesDoNot) {
  Instant now{};
  auto all = peers(1, 12);
  Lookup lookup(kTarget, peer(0), all, policy_, {}, now);
  auto asked = lookup.next(now);
  lookup.on_answer(all[11].id, peers(100, 5), now);  // heard of, not asked
  lookup.on_answer(peer(777), peers(100, 5), now);
  EXPECT_EQ(lookup.stats(now).peers_queried, 0);
  now += kRequestTimeout;
  lookup.on_timer(now);
  EXPECT_EQ(lookup.stats(now).peers_failed, 10);
  lookup.on_answer(asked[0].id, {}, now);
  lookup.on_answer(asked[0].id, peers(100, 5), now);  // once is enough
  EXPECT_EQ(lookup.stats(now).peers_queried, 1);
  EXPECT_EQ(lookup.stats(now).peers_failed, 9);
  lookup.on_failure(asked[0].id, now);
  EXPECT_EQ(lookup.stats(now).peers_failed, 9);
}

TEST_F(KadLookup, AnEndlessLiarIsBounded) {
  // One peer, and whoever it invents, always answers with fresh peers.
  Instant now{};
  LookupOptions options;
  Lookup lookup(kTarget, peer(0), {peer_info(1)}, policy_, options, now);
  std::uint64_t invented = 1000;
  std::size_t rounds = 0;
  while (!lookup.done() && rounds++ < 100000) {
    auto asked = lookup.next(now);
    for (auto& one : asked) {
      lookup.on_answer(one.id, peers(invented, 64), now);
      invented += 64;
    }
  }
  EXPECT_TRUE(lookup.done());
  EXPECT_LE(lookup.stats(now).messages, kPeersPerLookupMax * 4);
}

TEST_F(KadLookup, DeadlineAndStopCutItShort) {
  Instant now{};
  LookupOptions options;
  options.deadline = now + 3s;
  Lookup lookup(kTarget, peer(0), peers(1, 30), policy_, options, now);
  EXPECT_EQ(lookup.next(now).size(), kAlpha);
  EXPECT_EQ(lookup.deadline(), now + 3s);
  lookup.on_timer(now + 3s);
  EXPECT_TRUE(lookup.done());
  EXPECT_FALSE(lookup.complete());
  EXPECT_EQ(lookup.stats(now + 9s).duration, 3s);
  EXPECT_TRUE(lookup.next(now).empty());

  Lookup stopped(kTarget, peer(0), peers(1, 30), policy_, {}, now);
  stopped.stop(now);
  EXPECT_TRUE(stopped.done());
}

/// A lookup in a world where `answers` says whom each peer names. Whoever is not in it is silent.
using World = std::map<PeerId, std::vector<PeerInfo>>;
void walk(Lookup& lookup, const World& world, Instant now) {
  while (!lookup.done()) {
    auto asked = lookup.next(now);
    ASSERT_FALSE(asked.empty());
    for (const auto& one : asked) {
      auto known = world.find(one.id);
      if (known == world.end())
        lookup.on_failure(one.id, now);
      else
        lookup.on_answer(one.id, known->second, now);
    }
  }
}

/// `honest` peers that all know each other, closest to the target first, and `sybils` closer than any of them.
struct Siege {
  explicit Siege(std::size_t honest_count, std::string_view sybil_address = "/ip4/127.0.0.1/udp/7/quic-v1") {
    auto all = peers(1, 4000);
    for (std::size_t i = 0; i < 60; ++i) sybils.push_back(PeerInfo{all[i].id, {address(sybil_address)}});
    honest = {all.begin() + 1000, all.begin() + 1000 + static_cast<std::ptrdiff_t>(honest_count)};
    for (const auto& one : honest) world[one.id] = {honest.begin(), honest.begin() + 20};
    for (const auto& one : sybils) world[one.id] = {sybils.begin(), sybils.begin() + 20};
  }
  [[nodiscard]] std::size_t honest_among(const std::vector<PeerInfo>& found) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        found, [&](const PeerInfo& one) { return std::ranges::find(honest, one.id, &PeerInfo::id) != honest.end(); }));
  }
  std::vector<PeerInfo> sybils, honest;
  World world;
};

TEST_F(KadLookup, ALiarOnOnePathDoesNotSteerTheOthers) {
  Siege siege(40);
  // Five seeds far away, the first of them the attacker's.
  std::vector<PeerInfo> seeds{siege.sybils[59]};
  siege.world[seeds[0].id] = {siege.sybils.begin(), siege.sybils.begin() + 20};
  for (std::size_t i = 36; i < 40; ++i) seeds.push_back(siege.honest[i]);

  LookupOptions one_path;
  one_path.paths = 1;
  Lookup single(kTarget, peer(0), seeds, policy_, one_path, {});
  walk(single, siege.world, {});
  EXPECT_EQ(siege.honest_among(single.closest()), 0);  // what the paths are for

  Lookup lookup(kTarget, peer(0), seeds, policy_, {}, {});
  EXPECT_EQ(lookup.paths(), 4);
  walk(lookup, siege.world, {});
  // Three of four paths are honest; the closest() takes turns.
  EXPECT_GE(siege.honest_among(lookup.closest()), 10);
  EXPECT_LT(siege.honest_among(lookup.closest()), 20);
}

TEST_F(KadLookup, NobodyIsAskedTwiceAndHonestPathsFindTheTruth) {
  auto all = peers(1, 200);
  World world;
  SeededRandom random(9);
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto& names = world[all[i].id];
    for (int j = 0; j < 20; ++j) names.push_back(all[random.below(std::max<std::size_t>(i, 21))]);
  }
  Lookup lookup(kTarget, peer(0), {all.end() - 20, all.end()}, policy_, {}, {});
  std::set<PeerId> asked;
  while (!lookup.done())
    for (const auto& one : lookup.next({})) {
      EXPECT_TRUE(asked.insert(one.id).second);
      lookup.on_answer(one.id, world[one.id], {});
    }
  std::size_t right = 0;
  for (const auto& one : lookup.closest()) right += std::find(all.begin(), all.begin() + 20, one) < all.begin() + 20;
  EXPECT_GE(right, 19);
}

TEST_F(KadLookup, OneSubnetIsAskedAFewTimesOnly) {
  Siege siege(40, "/ip4/8.8.8.8/udp/7/quic-v1");
  auto seeds = std::vector{siege.sybils[59], siege.honest[39]};
  siege.world[seeds[0].id] = {siege.sybils.begin(), siege.sybils.begin() + 20};
  LookupOptions options;
  options.paths = 1;
  Lookup lookup(kTarget, peer(0), seeds, policy_, options, {});
  walk(lookup, siege.world, {});
  EXPECT_EQ(siege.honest_among(lookup.closest()), 20 - kGroupPathMax);
  options.diversity = false;
  Lookup open(kTarget, peer(0), seeds, policy_, options, {});
  walk(open, siege.world, {});
  EXPECT_EQ(siege.honest_among(open.closest()), 0);
}

TEST_F(KadLookup, MadeUpNeighboursDoNotCrowdOutAnHonestPeer) {
  // A liar names peers that do not exist at addresses in an honest peer's subnet.
  auto all = peers(1, 40);
  auto honest = PeerInfo{all[20].id, {address("/ip4/9.9.9.9/udp/1/quic-v1")}};
  std::vector<PeerInfo> invented;
  invented.reserve(10);
  for (std::size_t i = 0; i < 10; ++i) invented.push_back({all[i].id, {address("/ip4/9.9.9.1/udp/1/quic-v1")}});
  World world{{all[30].id, invented}, {all[31].id, {honest}}, {honest.id, {}}};
  LookupOptions options;
  options.paths = 1;
  Lookup lookup(kTarget, peer(0), {all[30], all[31]}, policy_, options, {});
  // The liar is first, then its invention, which stays silent; only then the honest one is named.
  auto asked = lookup.next({});
  ASSERT_EQ(asked.size(), 2);
  lookup.on_answer(all[30].id, world[all[30].id], {});
  for (const auto& ghost : lookup.next({})) lookup.on_failure(ghost.id, {});
  lookup.on_answer(all[31].id, world[all[31].id], {});
  walk(lookup, world, {});
  EXPECT_EQ(lookup.closest().front().id, honest.id);
}

TEST_F(KadLookup, AnAddressThatIsHeardLaterIsTriedToo) {
  auto all = peers(1, 30);
  LookupOptions options;
  options.alpha = 1;
  options.paths = 1;
  Lookup lookup(kTarget, peer(0), {all[20], all[21]}, policy_, options, {});
  ASSERT_EQ(lookup.next({})[0].id, all[20].id);
  PeerInfo wrong{all[25].id, {address("/ip4/127.0.0.1/udp/9/quic-v1")}};
  lookup.on_answer(all[20].id, std::vector{wrong}, {});
  ASSERT_EQ(lookup.next({})[0].id, all[21].id);
  lookup.on_answer(all[21].id, std::vector{all[25]}, {});
  auto asked = lookup.next({});
  ASSERT_EQ(asked.size(), 1);
  EXPECT_EQ(asked[0].addresses.size(), 2);
}

class KadQuery : public testing::Test {
 protected:
  Query query(MessageType type, std::size_t enough = 0, std::optional<PeerId> wanted = {}) {
    Query::Want want;
    want.type = type;
    want.key = to_bytes("/test/key");
    want.peer = wanted;
    want.enough = enough;
    return Query(want, peer(0), peers(1, 5), policy_, {}, {});
  }
  static Message answer(MessageType type) {
    Message message;
    message.type = type;
    message.key = to_bytes("/test/key");
    return message;
  }
  static Message value(std::string_view text, std::string_view key = "/test/key") {
    auto message = answer(MessageType::get_value);
    message.record = Record{to_bytes(key), to_bytes(text), {}};
    return message;
  }
  RoutingPolicy policy_{std::string(kProtocol), number_validators()};
};

TEST_F(KadQuery, ValuesAreValidatedSelectedAndStaleHoldersNamed) {
  auto q = query(MessageType::get_value);
  ASSERT_EQ(q.next({}).size(), 5);
  q.on_answer(peer(1), value("1:old"), {}, 0);
  q.on_answer(peer(2), value("9:forged", "/test/other"), {}, 0);
  q.on_answer(peer(3), value("99"), {}, 0);
  q.on_answer(peer(4), value("7:new"), {}, 0);
  q.on_answer(peer(5), answer(MessageType::get_value), {}, 0);
  ASSERT_TRUE(q.done());
  EXPECT_EQ(string_of(*q.value()), "7:new");
  std::set<PeerId> stale;
  for (auto& holder : q.stale_holders()) stale.insert(holder.id);
  EXPECT_EQ(stale, (std::set{peer(1), peer(2), peer(3), peer(5)}));
}

TEST_F(KadQuery, QuorumEndsAValueLookup) {
  auto q = query(MessageType::get_value, 2);
  (void)q.next({});
  q.on_answer(peer(1), value("1:a"), {}, 0);
  EXPECT_FALSE(q.done());
  q.on_answer(peer(2), value("1:a"), {}, 0);
  EXPECT_TRUE(q.done());
}

TEST_F(KadQuery, ProvidersStreamOnceEachAndStop) {
  auto q = query(MessageType::get_providers, 2);
  (void)q.next({});
  auto message = answer(MessageType::get_providers);
  message.provider_peers = {peer_info(50), peer_info(50), PeerInfo{peer(52), {}}};
  q.on_answer(peer(1), message, {}, 0);
  ASSERT_EQ(q.take_providers().size(), 1);
  EXPECT_TRUE(q.take_providers().empty());
  q.on_answer(peer(2), message, {}, 0);
  EXPECT_FALSE(q.done());
  message.provider_peers = {peer_info(51), peer_info(53)};
  q.on_answer(peer(3), message, {}, 0);
  EXPECT_TRUE(q.done());
  auto last = q.take_providers();
  ASSERT_EQ(last.size(), 1);
  EXPECT_EQ(last[0].id, peer(51));
}

TEST_F(KadQuery, AFloodOfMadeUpProvidersLeavesRoomForOthers) {
  auto q = query(MessageType::get_providers);
  auto asked = q.next({});
  ASSERT_EQ(asked.size(), 5);
  ASSERT_EQ(q.lookup().paths(), 4);
  // All peers of one path say: here are 64 providers, and more at peers that only we know.
  auto liar = asked[0].id;
  auto path = *q.lookup().path(liar);
  std::uint64_t invented = 10'000;
  auto flood = [&](const PeerId& from) {
    auto message = answer(MessageType::get_providers);
    for (std::size_t i = 0; i < kPeersPerListMax; ++i) message.provider_peers.push_back(peer_info(invented++));
    for (std::size_t i = 0; i < 20; ++i) message.closer_peers.push_back(peer_info(invented++));
    q.on_answer(from, message, {}, 0);
  };
  flood(liar);
  for (int round = 0; round < 20; ++round)
    for (const auto& one : q.next({}))
      if (q.lookup().path(one.id) == path) flood(one.id);
  EXPECT_EQ(q.providers_found(), kPeersPerLookupMax / 4);
  auto message = answer(MessageType::get_providers);
  message.provider_peers = {peer_info(77)};
  for (const auto& one : asked)
    if (q.lookup().path(one.id) != path) q.on_answer(one.id, message, {}, 0);
  auto found = q.take_providers();
  EXPECT_TRUE(std::ranges::any_of(found, [](const PeerInfo& info) { return info.id == peer(77); }));
}

TEST_F(KadQuery, ProvidersWithoutAddressesComeLast) {
  auto q = query(MessageType::get_providers);
  (void)q.next({});
  auto message = answer(MessageType::get_providers);
  message.provider_peers = {PeerInfo{peer(52), {}}};
  for (std::uint64_t i = 1; i <= 5; ++i) q.on_answer(peer(i), message, {}, 0);
  ASSERT_TRUE(q.done());
  ASSERT_EQ(q.take_providers().size(), 1);
}

TEST_F(KadQuery, FindsAPeerAndAWrongAnswerIsAFailure) {
  auto q = query(MessageType::find_node, 0, peer(77));
  (void)q.next({});
  q.on_answer(peer(1), value("1:a"), {}, 0);
  EXPECT_EQ(q.stats({}).peers_failed, 1);
  auto message = answer(MessageType::find_node);
  message.closer_peers = {peer_info(77)};
  q.on_answer(peer(888), message, {}, 0);  // never asked
  EXPECT_FALSE(q.found_peer());
  q.on_answer(peer(2), message, {}, 0);
  ASSERT_TRUE(q.done());
  EXPECT_EQ(q.found_peer(), peer_info(77));
  EXPECT_EQ(q.stats({}).hops, 1);
}

}  // namespace
}  // namespace nmp::libp2p::kad
