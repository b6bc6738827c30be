#include "libp2p/kad/routing_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libp2p/kad/testing.hpp"

namespace nmp::libp2p::kad {
namespace {

using namespace std::chrono_literals;
using Insert = RoutingTable::Insert;

/// Numbers of peers that share exactly `prefix` bits with peer 0.
std::vector<std::uint64_t> in_bucket(std::size_t prefix, std::size_t count, std::uint64_t from = 1) {
  std::vector<std::uint64_t> numbers;
  auto self = Key::of(peer(0));
  for (auto i = from; numbers.size() < count; ++i)
    if (common_prefix_length(self, Key::of(peer(i))) == prefix) numbers.push_back(i);
  return numbers;
}

class KadTable : public testing::Test {
 protected:
  RoutingPolicy policy_;
};

TEST_F(KadTable, FullBucketKeepsThoseWhoAnswer) {
  RoutingTable table(peer(0), {}, policy_);
  Instant now{1h};
  auto numbers = in_bucket(0, 25);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(table.insert(peer_info(numbers[i]), now), Insert::added);
  EXPECT_EQ(table.insert(peer_info(numbers[20]), now), Insert::full);
  EXPECT_EQ(table.insert(peer_info(numbers[3]), now), Insert::updated);

  // One fails a request: the newcomer may have its place; one that answers is safe.
  table.on_failure(peer(numbers[7]));
  EXPECT_EQ(table.insert(peer_info(numbers[20]), now), Insert::replaced);
  EXPECT_FALSE(table.contains(peer(numbers[7])));
  EXPECT_EQ(table.insert(peer_info(numbers[21]), now), Insert::full);

  // Long idle: the least recently useful goes first.
  now += 30min;
  for (std::size_t i = 1; i < 20; ++i) table.on_answer(peer(numbers[i]), now);
  EXPECT_EQ(table.stale(now).size(), 2);  // numbers[0] and the newcomer of before
  table.on_answer(peer(numbers[20]), now);
  EXPECT_EQ(table.insert(peer_info(numbers[22]), now), Insert::replaced);
  EXPECT_FALSE(table.contains(peer(numbers[0])));
  EXPECT_EQ(table.size(), 20);
}

TEST_F(KadTable, ThreeFailuresInARowRemove) {
  RoutingTable table(peer(0), {}, policy_);
  table.insert(peer_info(1), {});
  table.on_failure(peer(1));
  table.on_failure(peer(1));
  table.on_answer(peer(1), {});
  table.on_failure(peer(1));
  table.on_failure(peer(1));
  EXPECT_TRUE(table.contains(peer(1)));
  table.on_failure(peer(1));
  EXPECT_EQ(table.size(), 0);
  EXPECT_FALSE(table.remove(peer(1)));
}

TEST_F(KadTable, RefusesItselfAndTheUnreachable) {
  RoutingTable table(peer(0), {}, policy_);
  EXPECT_EQ(table.insert(peer_info(0), {}), Insert::refused);
  EXPECT_EQ(table.insert(PeerInfo{peer(1), {}}, {}), Insert::refused);
  EXPECT_FALSE(table.contains(peer(0)));
  EXPECT_FALSE(table.remove(peer(0)));
}

TEST_F(KadTable, OneSubnetCannotFillATable) {
  for (std::string prefix : {"/ip4/8.8.8.", "/ip6/2600:1:2:3::"}) {
    RoutingTable table(peer(0), {}, policy_);
    RoutingTable open(peer(0), TableOptions{.diversity = false}, policy_);
    std::size_t added = 0, added_open = 0;
    for (std::uint64_t i = 1; i < 200; ++i) {
      auto info = peer_at(i, prefix + std::to_string(1 + i % 99) + "/udp/4001/quic-v1");
      added += table.insert(info, {}) == Insert::added ? 1 : 0;
      added_open += open.insert(info, {}) == Insert::added ? 1 : 0;
    }
    EXPECT_EQ(added, kGroupTableMax);
    for (std::size_t bucket = 0; bucket < 256; ++bucket) EXPECT_LE(table.bucket_size(bucket), kGroupBucketMax);
    EXPECT_GT(added_open, 50);
    // Another subnet still gets in, and a place that is given up is free again.
    EXPECT_EQ(table.insert(peer_at(500, "/ip4/9.9.9.9/udp/1/quic-v1"), {}), Insert::added);
    table.remove(table.members().front().id);
  }
}

TEST_F(KadTable, PrivateAndLoopbackAreExemptFromDiversity) {
  RoutingTable table(peer(0), {}, policy_);
  std::size_t added = 0;
  for (std::uint64_t i = 1; i <= 15; ++i) {
    added += table.insert(peer_at(i, "/ip4/192.168.1." + std::to_string(i) + "/udp/1/quic-v1"), {}) == Insert::added;
    added += table.insert(peer_info(100 + i), {}) == Insert::added;
  }
  EXPECT_EQ(added, 30);
}

TEST_F(KadTable, AMemberCannotMoveIntoACrowdedGroup) {
  RoutingTable table(peer(0), TableOptions{.narrow = {.table_max = 1, .bucket_max = 1}}, policy_);
  EXPECT_EQ(table.insert(peer_at(1, "/ip4/8.8.8.8/udp/1/quic-v1"), {}), Insert::added);
  EXPECT_EQ(table.insert(peer_info(2), {}), Insert::added);
  EXPECT_EQ(table.insert(peer_at(2, "/ip4/8.8.8.9/udp/1/quic-v1"), {}), Insert::crowded);
  EXPECT_EQ(table.find(peer(2))->addresses, peer_info(2).addresses);
  EXPECT_EQ(table.insert(peer_at(1, "/ip4/8.8.8.10/udp/1/quic-v1"), {}), Insert::updated);
}

TEST_F(KadTable, AWholeProviderHoldsLessThanHalfOfABucket) {
  // One address in each /24 of a /16, and in each /48 of a /32: many small networks from one hand.
  for (std::string prefix : {"/ip4/8.8.", "/ip6/2600:1:"}) {
    RoutingTable table(peer(0), {}, policy_);
    for (std::uint64_t i = 1; i < 250; ++i)
      table.insert(peer_at(i, prefix + std::to_string(i) + (prefix[3] == '4' ? ".1" : "::1") + "/udp/4001/quic-v1"),
                   {});
    EXPECT_LE(table.size(), kWideGroupTableMax);
    for (std::size_t bucket = 0; bucket < 256; ++bucket) EXPECT_LE(table.bucket_size(bucket), kWideGroupBucketMax);
    EXPECT_EQ(table.bucket_size(0), kWideGroupBucketMax);
  }
}

TEST_F(KadTable, WantsOnlyWhomItCouldTake) {
  RoutingTable table(peer(0), {}, policy_);
  Instant now{1h};
  auto numbers = in_bucket(0, 21);
  EXPECT_FALSE(table.wants(peer_info(0), now));
  EXPECT_FALSE(table.wants(PeerInfo{peer(1), {}}, now));
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_TRUE(table.wants(peer_info(numbers[i]), now));
    table.insert(peer_info(numbers[i]), now);
  }
  EXPECT_FALSE(table.wants(peer_info(numbers[3]), now));
  EXPECT_FALSE(table.wants(peer_info(numbers[20]), now));
  table.on_failure(peer(numbers[3]));
  EXPECT_TRUE(table.wants(peer_info(numbers[20]), now));
}

TEST_F(KadTable, RefreshKeysFallIntoTheirBucket) {
  SeededRandom random(5);
  RoutingTable table(peer(0), {}, policy_);
  for (std::size_t prefix = 0; prefix < 10; ++prefix)
    EXPECT_EQ(common_prefix_length(table.self_key(), Key::of(table.key_in_bucket(prefix, random))), prefix);
}

TEST_F(KadTable, ClosestAgreesWithSortingAll) {
  RoutingTable table(peer(0), TableOptions{.k = 200}, policy_);
  for (std::uint64_t i = 1; i <= 200; ++i) table.insert(peer_info(i), {});
  auto target = Key::of(bytes_of("somewhere"));
  auto all = table.members();
  std::ranges::sort(all, {}, [&](const PeerInfo& info) { return distance(target, Key::of(info.id)); });
  auto closest = table.closest(target, 20);
  ASSERT_EQ(closest.size(), 20);
  EXPECT_TRUE(std::equal(closest.begin(), closest.end(), all.begin()));
  EXPECT_EQ(table.closest(target, 1000).size(), 200);
  EXPECT_GE(table.refresh_depth(), 5);
}

}  // namespace
}  // namespace nmp::libp2p::kad
