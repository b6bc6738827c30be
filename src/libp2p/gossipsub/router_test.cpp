#include "libp2p/gossipsub/router.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libp2p/gossipsub/testing.hpp"

namespace nmp::libp2p::gossipsub {
namespace {

using testing::milliseconds;
using testing::Network;
using testing::Node;
using testing::seconds;

const std::string kTopic = "topic";

/// Nodes that got `data` once; more often is a failure.
std::size_t got(Network& net, const std::string& data) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < net.size(); ++i) {
    const auto times = net[i].got[data];
    EXPECT_LE(times, 1U) << "node " << i << " got " << data << " again";
    count += times;
  }
  return count;
}

void publish(Network& net, std::size_t at, const std::string& data) {
  EXPECT_TRUE(net[at].router.publish(kTopic, to_bytes(data), net.now));
}

Router::Options mesh_only() {
  Router::Options options;
  options.parameters.flood_publish = false;
  return options;
}

TEST(Router, MeshesHaveTheirDegreeAndAreMutual) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    Network net(seed);
    net.add_many(40);
    net.connect_randomly(10);
    net.subscribe_all(kTopic);
    net.run_for(seconds(30));
    const Parameters parameters;
    for (std::size_t i = 0; i < net.size(); ++i) {
      const auto mesh = net[i].router.mesh(kTopic);
      EXPECT_GE(mesh.size(), parameters.d_low) << i;
      EXPECT_LE(mesh.size(), parameters.d_high + parameters.d_out) << i;
      for (const auto& peer : mesh) EXPECT_TRUE(net.find(peer).router.mesh(kTopic).contains(net[i].id)) << i;
    }
  }
}

TEST(Router, EveryMessageReachesEverybodyOnce) {
  for (bool flood : {true, false}) {
    SCOPED_TRACE(flood);
    Network net(7);
    Router::Options options;
    options.parameters.flood_publish = flood;
    net.add_many(50, options);
    net.connect_randomly(8);
    net.subscribe_all(kTopic);
    net.run_for(seconds(5));
    for (std::size_t i = 0; i < 20; ++i) {
      publish(net, i, "message " + std::to_string(i));
      net.run_for(milliseconds(100));
    }
    net.run_for(seconds(3));
    for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(got(net, "message " + std::to_string(i)), net.size() - 1);
  }
}

TEST(Router, TheSameSeedIsTheSameRun) {
  const auto run = [](std::uint64_t seed) {
    Network net(seed);
    net.add_many(20);
    net.connect_randomly(6);
    net.subscribe_all(kTopic);
    net.run_for(seconds(3));
    publish(net, 3, "x");
    net.run_for(seconds(3));
    std::vector<std::size_t> copies;
    copies.reserve(net.size());
    for (std::size_t i = 0; i < net.size(); ++i) copies.push_back(net[i].copies);
    return copies;
  };
  EXPECT_EQ(run(5), run(5));
  EXPECT_NE(run(5), run(6));
}

TEST(Router, GossipRepairsWhatIsLost) {
  Network net(11);
  net.add_many(30, mesh_only());
  net.connect_randomly(10);
  net.subscribe_all(kTopic);
  net.run_for(seconds(5));
  net.publish_loss = 0.4;
  for (int i = 0; i < 10; ++i) publish(net, 0, std::to_string(i));
  net.run_for(seconds(10));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(got(net, std::to_string(i)), net.size() - 1) << i;
}

TEST(Router, WhoIsNotSubscribedPublishesThroughAFanout) {
  Network net(13);
  net.add_many(20, mesh_only());
  net.connect_all();
  for (std::size_t i = 1; i < net.size(); ++i) EXPECT_TRUE(net[i].router.subscribe(kTopic, net.now));
  net.run_for(seconds(5));
  publish(net, 0, "from outside");
  net.run_for(seconds(5));
  EXPECT_EQ(got(net, "from outside"), net.size() - 1);
  EXPECT_EQ(net[0].got.size(), 1U) << "its own is not for it";
}

