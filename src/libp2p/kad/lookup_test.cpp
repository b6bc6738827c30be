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

TEST(KadLookup, AsksAlphaAtATimeAndEndsWithTheClosest) {
  Instant now{};
  auto all = peers(1, 40);
  Lookup lookup(kTarget, peer(0), {all.end() - 20, all.end()}, {}, now);
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

TEST(KadLookup, NobodyAnswers) {
  Instant now{};
  Lookup lookup(kTarget, peer(0), peers(1, 15), {}, now);
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

TEST(KadLookup, EmptyTableIsDoneAtOnce) {
  Lookup lookup(kTarget, peer(0), {}, {}, {});
  EXPECT_TRUE(lookup.done());
  Lookup only_self(kTarget, peer(0), {peer_info(0), PeerInfo{peer(1), {}}}, {}, {});
  EXPECT_TRUE(only_self.done());
}

TEST(KadLookup, LateAnswersCountAndUnaskedOnesDoNot) {
  Instant now{};
  auto all = peers(1, 12);
  Lookup lookup(kTarget, peer(0), all, {}, now);
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

TEST(KadLookup, AnEndlessLiarIsBounded) {
  // One peer, and whoever it invents, always answers with fresh peers.
  Instant now{};
  LookupOptions options;
  Lookup lookup(kTarget, peer(0), {peer_info(1)}, options, now);
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

TEST(KadLookup, DeadlineAndStopCutItShort) {
  Instant now{};
  LookupOptions options;
  options.deadline = now + 3s;
  Lookup lookup(kTarget, peer(0), peers(1, 30), options, now);
  EXPECT_EQ(lookup.next(now).size(), kAlpha);
  EXPECT_EQ(lookup.deadline(), now + 3s);
  lookup.on_timer(now + 3s);
  EXPECT_TRUE(lookup.done());
  EXPECT_FALSE(lookup.complete());
  EXPECT_EQ(lookup.stats(now + 9s).duration, 3s);
  EXPECT_TRUE(lookup.next(now).empty());

  Lookup stopped(kTarget, peer(0), peers(1, 30), {}, now);
  stopped.stop(now);
  EXPECT_TRUE(stopped.done());
}

class KadQuery : public testing::Test {
 protected:
  Query query(MessageType type, std::size_t enough = 0, std::optional<PeerId> wanted = {}) {
    Query::Want want;
    want.type = type;
    want.key = to_bytes("/test/key");
    want.peer = wanted;
    want.enough = enough;
    return Query(want, peer(0), peers(1, 5), validators_, {}, {});
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
  Validators validators_ = number_validators();
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
