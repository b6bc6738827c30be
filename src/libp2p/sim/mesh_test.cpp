#include "libp2p/sim/mesh.hpp"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nmp::libp2p::sim {
namespace {

using namespace std::chrono_literals;

/// Fewer of them under the sanitizers, which are as much slower.
#ifdef NMP_SANITIZED
constexpr std::size_t kNodes = 60;
#else
constexpr std::size_t kNodes = 200;
#endif

/// k is small too, so that tables hold a part of the mesh only, and with it what one network may have of each.
MeshOptions small(std::size_t nodes = kNodes) {
  MeshOptions options;
  options.nodes = nodes;
  options.node.lookup.k = 8;
  options.node.lookup.narrow_max = 1;
  options.node.lookup.wide_max = 3;
  options.node.table.k = 8;
  options.node.table.narrow = {.table_max = 4, .bucket_max = 1};
  options.node.table.wide = {.table_max = 16, .bucket_max = 3};
  options.through_codec = true;
  return options;
}

struct Tally {
  std::size_t found = 0, lookups = 0, hops_max = 0, messages = 0;
};

/// Provides keys at random servers, and looks for each from somewhere else.
Tally provide_and_find(Mesh& mesh, std::size_t rounds) {
  Tally tally;
  for (std::size_t i = 0; i < rounds; ++i) {
    auto key = to_bytes("capability " + std::to_string(i));
    auto provider = mesh.any_server();
    EXPECT_TRUE(mesh.provide(provider, key).ok);
    auto seeker = mesh.anyone();
    if (seeker == provider) continue;
    auto report = mesh.find_providers(seeker, key, 1);
    ++tally.lookups;
    bool found = !report.providers.empty() && report.providers[0].id == mesh.seat(provider).info.id;
    tally.found += found ? 1 : 0;
    tally.hops_max = std::max(tally.hops_max, report.stats.hops);
    tally.messages += report.stats.messages;
  }
  return tally;
}

TEST(SimWorld, LatencyIsSymmetricAndGrowsWithTheWay) {
  Seat a{.info = PeerInfo{[] {
                            SeededRandom r(1);
                            return random_peer(r);
                          }(),
                          {}}};
  auto b = a, c = a;
  b.x = 0.1;
  c.x = 0.5;
  c.y = 0.5;
  EXPECT_EQ(latency(a, a), kLatencyLeast);
  EXPECT_EQ(latency(a, b), latency(b, a));
  EXPECT_LT(latency(a, b), latency(a, c));
  EXPECT_EQ(latency(a, c), kLatencyLeast + kLatencyAcross);
  b.x = 0.95;
  EXPECT_LT(latency(a, b), 15ms);  // the sides meet
}

TEST(SimWorld, SeatsHavePublicAddressesAndAttackersFewNetworks) {
  SeededRandom random(4);
  std::set<kad::IpGroup> networks, attacker_networks;
  for (std::size_t i = 0; i < 300; ++i) {
    auto honest = random_seat(i, Kind::server, kOrganisationsMax, 1, random);
    auto attacker = random_seat(i, Kind::attacker, 1, 3, random);
    ASSERT_TRUE(honest.info.addresses[0].ip()->is_public()) << honest.info.addresses[0].to_text();
    ASSERT_TRUE(attacker.info.addresses[0].ip()->is_public());
    networks.insert(*kad::IpGroup::of(*honest.info.addresses[0].ip(), kad::IpGroup::Width::narrow));
    attacker_networks.insert(*kad::IpGroup::of(*attacker.info.addresses[0].ip(), kad::IpGroup::Width::narrow));
  }
  EXPECT_GE(networks.size(), 290);
  EXPECT_EQ(attacker_networks.size(), 3);
}

TEST(SimMesh, EveryProviderIsFoundInFewHopsAndMessages) {
  Mesh mesh(small());
  auto tally = provide_and_find(mesh, 30);
  EXPECT_EQ(tally.found, tally.lookups);
  EXPECT_LE(tally.hops_max, 5);
  EXPECT_LE(tally.messages / tally.lookups, 60);
  std::vector<double> sizes;
  for (std::size_t i = 0; i < mesh.size(); ++i)
    if (auto size = mesh.node(i).network_size().estimate()) sizes.push_back(*size);
  ASSERT_GE(sizes.size(), kNodes / 4);
  std::ranges::sort(sizes);
  EXPECT_NEAR(sizes[sizes.size() / 2], static_cast<double>(kNodes), 0.5 * static_cast<double>(kNodes));
}

TEST(SimMesh, LossAndUnreachablePeersSlowLookupsDownButDoNotBreakThem) {
  auto options = small();
  options.loss = 0.05;
  options.clients = 0.2;
  options.unreachable = 0.15;
  options.seed = 42;
  Mesh mesh(options);
  // Who cannot be dialled is in nobody's table, whatever it claims.
  for (std::size_t i = 0; i < mesh.size(); ++i)
    for (const auto& member : mesh.node(i).table().members())
      EXPECT_EQ(mesh.seat(*mesh.number_of(member.id)).kind, Kind::server);
  auto tally = provide_and_find(mesh, 30);
  EXPECT_GE(tally.found + 1, tally.lookups);
  EXPECT_LE(tally.hops_max, 6);
}

TEST(SimMesh, RecordsOutliveHalfOfThePeers) {
  auto options = small();
  options.churn_per_hour = 0.5;
  options.seed = 3;
  options.node.refresh_interval = 1h;
  Mesh mesh(options);
  std::vector<std::size_t> providers;
  for (std::size_t i = 0; i < 10; ++i) {
    providers.push_back(mesh.any_server());
    mesh.protect(providers.back());
    ASSERT_TRUE(mesh.provide(providers.back(), to_bytes("key " + std::to_string(i))).ok);
  }
  mesh.run_for(1h);
  std::size_t left = 0;
  for (std::size_t i = 0; i < kNodes; ++i) left += mesh.alive(i) ? 0 : 1;
  EXPECT_NEAR(static_cast<double>(left), 0.5 * kNodes, 0.15 * kNodes);
  std::size_t found = 0;
  for (std::size_t i = 0; i < 10; ++i)
    found += mesh.find_providers(mesh.any_server(), to_bytes("key " + std::to_string(i)), 1).ok ? 1 : 0;
  EXPECT_GE(found, 9);
}

/// The share of lookups that do not find a provider which is there.
double captured(const MeshOptions& options) {
  Mesh mesh(options);
  auto tally = provide_and_find(mesh, 40);
  return 1 - static_cast<double>(tally.found) / static_cast<double>(tally.lookups);
}

TEST(SimMesh, DiversityLimitsHoldOffSybilsOfFewNetworks) {
#ifdef NMP_SANITIZED
  GTEST_SKIP() << "a measurement of three meshes; the others run the same code";
#endif
  auto options = small();
  options.through_codec = false;
  options.attackers = 0.15;
  options.attacker_pool = 10 * kNodes;
  options.attacker_networks = 4;
  options.seed = 8;
  auto with = captured(options);
  options.node.lookup.paths = 1;
  auto diversity_only = captured(options);
  options.node.table.diversity = false;
  options.node.lookup.diversity = false;
  auto without = captured(options);
  EXPECT_LE(with, 0.1);
  EXPECT_LE(diversity_only, 0.3);
  EXPECT_GE(without, 0.4);
}

TEST(SimMesh, AKeyUnderSiegeIsStillFound) {
  auto options = small();
  options.through_codec = false;
  options.attackers = 0.02;
  options.attacker_networks = 2;
  options.seed = 9;
  Mesh mesh(options);
  auto key = to_bytes("wanted");
  auto provider = mesh.any_server();
  mesh.besiege(key, 40);
  EXPECT_TRUE(mesh.provide(provider, key).ok);
  std::size_t found = 0, met = 0;
  for (int i = 0; i < 20; ++i) {
    auto report = mesh.find_providers(mesh.anyone(), key, 0);
    found += report.ok ? 1 : 0;
    met += std::ranges::any_of(report.asked, [&](auto who) { return mesh.seat(who).kind == Kind::attacker; }) ? 1 : 0;
  }
  EXPECT_GE(found, 19);
  EXPECT_GE(met, 18);  // or it was no siege
}

TEST(SimMesh, ASeedReplays) {
  auto history = [](std::uint64_t seed) {
    auto options = small(100);
    options.seed = seed;
    options.loss = 0.1;
    options.clients = 0.1;
    options.unreachable = 0.1;
    options.attackers = 0.1;
    options.churn_per_hour = 0.9;
    Mesh mesh(options);
    provide_and_find(mesh, 5);
    mesh.run_for(20min);
    return std::pair(mesh.history(), mesh.messages());
  };
  EXPECT_EQ(history(7), history(7));
  EXPECT_NE(history(7), history(8));
}

/// Asks the farthest of the candidates first.
class Backwards final : public kad::RoutingPolicy {
 public:
  std::size_t next_hop(std::span<const kad::Hop> candidates) override { return candidates.size() - 1; }
};

TEST(SimMesh, APolicyChangesWhoIsAsked) {
  auto options = small(100);
  auto asked = [&] {
    Mesh mesh(options);
    auto key = to_bytes("key");
    mesh.provide(1, key);
    return mesh.find_providers(2, key, 0).asked;
  };
  auto standard = asked();
  options.policy = [](const Seat&) { return std::make_unique<Backwards>(); };
  auto backwards = asked();
  ASSERT_FALSE(standard.empty());
  EXPECT_NE(standard, backwards);
}

}  // namespace
}  // namespace nmp::libp2p::sim
