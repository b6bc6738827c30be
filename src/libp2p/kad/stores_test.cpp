#include "libp2p/kad/stores.hpp"

#include <set>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libp2p/kad/testing.hpp"

namespace nmp::libp2p::kad {
namespace {

using namespace std::chrono_literals;

const Bytes kKey = to_bytes("capability");

PeerInfo at(std::uint64_t number, std::string_view ip) {
  return peer_at(number, "/ip4/" + std::string(ip) + "/udp/4001/quic-v1");
}

TEST(KadProviders, AFloodFromFewNetworksDisplacesOnlyItself) {
  ProviderStore store(peer(0));
  // The attacker comes first, with a thousand identities of four networks, and fills the key.
  std::uint64_t number = 1;
  auto flood = [&] {
    for (int i = 0; i < 1000; ++i, ++number)
      std::ignore = store.add(kKey, at(number, "150.0." + std::to_string(number % 4) + ".1"), {});
  };
  flood();
  EXPECT_EQ(store.size(), kProvidersPerKeyMax);
  // Ten honest providers, each of a network of its own; then the attacker again.
  std::set<PeerId> honest;
  for (std::uint64_t i = 0; i < 10; ++i) {
    auto info = at(100'000 + i, std::to_string(20 + i) + ".1.1.1");
    honest.insert(info.id);
    EXPECT_TRUE(store.add(kKey, info, {}));
  }
  flood();
  EXPECT_EQ(store.size(), kProvidersPerKeyMax);
  auto named = store.get(kKey, {});
  // They are kept, and stand before all but one of the attacker's.
  std::size_t seen = 0;
  for (std::size_t i = 0; i < 11; ++i) seen += honest.contains(named[i].id) ? 1 : 0;
  EXPECT_EQ(seen, 10);
}

TEST(KadProviders, AsManyNetworksAsPlacesAreFirstComeFirstServed) {
  ProviderStore store(peer(0));
  for (std::uint64_t i = 0; i < kProvidersPerKeyMax; ++i)
    ASSERT_TRUE(store.add(kKey, at(1 + i, std::to_string(11 + i) + ".1.1.1"), {}));
  EXPECT_EQ(store.add(kKey, at(900, "99.1.1.1"), {}).error().code, Errc::exhausted);
  EXPECT_EQ(store.add(kKey, at(901, "11.1.1.1"), {}).error().code, Errc::exhausted);
  EXPECT_TRUE(store.add(kKey, at(1, "11.1.1.1"), {}));  // its own again
}

TEST(KadProviders, PrivateNetworksAndOurselvesAreNotDisplaced) {
  ProviderStore store(peer(0));
  ASSERT_TRUE(store.add(kKey, at(0, "150.0.0.9"), {}));
  for (std::uint64_t i = 1; i < kProvidersPerKeyMax; ++i) ASSERT_TRUE(store.add(kKey, peer_info(i), {}));
  EXPECT_EQ(store.add(kKey, at(900, "99.1.1.1"), {}).error().code, Errc::exhausted);
  EXPECT_EQ(store.add(kKey, peer_info(901), {}).error().code, Errc::exhausted);
  EXPECT_EQ(store.get(kKey, {}).front().id, peer(0));
}

TEST(KadProviders, OthersRecordsAreKeptNoLongerThanTheyWere) {
  ProviderStore store(peer(0));
  Instant now{1h};
  ASSERT_TRUE(store.add(kKey, peer_info(1), now, now + 10min));
  ASSERT_TRUE(store.add(kKey, peer_info(2), now, now + 1000h));
  ASSERT_TRUE(store.add(kKey, peer_info(0), now));
  auto kept = store.others(now);
  ASSERT_EQ(kept.size(), 2);
  EXPECT_EQ(kept[0].expires, now + kProviderTtl);
  EXPECT_EQ(kept[1].expires, now + 10min);
  EXPECT_EQ(store.get(kKey, now + 11min).size(), 2);
}

}  // namespace
}  // namespace nmp::libp2p::kad
