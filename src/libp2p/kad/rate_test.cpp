#include "libp2p/kad/rate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libp2p/kad/testing.hpp"

namespace nmp::libp2p::kad {
namespace {

using namespace std::chrono_literals;

TEST(KadRates, EachPeerHasItsBurstAndThenItsRate) {
  PeerRates rates({.per_second = 2, .burst = 5});
  Instant now{1h};
  std::size_t taken = 0;
  for (int i = 0; i < 20; ++i) taken += rates.take(peer(1), now) ? 1 : 0;
  EXPECT_EQ(taken, 5);
  EXPECT_TRUE(rates.take(peer(2), now));
  for (int i = 0; i < 10; ++i) taken += rates.take(peer(1), now += 1s) ? 1 : 0;
  EXPECT_EQ(taken, 15);
  EXPECT_TRUE(rates.take(peer(1), now));
  rates.expire(now + 1h);
  EXPECT_EQ(rates.size(), 0);
}

TEST(KadRates, ManyPeersDoNotGrowIt) {
  PeerRates rates({.per_second = 1, .burst = 2});
  Instant now{1h};
  std::size_t taken = 0;
  for (std::uint64_t i = 0; i < kRatePeersMax + 100; ++i) taken += rates.take(peer(i), now) ? 1 : 0;
  EXPECT_EQ(taken, kRatePeersMax);
  EXPECT_EQ(rates.size(), kRatePeersMax);
  EXPECT_TRUE(rates.take(peer(99'999'999), now + 2s));  // the quiet ones are forgotten
}

}  // namespace
}  // namespace nmp::libp2p::kad
