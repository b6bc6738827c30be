#include "libp2p/gossipsub/score.hpp"

#include <gtest/gtest.h>

#include "libp2p/gossipsub/caches.hpp"
#include "libp2p/gossipsub/testing.hpp"

namespace nmp::libp2p::gossipsub {
namespace {

using testing::milliseconds;
using testing::seconds;

const Instant kStart = Instant(seconds(1000));
const std::string kTopic = "topic";

PeerId peer(std::uint64_t number) { return PeerId::of(testing::key_of(number).public_key()); }

/// Nothing decays, and everything has a weight of its own.
ScoreParameters plain() {
  ScoreParameters parameters;
  parameters.topic = {.weight = 0.5,
                      .time_weight = 2,
                      .time_quantum = seconds(1),
                      .time_cap = 10,
                      .first_weight = 3,
                      .first_decay = 1,
                      .first_cap = 5,
                      .deficit_weight = -1,
                      .deficit_decay = 1,
                      .deficit_cap = 10,
                      .deficit_threshold = 4,
                      .deficit_activation = seconds(5),
                      .deficit_window = milliseconds(10),
                      .failure_weight = -2,
                      .failure_decay = 1,
                      .invalid_weight = -10,
                      .invalid_decay = 1};
  parameters.topics_cap = 1000;
  parameters.behaviour_decay = 1;
  return parameters;
}

struct One {
  explicit One(const ScoreParameters& parameters) : scores(parameters) {
    scores.add_peer(peer(1), std::nullopt, kStart);
  }
  [[nodiscard]] double value() const { return scores.of(peer(1)); }
  Scores scores;
};

TEST(Scores, TimeInTheMeshCountsUpToItsCap) {
  One one(plain());
  one.scores.joined_mesh(peer(1), kTopic, kStart);
  one.scores.advance(kStart + seconds(4));
  EXPECT_DOUBLE_EQ(one.value(), 0.5 * 2 * 4);
  auto parameters = plain();
  parameters.topic.deficit_weight = parameters.topic.failure_weight = 0;
  One other(parameters);
  other.scores.joined_mesh(peer(1), kTopic, kStart);
  other.scores.advance(kStart + seconds(400));
  EXPECT_DOUBLE_EQ(other.value(), 0.5 * 2 * 10);
  other.scores.left_mesh(peer(1), kTopic);
  EXPECT_DOUBLE_EQ(other.value(), 0);
}

TEST(Scores, FirstDeliveriesCountUpToTheirCap) {
  One one(plain());
  for (int i = 0; i < 3; ++i) one.scores.first_delivery(peer(1), kTopic);
  EXPECT_DOUBLE_EQ(one.value(), 0.5 * 3 * 3);
  for (int i = 0; i < 30; ++i) one.scores.first_delivery(peer(1), kTopic);
  EXPECT_DOUBLE_EQ(one.value(), 0.5 * 3 * 5);
}

TEST(Scores, ADeficitCountsSquaredOnceTheMeshIsOldEnoughAndSticks) {
  auto parameters = plain();
  parameters.topic.time_weight = 0;
  One one(parameters);
  one.scores.joined_mesh(peer(1), kTopic, kStart);
  one.scores.advance(kStart + seconds(5));
  EXPECT_DOUBLE_EQ(one.value(), 0);
  one.scores.advance(kStart + seconds(6));
  EXPECT_DOUBLE_EQ(one.value(), 0.5 * -1 * 16);
  one.scores.copy(peer(1), kTopic, milliseconds(10));
  one.scores.copy(peer(1), kTopic, milliseconds(11));
  EXPECT_DOUBLE_EQ(one.value(), 0.5 * -1 * 9);
  one.scores.left_mesh(peer(1), kTopic);
  EXPECT_DOUBLE_EQ(one.value(), 0.5 * -2 * 9);
}

TEST(Scores, InvalidMessagesAndBadBehaviourCountSquared) {
  One one(plain());
  for (int i = 0; i < 3; ++i) one.scores.invalid(peer(1), kTopic);
  EXPECT_DOUBLE_EQ(one.value(), 0.5 * -10 * 9);
  One other(plain());
  other.scores.misbehaved(peer(1), 3);
  EXPECT_DOUBLE_EQ(other.value(), -10 * 9);
}

TEST(Scores, TheOwnersWordAndManyPeersAtOneAddressCount) {
  auto parameters = plain();
  parameters.colocation_threshold = 2;
  Scores scores(parameters);
  const auto block = block_of(testing::address_of(1));
  for (std::uint64_t i = 0; i < 5; ++i) scores.add_peer(peer(i), block, kStart);
  scores.set_application(peer(1), 7);
  EXPECT_DOUBLE_EQ(scores.of(peer(1)), 7 - 5 * 9);
  EXPECT_DOUBLE_EQ(scores.of(peer(2)), -5 * 9);
  for (std::uint64_t i = 2; i < 5; ++i) scores.remove_peer(peer(i), kStart);
  EXPECT_DOUBLE_EQ(scores.of(peer(1)), 7);
}

TEST(Scores, DecayToNothing) {
  ScoreParameters parameters;
  Scores scores(parameters);
  scores.add_peer(peer(1), std::nullopt, kStart);
  scores.invalid(peer(1), kTopic);
  scores.misbehaved(peer(1), 1);
  const auto at_once = scores.of(peer(1));
  scores.advance(kStart + seconds(100));
  EXPECT_GT(scores.of(peer(1)), at_once);
  EXPECT_LT(scores.of(peer(1)), 0);
  scores.advance(kStart + seconds(1000));
  EXPECT_DOUBLE_EQ(scores.of(peer(1)), 0);
}

TEST(Scores, ComingBackDoesNotWashABadScoreOff) {
  ScoreParameters parameters;
  Scores scores(parameters);
  for (std::uint64_t i = 1; i <= 2; ++i) scores.add_peer(peer(i), std::nullopt, kStart);
  for (int i = 0; i < 3; ++i) scores.invalid(peer(1), kTopic);
  scores.first_delivery(peer(2), kTopic);
  const auto bad = scores.of(peer(1));
  for (std::uint64_t i = 1; i <= 2; ++i) scores.remove_peer(peer(i), kStart);
  EXPECT_EQ(scores.size(), 1U);
  scores.add_peer(peer(1), std::nullopt, kStart + seconds(60));
  EXPECT_DOUBLE_EQ(scores.of(peer(1)), bad);
  scores.remove_peer(peer(1), kStart + seconds(60));
  scores.advance(kStart + seconds(60) + parameters.retain);
  EXPECT_EQ(scores.size(), 0U);
}

TEST(Caches, SeenExpiresAndIsBounded) {
  SeenCache seen(seconds(10));
  const auto id = [](std::size_t number) { return to_bytes(std::to_string(number)); };
  EXPECT_TRUE(seen.add(id(0), kStart));
  EXPECT_FALSE(seen.add(id(0), kStart + seconds(5)));
  seen.expire(kStart + seconds(9));
  EXPECT_TRUE(seen.contains(id(0)));
  seen.expire(kStart + seconds(10));
  EXPECT_FALSE(seen.contains(id(0)));
  for (std::size_t i = 0; i < kSeenMax + 10; ++i) EXPECT_TRUE(seen.add(id(i), kStart));
  EXPECT_EQ(seen.size(), kSeenMax);
  EXPECT_FALSE(seen.contains(id(9)));
  EXPECT_TRUE(seen.contains(id(10)));
}

TEST(Caches, MessagesAgeAreGivenSoOftenAndAreBounded) {
  MessageCache cache(3, 2);
  const auto message = [](std::uint64_t seqno, std::size_t size) {
    return seal(testing::key_of(1), kTopic, Bytes(size), seqno);
  };
  const auto first = message(1, 10);
  cache.put(first);
  for (std::size_t i = 0; i < kRetransmissionsMax; ++i) EXPECT_NE(cache.get_for(first.id(), peer(2)), nullptr);
  EXPECT_EQ(cache.get_for(first.id(), peer(2)), nullptr);
  EXPECT_NE(cache.get_for(first.id(), peer(3)), nullptr);
  cache.shift();
  EXPECT_EQ(cache.gossip_of(kTopic).size(), 1U);
  EXPECT_TRUE(cache.gossip_of("other").empty());
  cache.shift();
  EXPECT_TRUE(cache.gossip_of(kTopic).empty());
  EXPECT_NE(cache.get_for(first.id(), peer(4)), nullptr);
  cache.shift();
  EXPECT_EQ(cache.get_for(first.id(), peer(5)), nullptr);
  EXPECT_EQ(cache.bytes(), 0U);
  for (std::uint64_t i = 0; i < 40; ++i) cache.put(message(i, 1'000'000));
  EXPECT_LE(cache.bytes(), kCacheBytesMax);
  EXPECT_EQ(cache.get_for(message(0, 0).id(), peer(2)), nullptr);
  EXPECT_NE(cache.get_for(message(39, 0).id(), peer(2)), nullptr);
}

}  // namespace
}  // namespace nmp::libp2p::gossipsub