TEST(Router, FloodsubPeersAreServedAndServe) {
  Network net(17);
  net.add_many(10);
  net.add();
  for (std::size_t i = 0; i < 10; ++i)
    for (std::size_t k = i + 1; k < 10; ++k) net.connect(i, k);
  net.connect(10, 0, Version::floodsub);
  net.connect(10, 1, Version::floodsub);
  net.subscribe_all(kTopic);
  net.run_for(seconds(5));
  publish(net, 5, "to it");
  publish(net, 10, "from it");
  net.run_for(seconds(3));
  EXPECT_EQ(got(net, "to it"), 10U);
  EXPECT_EQ(got(net, "from it"), 10U);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_FALSE(net[i].router.mesh(kTopic).contains(net[10].id));
}

TEST(Router, WhoLeavesIsLetBackAfterTheBackoff) {
  Network net(19);
  net.add_many(8);
  net.connect_all();
  net.subscribe_all(kTopic);
  net.run_for(seconds(5));
  EXPECT_FALSE(net[0].router.mesh(kTopic).empty());
  net[0].router.unsubscribe(kTopic, net.now);
  net.run_for(seconds(1));
  for (std::size_t i = 1; i < net.size(); ++i) EXPECT_FALSE(net[i].router.mesh(kTopic).contains(net[0].id));
  EXPECT_TRUE(net[0].router.subscribe(kTopic, net.now));
  net.run_for(seconds(30));
  EXPECT_GE(net[0].router.mesh(kTopic).size(), Parameters().d_low);
  for (std::size_t i = 0; i < net.size(); ++i)
    for (std::size_t k = 0; k < net.size(); ++k) EXPECT_GE(net[i].router.score(net[k].id), 0) << i << " of " << k;
}

TEST(Router, LargeMessagesAreNotSentToWhoHasThem) {
  const auto copies = [](Version version) {
    Network net(23);
    net.add_many(20, mesh_only());
    for (std::size_t a = 0; a < net.size(); ++a)
      for (std::size_t b = a + 1; b < net.size(); ++b) net.connect(a, b, version);
    net.delay_min = net.delay_max = milliseconds(20);
    net.subscribe_all(kTopic);
    net.run_for(seconds(5));
    // Links that differ much: a word overtakes many copies.
    net.delay_max = milliseconds(200);
    publish(net, 0, std::string(4096, 'x'));
    net.run_for(seconds(5));
    EXPECT_EQ(got(net, std::string(4096, 'x')), net.size() - 1);
    std::size_t all = 0;
    for (std::size_t i = 0; i < net.size(); ++i) all += net[i].copies;
    return all;
  };
  EXPECT_LT(copies(Version::v1_2), copies(Version::v1_1));
}

TEST(Router, PeersAndTopicsAreBounded) {
  Network net(29);
  auto& node = net.add();
  for (std::size_t i = 0; i < kOwnTopicsMax; ++i) EXPECT_TRUE(node.router.subscribe(std::to_string(i), net.now));
  EXPECT_EQ(node.router.subscribe("one more", net.now).error().code, Errc::exhausted);
  EXPECT_EQ(node.router.subscribe(std::string(kTopicBytesMax + 1, 'a'), net.now).error().code, Errc::too_large);
  EXPECT_EQ(node.router.publish("a", Bytes(kDataBytesMax + 1), net.now).error().code, Errc::too_large);
  const auto peer = [](std::uint64_t i) { return PeerId::of(testing::key_of(i + 5000).public_key()); };
  for (std::size_t i = 0; i < kPeersMax; ++i) EXPECT_TRUE(node.router.add_peer(peer(i), {}, net.now));
  EXPECT_EQ(node.router.add_peer(peer(0), {}, net.now).error().code, Errc::exhausted);
  node.router.remove_peer(peer(0), net.now);
  EXPECT_TRUE(node.router.add_peer(peer(0), {}, net.now));
  EXPECT_EQ(node.router.add_peer(peer(0), {}, net.now).error().code, Errc::exhausted);
}

}  // namespace
}  // namespace nmp::libp2p::gossipsub
