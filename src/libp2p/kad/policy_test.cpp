#include "libp2p/kad/policy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libp2p/kad/lookup.hpp"
#include "libp2p/kad/routing_table.hpp"
#include "libp2p/kad/testing.hpp"

namespace nmp::libp2p::kad {
namespace {

const auto kTarget = Key::of(bytes_of("target"));

std::vector<PeerInfo> peers(std::uint64_t from, std::uint64_t count) {
  std::vector<PeerInfo> list;
  for (auto i = from; i < from + count; ++i) list.push_back(peer_info(i));
  return list;
}

/// Asks the farthest first, admits even ports only, and lets the first member go for any newcomer.
class Contrary final : public RoutingPolicy {
 public:
  bool admit(const Contact& newcomer, std::size_t) override {
    return newcomer.info.addresses[0].udp_endpoint()->port % 2 == 0;
  }
  std::optional<std::size_t> evict(std::span<const Contact>, const Contact&, std::size_t) override { return victim; }
  std::size_t next_hop(std::span<const Hop> candidates) override {
    sizes.push_back(candidates.size());
    EXPECT_TRUE(std::ranges::is_sorted(candidates, {}, [](const Hop& hop) -> const Distance& { return hop.distance; }));
    return wild ? 1'000'000 : candidates.size() - 1;
  }
  std::optional<std::size_t> victim = 0;
  std::vector<std::size_t> sizes;
  bool wild = false;
};

TEST(KadPolicy, StandardIsXorTheClosestFirstAndOnlyStaleMembersLeave) {
  RoutingPolicy policy;
  EXPECT_EQ(policy.protocol(), "/nmp/kad/1.0.0");
  auto a = Key::of(peer(1)), b = Key::of(peer(2));
  EXPECT_EQ(policy.distance(a, b), distance(a, b));
  EXPECT_EQ(leading_zeros(policy.distance(a, b)), common_prefix_length(a, b));
  EXPECT_EQ(leading_zeros(policy.distance(a, a)), 256);
  auto info = peer_info(1);
  std::vector<Contact> bucket{{info, a, Instant(std::chrono::seconds(5)), 0, false},
                              {info, a, Instant(std::chrono::seconds(3)), 0, true},
                              {info, a, Instant(std::chrono::seconds(2)), 0, true},
                              {info, a, Instant(std::chrono::seconds(9)), 0, false}};
  EXPECT_EQ(policy.evict(bucket, bucket[0], 0), 2);
  EXPECT_EQ(policy.evict(std::span(bucket).first(1), bucket[0], 0), std::nullopt);
  EXPECT_EQ(policy.validate(bytes_of("/x/y"), {}, 0).error().code, Errc::unsupported);
}

TEST(KadPolicy, AdmissionAndEvictionArePolicys) {
  Contrary policy;
  RoutingTable table(peer(0), TableOptions{.k = 1}, policy);
  using Insert = RoutingTable::Insert;
  std::size_t refused = 0, replaced = 0, added = 0;
  for (std::uint64_t i = 1; i <= 40; ++i) {
    auto outcome = table.insert(peer_info(i), {});
    refused += outcome == Insert::refused ? 1 : 0;
    replaced += outcome == Insert::replaced ? 1 : 0;
    added += outcome == Insert::added ? 1 : 0;
  }
  EXPECT_EQ(refused, 20);
  EXPECT_EQ(added + replaced, 20);
  EXPECT_GT(replaced, 5);
  EXPECT_EQ(table.size(), added);
  // An index that is none keeps everybody.
  policy.victim = 7;
  for (std::uint64_t i = 41; i <= 80; ++i) EXPECT_NE(table.insert(peer_info(i), {}), Insert::replaced);
}

TEST(KadPolicy, NextHopOrdersALookupButDoesNotChangeItsResult) {
  auto all = peers(1, 60);
  auto look_up = [&](RoutingPolicy& policy) {
    Lookup lookup(kTarget, peer(0), {all.begin(), all.begin() + 30}, policy, {}, {});
    std::vector<PeerId> order;
    while (!lookup.done())
      for (const auto& asked : lookup.next({})) {
        order.push_back(asked.id);
        lookup.on_answer(asked.id, std::span(all).subspan(30 + order.size() % 20, 10), {});
      }
    EXPECT_TRUE(lookup.complete());
    return std::pair(order, lookup.closest());
  };
  RoutingPolicy standard;
  Contrary contrary, wild;
  wild.wild = true;
  auto [order, closest] = look_up(standard);
  auto [other_order, other_closest] = look_up(contrary);
  EXPECT_NE(order, other_order);
  EXPECT_EQ(look_up(wild).first, order);  // an index that is none is the closest
  EXPECT_LE(*std::ranges::max_element(contrary.sizes), kK);
  std::size_t same = 0;
  for (const auto& info : closest) same += static_cast<std::size_t>(std::ranges::count(other_closest, info));
  EXPECT_GE(same, 18);
}

/// The distance of the last byte only: many peers at the same place.
class Coarse final : public RoutingPolicy {
 public:
  [[nodiscard]] Distance distance(const Key& a, const Key& b) const override {
    Distance result;
    result.bytes[0] = a.bytes[31] ^ b.bytes[31];
    if (a != b) result.bytes[31] = std::byte{1};
    return result;
  }
};

TEST(KadPolicy, ADistanceThatDoesNotTellPeersApartLosesNone) {
  Coarse policy;
  RoutingTable table(peer(0), TableOptions{.k = 100}, policy);
  for (std::uint64_t i = 1; i <= 300; ++i) table.insert(peer_info(i), {});
  auto closest = table.closest(kTarget, 300);
  EXPECT_EQ(closest.size(), table.size());
  EXPECT_GT(table.bucket_size(0), 50);
  Lookup lookup(kTarget, peer(0), closest, policy, LookupOptions{.k = 400, .alpha = 400, .paths = 1}, {});
  EXPECT_EQ(lookup.next({}).size(), closest.size());
  // Buckets beyond the distance's eight bits have no key: the search for one ends.
  SeededRandom random(3);
  EXPECT_EQ(table.key_in_bucket(10, random).size(), 34);
  EXPECT_EQ(table.key_in_bucket(2, random).size(), 34);
}

}  // namespace
}  // namespace nmp::libp2p::kad
