#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.hpp"
#include "libp2p/resources/manager.hpp"
#include "libp2p/resources/subnets.hpp"
#include "libp2p/resources/trimmer.hpp"

namespace nmp::libp2p::resources {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

const Instant kStart = Instant(seconds(1000));

PeerId peer(std::uint64_t number) {
  SeededRandom random(number + 1);
  Bytes raw{std::byte{0x12}, std::byte{0x20}};
  append(raw, random.bytes<32>());
  return PeerId::from_bytes(raw).value();
}

SocketAddress v4(std::uint32_t number, std::uint16_t port = 4001) {
  SocketAddress address;
  for (std::size_t i = 0; i < 4; ++i) address.ip[i] = static_cast<std::byte>(number >> (24 - 8 * i));
  address.port = port;
  return address;
}

SocketAddress v6(std::uint8_t site, std::uint8_t home, std::uint8_t device) {
  SocketAddress address;
  address.is_v6 = true;
  address.ip[0] = std::byte{0x20};
  address.ip[5] = std::byte{site};
  address.ip[6] = std::byte{home};
  address.ip[15] = std::byte{device};
  return address;
}

constexpr std::uint32_t kHost = 0xc0000201;  // 192.0.2.1

Limits small_limits() { return Limits::scaled(Machine{.memory_bytes = 8ULL << 30, .descriptors = 1024}); }

/// Remembers what was said.
class Listening final : public Observer {
 public:
  void on_refused(const Error& why) override { refusals.push_back(why.message()); }
  std::vector<std::string> refusals;
};

TEST(Scope, EachCeilingHoldsToTheUnitAndIsNamed) {
  Scope scope("peer A", Limit{.connections_in = 2,
                              .connections_out = 3,
                              .connections = 4,
                              .streams_in = 5,
                              .streams_out = 6,
                              .streams = 7,
                              .descriptors = 8,
                              .memory_bytes = 100});
  struct Case {
    Usage fits;
    Usage one_more;
    const char* says;
  };
  const Case cases[] = {
      {{.connections_in = 2}, {.connections_in = 1}, "peer A: connections in 2 of 2"},
      {{.connections_out = 3}, {.connections_out = 1}, "peer A: connections out 3 of 3"},
      {{.connections_in = 2, .connections_out = 2}, {.connections_out = 1}, "peer A: connections 4 of 4"},
      {{.streams_in = 5}, {.streams_in = 1}, "peer A: streams in 5 of 5"},
      {{.streams_out = 6}, {.streams_out = 1}, "peer A: streams out 6 of 6"},
      {{.streams_in = 3, .streams_out = 4}, {.streams_in = 1}, "peer A: streams 7 of 7"},
      {{.descriptors = 8}, {.descriptors = 1}, "peer A: descriptors 8 of 8"},
      {{.memory_bytes = 100}, {.memory_bytes = 1}, "peer A: bytes of memory 100 of 100"},
  };
  for (const auto& one : cases) {
    ASSERT_TRUE(scope.add(one.fits, Priority::always)) << one.says;
    auto refused = scope.add(one.one_more, Priority::always);
    ASSERT_FALSE(refused) << one.says;
    EXPECT_EQ(refused.error().code, Errc::exceeded);
    EXPECT_THAT(refused.error().context, HasSubstr(one.says));
    EXPECT_EQ(scope.usage(), one.fits);
    scope.remove(one.fits);
    EXPECT_EQ(scope.usage(), Usage());
  }
  EXPECT_EQ(scope.refused(), std::size(cases));
}

TEST(Scope, SumsThatWouldWrapAreRefused) {
  Scope scope("system", Limit{.memory_bytes = 1000});
  ASSERT_TRUE(scope.add({.memory_bytes = 10}, Priority::always));
  EXPECT_FALSE(scope.add({.memory_bytes = ~0ULL}, Priority::always));
  EXPECT_FALSE(scope.add({.memory_bytes = ~0ULL - 5}, Priority::always));
  EXPECT_EQ(scope.usage().memory_bytes, 10U);
}

TEST(Scope, MemoryThatMattersLessIsRefusedEarlier) {
  Scope scope("system", Limit{.memory_bytes = 1000});
  EXPECT_TRUE(scope.add({.memory_bytes = 400}, Priority::low));
  EXPECT_FALSE(scope.add({.memory_bytes = 1}, Priority::low));
  EXPECT_TRUE(scope.add({.memory_bytes = 200}, Priority::medium));
  EXPECT_FALSE(scope.add({.memory_bytes = 1}, Priority::medium));
  EXPECT_TRUE(scope.add({.memory_bytes = 200}, Priority::high));
  EXPECT_FALSE(scope.add({.memory_bytes = 1}, Priority::high));
  EXPECT_TRUE(scope.add({.memory_bytes = 200}, Priority::always));
  EXPECT_FALSE(scope.add({.memory_bytes = 1}, Priority::always));
}

TEST(Holding, WhatOneScopeRefusesNoneKeeps) {
  auto wide = std::make_shared<Scope>("wide", Limit{});
  auto narrow = std::make_shared<Scope>("narrow", Limit{.streams_in = 1});
  Holding first;
  Holding second;
  for (auto* holding : {&first, &second}) {
    ASSERT_TRUE(holding->join(wide));
    ASSERT_TRUE(holding->join(narrow));
  }
  EXPECT_TRUE(first.take({.streams_in = 1}));
  EXPECT_FALSE(second.take({.streams_in = 1}));
  EXPECT_EQ(wide->usage().streams_in, 1U);
  Holding moved = std::move(first);
  EXPECT_EQ(wide->usage().streams_in, 1U);
  moved = Holding();
  EXPECT_EQ(wide->usage(), Usage());
  EXPECT_TRUE(second.take({.streams_in = 1}));
}

TEST(Limits, FollowTheMachine) {
  const auto tiny = Limits::scaled(Machine{.memory_bytes = 256ULL << 20, .descriptors = 64});
  EXPECT_EQ(tiny.system.connections, 272U);
  EXPECT_EQ(tiny.system.descriptors, 64U);
  const auto usual = Limits::scaled(Machine{.memory_bytes = 8ULL << 30, .descriptors = 1024});
  EXPECT_EQ(usual.system.connections, 768U);
  EXPECT_EQ(usual.system.descriptors, 512U);
  EXPECT_EQ(usual.system.memory_bytes, 1ULL << 30);
  const auto large = Limits::scaled(Machine{.memory_bytes = 1ULL << 40, .descriptors = 1'000'000});
  EXPECT_EQ(large.system.connections, kConnectionsMax);
  for (const auto& limits : {tiny, usual, large}) {
    EXPECT_LT(limits.trim.low, limits.trim.high);
    EXPECT_LT(limits.trim.high, limits.system.connections);
    EXPECT_LE(limits.system.connections * kConnectionBytes, limits.system.memory_bytes / 2);
  }
  auto wanted = usual;
  wanted.set_connections(10'000);
  EXPECT_EQ(wanted.system.connections_in, 10'000U);
  EXPECT_GE(wanted.system.memory_bytes, 10'000 * kConnectionBytes);
}

TEST(Manager, AConnectionIsTransientUntilItsPeerIsKnown) {
  Manager manager(small_limits());
  auto connection = manager.open_inbound({.from = v4(kHost), .proven = true, .descriptor = true}, kStart);
  ASSERT_TRUE(connection);
  auto now = manager.snapshot();
  EXPECT_EQ(now.system.usage, (Usage{.connections_in = 1, .descriptors = 1, .memory_bytes = kConnectionBytes}));
  EXPECT_EQ(now.transient.usage, now.system.usage);
  EXPECT_TRUE(now.peers.empty());

  ASSERT_TRUE(connection->set_peer(peer(1), kStart));
  now = manager.snapshot();
  EXPECT_EQ(now.transient.usage, Usage());
  ASSERT_EQ(now.peers.size(), 1U);
  EXPECT_EQ(now.peers[0].name, "peer " + peer(1).to_text());
  EXPECT_EQ(now.peers[0].usage, now.system.usage);
  {
    const auto ended = *std::move(connection);
  }
  now = manager.snapshot();
  EXPECT_EQ(now.system.usage, Usage());
  EXPECT_TRUE(now.peers.empty());
}

TEST(Manager, AStreamIsTransientUntilItsProtocolIsKnown) {
  Manager manager(small_limits());
  auto connection = manager.open_outbound(/*descriptor=*/false);
  ASSERT_TRUE(connection && connection->set_peer(peer(1), kStart));
  {
    auto stream = connection->open_stream(Direction::inbound);
    ASSERT_TRUE(stream);
    EXPECT_EQ(connection->streams(), 1U);
    EXPECT_EQ(manager.snapshot().transient.usage.streams_in, 1U);
    ASSERT_TRUE(stream->set_protocol("/echo"));
    auto now = manager.snapshot();
    EXPECT_EQ(now.transient.usage, Usage());
    ASSERT_EQ(now.protocols.size(), 1U);
    EXPECT_EQ(now.protocols[0].name, "protocol /echo");
    EXPECT_EQ(now.protocols[0].usage, (Usage{.streams_in = 1, .memory_bytes = kStreamBytes}));
    EXPECT_EQ(now.peers[0].usage.streams_in, 1U);
    EXPECT_EQ(now.system.usage.streams_in, 1U);
  }
  EXPECT_EQ(connection->streams(), 0U);
  EXPECT_TRUE(manager.snapshot().protocols.empty());
  EXPECT_EQ(manager.snapshot().system.usage, (Usage{.connections_out = 1, .memory_bytes = kConnectionBytes}));
}

TEST(Manager, StreamsOutliveTheirConnectionAndTheManager) {
  std::optional<StreamScope> stream;
  {
    Manager manager(small_limits());
    {
      auto connection = manager.open_outbound(/*descriptor=*/false);
      ASSERT_TRUE(connection && connection->set_peer(peer(1), kStart));
      stream.emplace(connection->open_stream(Direction::outbound).value());
      ASSERT_TRUE(stream->set_protocol("/echo"));
    }
    EXPECT_EQ(manager.snapshot().peers.at(0).usage, (Usage{.streams_out = 1, .memory_bytes = kStreamBytes}));
  }
  EXPECT_TRUE(stream->reserve(100));
  stream.reset();
}

TEST(Manager, ARefusalNamesScopeLimitAndUseAndLeavesNothing) {
  auto limits = small_limits();
  limits.named["/rare"].all.streams_in = 2;
  limits.named["/rare"].peer.streams_in = 1;
  Listening listening;
  Manager manager(limits, listening);
  std::vector<ConnectionScope> connections;
  for (std::uint64_t i = 0; i < 3; ++i) {
    connections.push_back(manager.open_outbound(/*descriptor=*/false).value());
    ASSERT_TRUE(connections.back().set_peer(peer(i), kStart));
  }
  const auto open = [&](std::size_t at) { return connections.at(at).open_stream(Direction::inbound).value(); };
  auto first = open(0);
  ASSERT_TRUE(first.set_protocol("/rare"));
  {
    auto second = open(0);
    EXPECT_FALSE(second.set_protocol("/rare"));
  }
  auto other = open(1);
  ASSERT_TRUE(other.set_protocol("/rare"));
  {
    auto third = open(2);
    const auto refused = third.set_protocol("/rare");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::exceeded);
    EXPECT_EQ(refused.error().context, "protocol /rare: streams in 2 of 2, 1 more asked for");
  }
  ASSERT_EQ(listening.refusals.size(), 2U);
  EXPECT_THAT(listening.refusals[0], HasSubstr("protocol /rare of peer " + peer(0).to_text()));
  const auto now = manager.snapshot();
  EXPECT_EQ(now.system.usage.streams_in, 2U);
  EXPECT_EQ(now.transient.usage, Usage());
  EXPECT_EQ(now.protocols.at(0).refused, 1U);
}

TEST(Manager, OnePeerDoesNotUseUpWhatAllShare) {
  Manager manager(small_limits());
  std::vector<ConnectionScope> connections;
  std::vector<StreamScope> streams;
  for (std::size_t i = 0;; ++i) {
    auto connection = manager.open_inbound({.from = v4(kHost + static_cast<std::uint32_t>(i)), .proven = true}, kStart);
    ASSERT_TRUE(connection);
    if (!connection->set_peer(peer(1), kStart)) {
      EXPECT_EQ(i, kPeerConnectionsMax);
      break;
    }
    connections.push_back(*std::move(connection));
  }
  for (;;) {
    auto stream = connections[streams.size() % connections.size()].open_stream(Direction::inbound);
    if (!stream) break;
    streams.push_back(*std::move(stream));
  }
  EXPECT_EQ(streams.size(), kPeerStreamsMax);
  auto newcomer = manager.open_inbound({.from = v4(kHost - 1), .proven = true}, kStart);
  ASSERT_TRUE(newcomer && newcomer->set_peer(peer(2), kStart));
  EXPECT_TRUE(newcomer->open_stream(Direction::inbound));
}

TEST(Manager, BuffersAreCountedAndBounded) {
  auto limits = small_limits();
  limits.peer.memory_bytes = 1'000'000;
  Manager manager(limits);
  auto a = manager.open_outbound(/*descriptor=*/false).value();
  auto b = manager.open_outbound(/*descriptor=*/false).value();
  ASSERT_TRUE(a.set_peer(peer(1), kStart) && b.set_peer(peer(1), kStart));
  EXPECT_TRUE(a.hold(600'000));
  EXPECT_FALSE(b.hold(600'000));
  EXPECT_TRUE(b.hold(100'000));
  EXPECT_TRUE(a.hold(0));
  EXPECT_TRUE(b.hold(600'000));
  EXPECT_EQ(manager.system().memory_bytes, 600'000 + 2 * kConnectionBytes);
  EXPECT_FALSE(a.hold(kConnectionBytesMax));
}

TEST(Manager, TheSystemIsFullForEverybody) {
  auto limits = small_limits();
  limits.set_connections(4);
  limits.subnets.per_address_max = 100;
  Manager manager(limits);
  std::vector<ConnectionScope> held;
  held.reserve(4);
  for (int i = 0; i < 4; ++i) held.push_back(manager.open_inbound({.from = v4(kHost)}, kStart).value());
  EXPECT_FALSE(manager.check_inbound(v4(kHost), kStart));
  EXPECT_FALSE(manager.open_inbound({.from = v4(kHost)}, kStart));
  EXPECT_FALSE(manager.open_outbound(/*descriptor=*/false));
  held.pop_back();
  EXPECT_TRUE(manager.check_inbound(v4(kHost), kStart));
  EXPECT_TRUE(manager.open_outbound(/*descriptor=*/false));
}

TEST(Subnets, CountAndRateByAddress) {
  Subnets subnets(SubnetLimits{});
  auto now = kStart;
  for (std::size_t i = 0; i < kConnectionsPerAddressMax; ++i)
    ASSERT_TRUE(subnets.enter(v4(kHost, static_cast<std::uint16_t>(i)), now));
  const auto crowded = subnets.enter(v4(kHost), now);
  ASSERT_FALSE(crowded);
  EXPECT_EQ(crowded.error().code, Errc::crowded);
  EXPECT_EQ(crowded.error().context, "IPv4 192.0.2.1: connections in 8 of 8");
  EXPECT_TRUE(subnets.enter(v4(kHost + 1), now));

  // The burst, of which eight are spent, then the rate.
  std::size_t entered = kConnectionsPerAddressMax;
  for (; entered < 1000; ++entered) {
    subnets.leave(v4(kHost), now);
    if (!subnets.enter(v4(kHost), now)) break;
  }
  EXPECT_EQ(entered, kBurstPerAddress);
  EXPECT_EQ(subnets.check(v4(kHost), now).error().code, Errc::rate_limited);
  now += milliseconds(1000 / kRatePerAddress);
  EXPECT_TRUE(subnets.check(v4(kHost), now));
}

TEST(Subnets, AnIp6SiteIsCountedBesideItsHomes) {
  Subnets subnets(SubnetLimits{.per_address_max = 2, .per_site_max = 5});
  const auto now = kStart;
  EXPECT_TRUE(subnets.enter(v6(1, 1, 1), now));
  EXPECT_TRUE(subnets.enter(v6(1, 1, 2), now));
  EXPECT_THAT(subnets.enter(v6(1, 1, 3), now).error().context, HasSubstr("IPv6 /56"));
  for (std::uint8_t home = 2; home < 5; ++home) EXPECT_TRUE(subnets.enter(v6(1, home, 1), now));
  EXPECT_THAT(subnets.enter(v6(1, 9, 1), now).error().context, HasSubstr("IPv6 /48"));
  EXPECT_TRUE(subnets.enter(v6(2, 1, 1), now));
}

TEST(Subnets, LoopbackIsFree) {
  Subnets subnets(SubnetLimits{});
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(subnets.enter(v4(0x7f000001), kStart));
  EXPECT_EQ(subnets.size(), 0U);
}

TEST(Subnets, RemembersSoManyAtMostWhenNothingIsOpen) {
  Subnets subnets(SubnetLimits{});
  auto now = kStart;
  for (std::uint32_t i = 0; i < 3 * kSubnetsMax; ++i) {
    ASSERT_TRUE(subnets.enter(v4(kHost + 256 * i), now));
    subnets.leave(v4(kHost + 256 * i), now);
    now += std::chrono::microseconds(10);
  }
  EXPECT_LE(subnets.size(), kSubnetsMax + 1);
}

TEST(Manager, ForgedAddressesAreNotHeldAgainstTheirOwner) {
  auto limits = small_limits();
  Manager manager(limits);
  std::vector<ConnectionScope> forged;
  forged.reserve(100);
  for (int i = 0; i < 100; ++i) forged.push_back(manager.open_inbound({.from = v4(kHost)}, kStart).value());
  auto owner = manager.open_inbound({.from = v4(kHost), .proven = true}, kStart);
  ASSERT_TRUE(owner);
  EXPECT_TRUE(owner->set_peer(peer(1), kStart));
  // Those that turn out to be real count from then on.
  std::size_t real = 1;
  for (auto& connection : forged) real += connection.set_peer(peer(real), kStart) ? 1 : 0;
  EXPECT_EQ(real, kConnectionsPerAddressMax);
}

TEST(Manager, WhateverIsOpenedInWhateverOrderIsGivenBack) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    SeededRandom random(seed);
    auto limits = small_limits();
    limits.set_connections(20);
    limits.peer.streams_in = 5;
    limits.protocol.all.streams_in = 9;
    Manager manager(limits);
    std::vector<ConnectionScope> connections;
    std::vector<StreamScope> streams;
    const auto drop = [&](auto& from) {
      if (from.empty()) return;
      const auto at = random.below(from.size());
      auto kept = std::move(from);
      from.clear();
      for (std::size_t i = 0; i < kept.size(); ++i)
        if (i != at) from.push_back(std::move(kept[i]));
    };
    for (int step = 0; step < 500; ++step) {
      switch (random.below(6)) {
        case 0:
        case 1: {
          const auto from = v4(kHost + static_cast<std::uint32_t>(random.below(3)));
          auto made = random.below(2) == 0
                          ? manager.open_outbound(random.below(2) == 0)
                          : manager.open_inbound({.from = from, .proven = random.below(2) == 0}, kStart);
          if (made && made->set_peer(peer(random.below(4)), kStart)) connections.push_back(*std::move(made));
          break;
        }
        case 2:
        case 3: {
          if (connections.empty()) break;
          auto& on = connections[random.below(connections.size())];
          auto made = on.open_stream(random.below(2) == 0 ? Direction::inbound : Direction::outbound);
          if (!made) break;
          if (random.below(4) > 0) std::ignore = made->set_protocol(random.below(2) == 0 ? "/a" : "/b");
          std::ignore = made->reserve(random.below(1000));
          streams.push_back(*std::move(made));
          break;
        }
        case 4: drop(connections); break;
        default: drop(streams); break;
      }
      std::uint64_t memory = 0;
      for (const auto& connection : connections) memory += connection.used().memory_bytes;
      for (const auto& stream : streams) memory += stream.used().memory_bytes;
      ASSERT_EQ(manager.system().memory_bytes, memory);
      ASSERT_EQ(manager.system().streams(), streams.size());
      ASSERT_EQ(manager.system().connections(), connections.size());
    }
    connections.clear();
    streams.clear();
    const auto left = manager.snapshot();
    EXPECT_EQ(left.system.usage, Usage());
    EXPECT_EQ(left.transient.usage, Usage());
    EXPECT_TRUE(left.peers.empty() && left.protocols.empty());
  }
}

// --- which connections give way

struct Pool {
  std::vector<TrimCandidate> all;
  void add(std::uint32_t address, Duration idle, bool in_use = false, bool is_kept = false) {
    all.push_back({block_of(v4(address)), kStart - idle, in_use, is_kept});
  }
};

TEST(Trimmer, ClosesTheLongestIdleDownToLow) {
  Pool pool;
  for (std::uint32_t i = 0; i < 10; ++i) pool.add(kHost + i, seconds(100 + i));
  EXPECT_TRUE(choose_idle(pool.all, {.low = 5, .high = 10, .grace = seconds(20)}, kStart).empty());
  EXPECT_THAT(choose_idle(pool.all, {.low = 6, .high = 9, .grace = seconds(20)}, kStart),
              testing::ElementsAre(9, 8, 7, 6));
}

TEST(Trimmer, KeepsWhatIsInUseKeptOrYoung) {
  Pool pool;
  pool.add(kHost, seconds(100), /*in_use=*/true);
  pool.add(kHost + 1, seconds(100), /*in_use=*/false, /*is_kept=*/true);
  pool.add(kHost + 2, seconds(19));
  pool.add(kHost + 3, seconds(20));
  EXPECT_THAT(choose_idle(pool.all, {.low = 0, .high = 0, .grace = seconds(20)}, kStart), testing::ElementsAre(3));
}

TEST(Trimmer, TheCrowdGivesWayBeforeTheOne) {
  Pool pool;
  pool.add(kHost, seconds(1000));
  for (int i = 0; i < 6; ++i) pool.add(kHost + 7, seconds(30));
  pool.add(kHost + 1, seconds(900));
  const auto chosen = choose_idle(pool.all, {.low = 3, .high = 4, .grace = seconds(20)}, kStart);
  ASSERT_EQ(chosen.size(), 5U);
  for (auto at : chosen) EXPECT_EQ(pool.all[at].block, block_of(v4(kHost + 7)));
}

}  // namespace
}  // namespace nmp::libp2p::resources
