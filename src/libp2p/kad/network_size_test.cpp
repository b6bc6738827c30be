#include "libp2p/kad/network_size.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libp2p/kad/testing.hpp"

namespace nmp::libp2p::kad {
namespace {

/// Distances of the `count` closest of `size` peers to a random place.
std::vector<Distance> neighbours(std::size_t size, std::size_t count, SeededRandom& random) {
  std::vector<Distance> all(size);
  for (auto& one : all) one.bytes = random.bytes<32>();
  std::ranges::sort(all);
  all.resize(count);
  return all;
}

TEST(KadNetworkSize, IsRightWithinATenthAfterFiftyLookups) {
  SeededRandom random(11);
  for (std::size_t size : {100UZ, 1000UZ, 20000UZ}) {
    NetworkSize estimator;
    for (int i = 0; i < 50; ++i) estimator.add(neighbours(size, 20, random));
    ASSERT_TRUE(estimator.estimate());
    EXPECT_NEAR(*estimator.estimate(), static_cast<double>(size), 0.1 * static_cast<double>(size));
  }
}

TEST(KadNetworkSize, SaysNothingBeforeItKnows) {
  SeededRandom random(12);
  NetworkSize estimator;
  for (int i = 0; i < 100; ++i) estimator.add(neighbours(50, 7, random));
  EXPECT_FALSE(estimator.estimate());
  for (std::size_t i = 1; i < kSizeSamplesMin; ++i) estimator.add(neighbours(50, 20, random));
  EXPECT_FALSE(estimator.estimate());
  EXPECT_FALSE(estimator.crowding(neighbours(50, 20, random)));
  estimator.add(neighbours(50, 20, random));
  EXPECT_TRUE(estimator.estimate());
}

TEST(KadNetworkSize, SybilsAroundAKeyStandOut) {
  SeededRandom random(13);
  NetworkSize estimator;
  for (int i = 0; i < 50; ++i) estimator.add(neighbours(1000, 20, random));
  std::size_t false_alarms = 0, noticed = 0;
  for (int i = 0; i < 300; ++i) {
    auto place = neighbours(1000, 20, random);
    false_alarms += *estimator.crowding(place) >= kCrowdedFactor ? 1 : 0;
    // Twenty identities, each closer than the closest honest peer.
    for (auto& one : place) {
      one = place[0];
      one.bytes[30] = random.bytes<1>()[0];
    }
    std::ranges::sort(place);
    noticed += *estimator.crowding(place) >= kCrowdedFactor ? 1 : 0;
  }
  EXPECT_LE(false_alarms, 2);
  EXPECT_GE(noticed, 290);  // but where even the closest honest peer is far
}

}  // namespace
}  // namespace nmp::libp2p::kad
