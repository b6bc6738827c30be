#include "server/network_limits.hpp"

#include <gtest/gtest.h>

namespace nmp::server {
namespace {

using libp2p::resources::Limits;

constexpr libp2p::resources::Machine kMachine{.memory_bytes = 8ULL << 30, .descriptors = 1024};

TEST(NetworkLimits, WithoutAWordFollowTheMachine) {
  const auto limits = network_limits(LimitsConfig(), kMachine);
  const auto scaled = Limits::scaled(kMachine);
  EXPECT_EQ(limits.system, scaled.system);
  EXPECT_EQ(limits.peer, scaled.peer);
  EXPECT_EQ(limits.subnets.per_address_max, scaled.subnets.per_address_max);
  const auto& grpc = limits.named.at(std::string(kGrpcProtocol));
  EXPECT_EQ(grpc.peer.streams_in, kGrpcStreamsPerPeerMax);
  EXPECT_GT(grpc.all.streams_in, kGrpcStreamsMax);
}

TEST(NetworkLimits, EachKeyHasItsEffect) {
  LimitsConfig wanted;
  wanted.connections = 10'000;
  wanted.connections_per_address = 300;
  wanted.streams_per_peer = 20;
  const auto limits = network_limits(wanted, kMachine);
  EXPECT_EQ(limits.system.connections, 10'000U);
  EXPECT_EQ(limits.system.connections_in, 10'000U);
  EXPECT_GE(limits.trim.high, 8'000U);
  EXPECT_EQ(limits.subnets.per_address_max, 300U);
  EXPECT_GE(limits.subnets.per_site_max, 300U);
  EXPECT_GE(limits.subnets.burst_per_address, 300U);
  EXPECT_EQ(limits.peer.streams_in, 20U);
  EXPECT_EQ(limits.peer.streams_out, 20U);
  wanted.network_memory_bytes = 64ULL << 20;
  EXPECT_EQ(network_limits(wanted, kMachine).system.memory_bytes, 64ULL << 20);
}

}  // namespace
}  // namespace nmp::server
