#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/codec.hpp"
#include "base/encoding.hpp"
#include "libp2p/identify/message.hpp"
#include "libp2p/identify/observed_addresses.hpp"
#include "libp2p/identify/profile.hpp"
#include "libp2p/peer/envelope.hpp"

namespace nmp::libp2p::identify {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

Bytes hex(std::string_view text) { return hex_decode(text).value(); }
Multiaddr address(std::string_view text) { return Multiaddr::parse(text).value(); }
KeyPair key(std::uint64_t seed) {
  SeededRandom random(seed);
  return KeyPair::generate(random);
}
Result<Message> read(ByteView bytes) {
  Decoder decoder;
  NMP_CHECK(decoder.feed(bytes));
  return decoder.finish();
}
Bytes framed(ByteView body) {
  Writer out;
  return out.length_prefixed(body).take();
}

// libp2p.md B.4: produced by go-libp2p v0.48.0.
const auto kGo =
    hex("0a24080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e120b047f00000191020fa1cd031a0e2f69"
        "706673"
        "2f69642f312e302e301a102f697066732f70696e672f312e302e30220b040102030491020fa1cd032a096e6d702f312e302e3032067465"
        "73742f"
        "30");
const auto kGoRecord =
    hex("42a7010a24080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e120203011a390a26002408011220"
        "1ed1e8"
        "fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e10011a0d0a0b047f00000191020fa1cd032a4098756d9f10ba45"
        "0639948b"
        "0448b7c2d330346b516f54e7449747f4c9ec6982958b937ef9dd5ba686e4a8b2b65921444a40cb4d34258faa377cf0369490512a07");
const auto kGoPeer = PeerId::parse("12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq").value();
const auto kLoopback = address("/ip4/127.0.0.1/udp/4001/quic-v1");

TEST(Identify, GoVectorBothWays) {
  auto message = read(framed(kGo)).value();
  EXPECT_THAT(message.listen_addresses, ElementsAre(kLoopback));
  EXPECT_THAT(message.protocols, ElementsAre("/ipfs/id/1.0.0", "/ipfs/ping/1.0.0"));
  EXPECT_EQ(message.observed_address, address("/ip4/1.2.3.4/udp/4001/quic-v1"));
  EXPECT_EQ(message.protocol_version, "nmp/1.0.0");
  EXPECT_EQ(message.agent_version, "test/0");
  EXPECT_EQ(encode(message).value(), framed(kGo));
}

TEST(Identify, GoRecordInASecondMessageIsBelieved) {
  auto both = concat({framed(kGo), framed(kGoRecord)});
  for (std::size_t piece = 1; piece < both.size(); piece += 13) {
    Decoder decoder;
    for (std::size_t at = 0; at < both.size(); at += piece)
      ASSERT_TRUE(decoder.feed(ByteView(both).subspan(at, std::min(piece, both.size() - at))));
    auto message = decoder.finish().value();
    Profile profile;
    ASSERT_TRUE(apply(message, kGoPeer, kLoopback, profile));
    EXPECT_EQ(profile.record_sequence, 1);
    EXPECT_THAT(profile.addresses, ElementsAre(kLoopback));
    EXPECT_TRUE(profile.speaks("/ipfs/ping/1.0.0"));
    EXPECT_FALSE(profile.speaks("/ipfs/ping/2.0.0"));
  }
}

TEST(Identify, LargeMessagesFitRustAndKeepTheirRecordApart) {
  Message message;
  message.public_key = key(1).public_key().bytes();
  for (int i = 1; i <= 300; ++i) message.listen_addresses.push_back(address("/ip4/10.0.0.1/udp/" + std::to_string(i)));
  for (int i = 1; i <= 60; ++i) message.protocols.push_back("/some/protocol/" + std::to_string(i));
  message.signed_peer_record = Bytes(700, std::byte{1});
  auto bytes = encode(message).value();
  Reader reader(bytes);
  auto first = reader.length_prefixed(kMessageBytesMaxSent).value();
  auto second = reader.length_prefixed(kMessageBytesMaxSent).value();
  EXPECT_TRUE(reader.empty());
  EXPECT_LE(first.size(), kMessageBytesMaxSent);
  EXPECT_LT(second.size(), 720);
  auto alone = read(framed(first)).value();
  EXPECT_EQ(alone.public_key, message.public_key);
  EXPECT_EQ(alone.protocols, message.protocols);
  EXPECT_GT(alone.listen_addresses.size(), 200);
  EXPECT_EQ(read(bytes).value().signed_peer_record, message.signed_peer_record);

  message.signed_peer_record.resize(5000);
  EXPECT_EQ(encode(message).error().code, nmp::Errc::too_large);
}

TEST(Identify, HostileStreams) {
  Bytes eleven;
  for (int i = 0; i < 11; ++i) append(eleven, framed(kGo));
  EXPECT_EQ(read(eleven).error().code, nmp::Errc::too_large);
  EXPECT_EQ(read(hex("814000")).error().code, nmp::Errc::too_large);  // 8193 announced
  EXPECT_EQ(read({}).error().code, nmp::Errc::malformed);
  EXPECT_EQ(read(ByteView(framed(kGo)).first(40)).error().code, nmp::Errc::truncated);
  EXPECT_FALSE(read(Bytes(9, std::byte{0xff})));
  EXPECT_FALSE(read(framed(hex("0801"))));  // public key as a varint
  EXPECT_FALSE(read(framed(hex("1280"))));
  EXPECT_TRUE(read(framed(hex("380142001203ffffff"))));  // unknown field, empty record, an address that is none
}

TEST(Identify, ListsAndVersionsHaveCeilings) {
  Message message;
  ProtobufWriter many;
  for (int i = 0; i < 2700; ++i) many.text(3, "p");
  for (int round = 0; round < 2; ++round) ASSERT_TRUE(merge(many.view(), message));
  EXPECT_EQ(message.protocols.size(), kProtocolsMax);
  ProtobufWriter addresses;
  for (int i = 0; i < 700; ++i) addresses.bytes(2, kLoopback.bytes());
  ASSERT_TRUE(merge(addresses.view(), message));
  EXPECT_EQ(message.listen_addresses.size(), kAddressesMax);
  ProtobufWriter version;
  version.text(6, std::string(5000, 'a'));
  ASSERT_TRUE(merge(version.view(), message));
  EXPECT_EQ(message.agent_version.size(), kVersionBytesMax);
}

TEST(Identify, ForeignKeyIsRefused) {
  Message message;
  message.public_key = key(1).public_key().bytes();
  message.agent_version = "liar";
  Profile profile;
  EXPECT_EQ(apply(message, PeerId::of(key(2).public_key()), kLoopback, profile).error().code, Errc::peer_mismatch);
  EXPECT_EQ(profile.agent_version, "");
  message.public_key = hex("00");
  EXPECT_EQ(apply(message, PeerId::of(key(1).public_key()), kLoopback, profile).error().code, Errc::peer_mismatch);
}

TEST(Identify, PushLeavesTheAbsentUnchanged) {
  auto self = key(1);
  auto id = PeerId::of(self.public_key());
  Profile profile;
  Message first;
  first.protocols = {"/a", "/b"};
  first.agent_version = "one";
  first.listen_addresses = {kLoopback};
  ASSERT_TRUE(apply(first, id, kLoopback, profile));
  Message push;
  push.protocols = {"/c"};
  ASSERT_TRUE(apply(push, id, kLoopback, profile));
  EXPECT_THAT(profile.protocols, ElementsAre("/c"));
  EXPECT_EQ(profile.agent_version, "one");
  EXPECT_THAT(profile.addresses, ElementsAre(kLoopback));
}

TEST(Identify, RecordsOfOthersForgedOnesAndOldOnesAreIgnored) {
  auto self = key(1);
  auto other = key(2);
  auto id = PeerId::of(self.public_key());
  auto record = [](const KeyPair& signer, std::uint64_t seq, std::string_view where) {
    return seal_peer_record(signer, PeerRecord{PeerId::of(signer.public_key()), seq, {address(where)}});
  };
  Profile profile;
  Message message;
  message.listen_addresses = {address("/ip4/127.0.0.1/udp/1/quic-v1")};
  message.signed_peer_record = record(other, 9, "/ip4/127.0.0.1/udp/6/quic-v1");
  ASSERT_TRUE(apply(message, id, kLoopback, profile));
  EXPECT_THAT(profile.addresses, ElementsAre(address("/ip4/127.0.0.1/udp/1/quic-v1")));

  message.signed_peer_record = record(self, 5, "/ip4/127.0.0.1/udp/5/quic-v1");
  ASSERT_TRUE(apply(message, id, kLoopback, profile));
  EXPECT_THAT(profile.addresses, ElementsAre(address("/ip4/127.0.0.1/udp/5/quic-v1")));

  message.signed_peer_record = record(self, 4, "/ip4/127.0.0.1/udp/4/quic-v1");
  ASSERT_TRUE(apply(message, id, kLoopback, profile));
  EXPECT_THAT(profile.addresses, ElementsAre(address("/ip4/127.0.0.1/udp/5/quic-v1")));

  message.signed_peer_record = record(self, 6, "/ip4/127.0.0.1/udp/7/quic-v1");
  message.signed_peer_record.back() ^= std::byte{1};
  ASSERT_TRUE(apply(message, id, kLoopback, profile));
  EXPECT_EQ(profile.record_sequence, 5);
}

TEST(Identify, AddressesLessPublicThanTheConnectionAreDropped) {
  auto peer = PeerId::of(key(1).public_key());
  auto other = PeerId::of(key(2).public_key());
  auto loopback = address("/ip4/127.0.0.1/udp/1/quic-v1");
  auto lan = address("/ip4/192.168.1.5/udp/1/quic-v1");
  auto global = address("/ip6/2600::1/udp/1/quic-v1");
  auto name = address("/dns4/example.com/udp/1/quic-v1");
  std::vector<Multiaddr> all{loopback, lan, global, name};
  EXPECT_EQ(keep_reachable(all, loopback, peer), all);
  EXPECT_THAT(keep_reachable(all, lan, peer), ElementsAre(lan, global, name));
  EXPECT_THAT(keep_reachable(all, address("/ip4/8.8.8.8/udp/1/quic-v1"), peer), ElementsAre(global, name));
  EXPECT_THAT(keep_reachable({global.with_peer(peer), global, global.with_peer(other)}, loopback, peer),
              ElementsAre(global));
  EXPECT_THAT(keep_reachable({address("/ip4/0.0.0.0/udp/1/quic-v1"), address("/ip6/::/udp/1/quic-v1"),
                              address("/ip4/224.0.0.1/udp/1/quic-v1"), address("/ip6/ff02::1/udp/1/quic-v1"),
                              address("/ip4/8.8.8.8/udp/0/quic-v1")},
                             loopback, peer),
              IsEmpty());
}

TEST(ObservedAddresses, FourNetworksMustAgree) {
  ObservedAddresses observed;
  auto local = address("/ip4/192.168.1.5/udp/4001/quic-v1");
  auto seen = address("/ip4/5.5.5.5/udp/4001/quic-v1");
  Instant now{1h};
  auto from = [](int i) { return address("/ip4/9.9.9." + std::to_string(i) + "/udp/1/quic-v1"); };
  for (int i = 0; i < 10; ++i) observed.observe(local, from(1), seen, now);
  observed.observe(local, from(2), seen.with_peer(kGoPeer), now);
  observed.observe(local, from(3), seen, now);
  observed.observe(local, address("/ip4/127.0.0.1/udp/1/quic-v1"), seen, now);
  observed.observe(local, from(9), address("/ip4/10.0.0.1/udp/4001/quic-v1"), now);  // less public than its observer
  observed.observe(local, from(9), address("/ip4/5.5.5.5/tcp/4001"), now);           // of another transport
  EXPECT_THAT(observed.candidates(now), IsEmpty());
  observed.observe(local, from(4), seen, now);
  EXPECT_THAT(observed.candidates(now), ElementsAre(seen));
  // An observer that changes its mind takes its vote along.
  observed.observe(local, from(4), address("/ip4/6.6.6.6/udp/4001/quic-v1"), now);
  EXPECT_THAT(observed.candidates(now), IsEmpty());
  observed.observe(local, from(4), seen, now);
  EXPECT_THAT(observed.candidates(now + kObservationTtl), IsEmpty());
  EXPECT_EQ(observed.size(), 0);
}

TEST(ObservedAddresses, OneIpv6NetworkIsOneObserverAndThereIsACeiling) {
  ObservedAddresses observed;
  auto local = address("/ip6/2600::5/udp/4001/quic-v1");
  Instant now{1h};
  for (int i = 1; i < 50; ++i)
    observed.observe(local, address("/ip6/2600:0:0:1::" + std::to_string(i) + "/udp/1/quic-v1"), local, now);
  EXPECT_EQ(observed.size(), 1);
  for (int i = 0; i < 2000; ++i)
    observed.observe(local,
                     address("/ip4/9." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ".1/udp/1/quic-v1"),
                     local, now);
  EXPECT_LE(observed.size(), kObservationsMax);
  // Symmetric NAT: many ports, of which few are given out.
  ObservedAddresses ports;
  auto home = address("/ip4/192.168.1.5/udp/4001/quic-v1");
  for (int i = 0; i < 100; ++i)
    ports.observe(home, address("/ip4/9.9." + std::to_string(i) + ".1/udp/1/quic-v1"),
                  address("/ip4/5.5.5.5/udp/" + std::to_string(1 + i / 5) + "/quic-v1"), now);
  EXPECT_EQ(ports.candidates(now).size(), kExternalAddressesMax);
}

TEST(PushLimit, BurstThenOnePerInterval) {
  PushLimit limit;
  Instant now{1h};
  std::size_t taken = 0;
  for (int i = 0; i < 50; ++i) taken += limit.take(now) ? 1 : 0;
  EXPECT_EQ(taken, kPushBurst);
  EXPECT_TRUE(limit.take(now += kPushInterval));
  EXPECT_FALSE(limit.take(now));
  taken = 0;
  now += 1h;
  for (int i = 0; i < 50; ++i) taken += limit.take(now) ? 1 : 0;
  EXPECT_EQ(taken, kPushBurst);
}

}  // namespace
}  // namespace nmp::libp2p::identify
