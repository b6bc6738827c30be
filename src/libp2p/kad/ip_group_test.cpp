#include "libp2p/kad/ip_group.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libp2p/kad/testing.hpp"

namespace nmp::libp2p::kad {
namespace {

using Width = IpGroup::Width;

std::optional<IpGroup> group(std::string_view text, Width width = Width::narrow) {
  return IpGroup::of(IpAddress::parse(text).value(), width);
}

TEST(KadIpGroup, MasksTheHostBitsOfEachFamily) {
  EXPECT_EQ(group("8.8.8.1"), group("8.8.8.254"));
  EXPECT_NE(group("8.8.8.1"), group("8.8.9.1"));
  EXPECT_EQ(group("8.8.8.1", Width::wide), group("8.8.9.1", Width::wide));
  EXPECT_NE(group("8.8.8.1", Width::wide), group("8.9.8.1", Width::wide));
  EXPECT_EQ(group("2600:1:2:3::1"), group("2600:1:2:ffff::9"));
  EXPECT_NE(group("2600:1:2::1"), group("2600:1:3::1"));
  EXPECT_EQ(group("2600:1:2::1", Width::wide), group("2600:1:3::1", Width::wide));
  EXPECT_NE(group("2600:1::1", Width::wide), group("2600:2::1", Width::wide));
}

TEST(KadIpGroup, KindsNeverMeet) {
  // An IPv6 prefix with the bytes of an IPv4 one, and a wide group with those of a narrow one.
  std::vector groups{group("38.0.0.1"), group("38.0.0.1", Width::wide), group("2600::1"),
                     group("2600::1", Width::wide)};
  for (std::size_t i = 0; i < groups.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(groups[i], groups[j]);
  EXPECT_EQ(groups[1]->width(), Width::wide);
  EXPECT_EQ(groups[2]->width(), Width::narrow);
}

TEST(KadIpGroup, PrivateAndLoopbackHaveNone) {
  for (auto text :
       {"127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.1.1", "::1", "fc00::1", "fe80::1", "::ffff:8.8.8.8"})
    EXPECT_FALSE(group(text)) << text;
}

TEST(KadIpGroup, Ipv6ThatWrapsIpv4CountsAsIpv4) {
  // RFC 6052 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo: the client's address is stored inverted).
  EXPECT_EQ(group("64:ff9b::808:801"), group("8.8.8.1"));
  EXPECT_EQ(group("2002:808:801:1::1"), group("8.8.8.1"));
  EXPECT_EQ(group("2001:0:1:2:3:4:f7f7:f7fe"), group("8.8.8.1"));
  EXPECT_EQ(group("2002:808:801::1", Width::wide), group("8.8.0.1", Width::wide));
}

TEST(KadIpGroup, OfAPeerEachOnce) {
  std::vector addresses{address("/ip4/8.8.8.1/udp/1/quic-v1"), address("/ip4/8.8.8.2/tcp/1"),
                        address("/ip4/127.0.0.1/udp/1/quic-v1"), address("/dns4/example.com/tcp/1")};
  EXPECT_EQ(groups_of(addresses).size(), 2);
}

}  // namespace
}  // namespace nmp::libp2p::kad
