#include "libp2p/peer/multiaddr.hpp"

#include <gtest/gtest.h>

#include "libp2p/peer/errors.hpp"
#include "libp2p/peer/test_vectors.hpp"

namespace nmp::libp2p {
namespace {

constexpr const char* kId = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq";

TEST(Multiaddr, VectorsBothWays) {
  auto rows = load_lines("multiaddr.txt");
  std::size_t checked = 0;
  for (const auto& [text, bytes] : rows) {
    if (!text.starts_with('/')) continue;
    auto parsed = Multiaddr::parse(text);
    ASSERT_TRUE(parsed) << text << " " << parsed.error().message();
    EXPECT_EQ(hex_encode(parsed->bytes()), bytes) << text;
    auto decoded = Multiaddr::decode(hex(bytes));
    ASSERT_TRUE(decoded) << text;
    EXPECT_EQ(decoded->to_text(), text);
    for (std::size_t size = 0; size < decoded->bytes().size(); ++size) {
      auto cut = Multiaddr::decode(ByteView(decoded->bytes()).first(size));
      EXPECT_TRUE(!cut || text.starts_with(cut->to_text())) << text;
    }
    ++checked;
  }
  EXPECT_GE(checked, 32U);
}

TEST(Multiaddr, MustBeRefused) {
  for (auto text : {"",
                    "/",
                    "//",
                    "ip4/1.2.3.4",
                    "/ip4",
                    "/ip4/::1",
                    "/ip4/fdpsofodsajfdoisa",
                    "/ip6",
                    "/ip6zone",
                    "/ip6zone/",
                    "/ip6zone//ip6/fe80::1",
                    "/ip4/::/ipcidr/256",
                    "/ip6/::/ipcidr/1026",
                    "/udp",
                    "/tcp",
                    "/udp/65536",
                    "/tcp/65536",
                    "/ip4/1.2.3.4/tcp/-1",
                    "/quic/65536",
                    "/quic-v1/65536",
                    "/ip4/127.0.0.1/quic-v1/1234",
                    "/ip4/127.0.0.1/udp",
                    "/ip4/127.0.0.1/tcp/jfodsajfidosajfoidsa",
                    "/ip4/127.0.0.1/p2p",
                    "/ip4/127.0.0.1/p2p/tcp",
                    "/p2p/QmxoHT6iViN5xAjoz1VZ553cL31U9F94ht3QvWR1FrEbZY",
                    "/ip4/127.0.0.1/udp/1234/quic-v1/webtransport/certhash",
                    "/unix",
                    "/unix/",
                    "/ip4/1.2.3.4/tcp/+1",
                    "/ip4/1.2.3.4/tcp/1 ",
                    "/ip4/01.2.3.4",
                    "/http-path/a%2",
                    "/dns/a b"}) {
    EXPECT_FALSE(Multiaddr::parse(text)) << text;
  }
  // Empty, truncated, a length past the end, unknown codes, varints that are not minimal, components after a path.
  for (auto text : {"",
                    "04",
                    "047f0000",
                    "060f",
                    "91",
                    "9102",
                    "3605",
                    "36056162",
                    "350161ff",
                    "ff01",
                    "8400",
                    "84007f000001",
                    "3500",
                    "35012f",
                    "2a00",
                    "350100",
                    "90030100",
                    "9003032f612f",
                    "9003022f61060fa1",
                    "a50300",
                    "a503021220"}) {
    EXPECT_FALSE(Multiaddr::decode(hex(text))) << text;
  }
  EXPECT_EQ(Multiaddr::decode(hex("ff01")).error().code, PeerErrc::unsupported);
  std::string long_text;
  for (int i = 0; i < 33; ++i) long_text += "/tls";
  EXPECT_EQ(Multiaddr::parse(long_text).error().code, PeerErrc::too_large);
}

TEST(Multiaddr, MustBeAccepted) {
  auto printed = [](const std::string& text) { return Multiaddr::parse(text).value().to_text(); };
  std::string id = kId;
  auto peer = PeerId::parse(id).value();
  EXPECT_EQ(printed("/ip4/127.0.0.1/tcp/1234/"), "/ip4/127.0.0.1/tcp/1234");
  EXPECT_EQ(printed("/ipfs/" + id), "/p2p/" + id);
  EXPECT_EQ(printed("/p2p/" + peer.to_cid_text()), "/p2p/" + id);
  EXPECT_EQ(printed("/p2p/k" + base36_encode(concat({hex("0172"), peer.bytes()}))), "/p2p/" + id);
  EXPECT_EQ(printed("/ip6zone/x/ip6/fe80::1/udp/1234/quic-v1"), "/ip6zone/x/ip6/fe80::1/udp/1234/quic-v1");
  EXPECT_EQ(printed("/memory/4"), "/memory/4");
  EXPECT_EQ(printed("/unix/tmp/a.sock"), "/unix/tmp/a.sock");
  EXPECT_EQ(printed("/ip6/2001:DB8:0:0:0:0:0:1"), "/ip6/2001:db8::1");
  EXPECT_EQ(printed("/ip4/1.2.3.4/udp/1/quic-v1/webtransport/certhash/f1220" + std::string(64, '0')),
            "/ip4/1.2.3.4/udp/1/quic-v1/webtransport/certhash/uEiAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
}

TEST(Multiaddr, PartsAndPeers) {
  auto id = PeerId::parse(kId).value();
  auto address = Multiaddr::parse("/ip4/1.2.3.4/udp/4001/quic-v1").value();
  EXPECT_TRUE(address.is_quic_v1());
  EXPECT_EQ(address.udp_endpoint()->port, 4001);
  EXPECT_EQ(Multiaddr::quic_v1(*address.udp_endpoint()), address);
  EXPECT_FALSE(address.peer_id());
  EXPECT_FALSE(address.is_tcp());
  EXPECT_FALSE(address.tcp_endpoint());
  auto tcp = Multiaddr::parse("/ip4/1.2.3.4/tcp/4001").value();
  EXPECT_TRUE(tcp.is_tcp());
  EXPECT_FALSE(tcp.is_quic_v1());
  EXPECT_TRUE(tcp.with_peer(id).is_tcp());
  EXPECT_EQ(Multiaddr::tcp(*tcp.tcp_endpoint()), tcp);
  EXPECT_FALSE(tcp.udp_endpoint());
  const auto inside = Multiaddr::parse("/ip4/1.2.3.4/tcp/4001/ws").value();
  EXPECT_FALSE(inside.is_tcp());
  EXPECT_TRUE(inside.is_websocket() && inside.with_peer(id).is_websocket());
  EXPECT_EQ(Multiaddr::websocket(*inside.tcp_endpoint()), inside);
  for (const auto* other : {"/ip4/1.2.3.4/tcp/4001", "/ip4/1.2.3.4/tcp/4001/tls/ws", "/ip4/1.2.3.4/tcp/4001/wss"})
    EXPECT_FALSE(Multiaddr::parse(other)->is_websocket()) << other;
  EXPECT_TRUE(Multiaddr::parse("/dnsaddr/example.com")->is_dnsaddr());
  EXPECT_FALSE(Multiaddr::parse("/dns4/example.com/tcp/1")->is_dnsaddr());
  auto full = address.with_peer(id);
  EXPECT_EQ(full.to_text(), "/ip4/1.2.3.4/udp/4001/quic-v1/p2p/" + std::string(kId));
  EXPECT_TRUE(full.is_quic_v1());
  EXPECT_EQ(full.peer_id().value(), id);
  EXPECT_EQ(full.with_peer(id), full);
  EXPECT_EQ(full.without_peer().value(), address);
  EXPECT_FALSE(Multiaddr::parse("/p2p/" + std::string(kId))->without_peer());
  auto relayed = Multiaddr::parse(full.to_text() + "/p2p-circuit").value();
  EXPECT_TRUE(relayed.is_circuit());
  EXPECT_FALSE(relayed.is_quic_v1());
  EXPECT_FALSE(relayed.peer_id());
  auto named = Multiaddr::parse("/dns4/example.com/udp/1/quic-v1").value();
  EXPECT_TRUE(named.is_quic_v1());
  EXPECT_FALSE(named.udp_endpoint());
  EXPECT_EQ(named.dns_name(), "example.com");
  EXPECT_EQ(named.with_ip(*address.ip()).to_text(), "/ip4/1.2.3.4/udp/1/quic-v1");
}

TEST(IpAddress, PublicAndPrivate) {
  for (auto text : {"10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.0.1",
                    "169.254.1.1", "127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "::1", "fc00::1",
                    "fdff::1", "fe80::1", "febf::1", "::ffff:8.8.8.8", "ff02::1"}) {
    EXPECT_TRUE(IpAddress::parse(text).value().is_private()) << text;
  }
  for (auto text : {"8.8.8.8", "172.32.0.1", "172.15.0.1", "100.128.0.1", "192.169.0.1", "2001:db8::1", "64:ff9b::1",
                    "64:ff9b:1::1", "fec0::1"}) {
    EXPECT_TRUE(IpAddress::parse(text).value().is_public()) << text;
  }
  EXPECT_TRUE(IpAddress::parse("::1").value().is_loopback());
  EXPECT_TRUE(IpAddress::parse("0.0.0.0").value().is_unspecified());
}

}  // namespace
}  // namespace nmp::libp2p
