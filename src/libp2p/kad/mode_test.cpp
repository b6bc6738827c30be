#include "libp2p/kad/mode.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libp2p/kad/testing.hpp"

namespace nmp::libp2p::kad {
namespace {

using namespace std::chrono_literals;

TEST(KadMode, FixedModesStay) {
  ModeSwitch client(Mode::client), server(Mode::server);
  client.on_reachability(Reachability::reachable);
  server.on_reachability(Reachability::unreachable);
  EXPECT_FALSE(client.serves({}));
  EXPECT_TRUE(server.serves({}));
}

TEST(KadMode, AutomaticFollowsTheVerdictAndElseTheEvidence) {
  ModeSwitch mode(Mode::automatic);
  Instant now{1h};
  auto from = address("/ip4/8.8.8.8/udp/1/quic-v1");
  EXPECT_FALSE(mode.serves(now));
  for (int i = 0; i < 9; ++i) mode.on_inbound(peer(1), from, now);  // one peer, however often
  EXPECT_FALSE(mode.serves(now));
  auto relayed = address("/ip4/8.8.8.8/udp/1/quic-v1/p2p/" + peer(9).to_text() + "/p2p-circuit");
  for (std::uint64_t i = 20; i < 30; ++i) mode.on_inbound(peer(i), relayed, now);
  EXPECT_FALSE(mode.serves(now));
  mode.on_inbound(peer(2), from, now);
  mode.on_inbound(peer(3), from, now);
  EXPECT_TRUE(mode.serves(now));
  EXPECT_FALSE(mode.serves(now + kInboundEvidenceTtl));
  mode.on_reachability(Reachability::unreachable);
  EXPECT_FALSE(mode.serves(now));
  mode.on_reachability(Reachability::reachable);
  EXPECT_TRUE(mode.serves(now + 100h));
  mode.on_reachability(Reachability::unknown);
  EXPECT_TRUE(mode.serves(now));
}

}  // namespace
}  // namespace nmp::libp2p::kad
