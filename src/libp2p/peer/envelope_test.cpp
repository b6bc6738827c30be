#include "libp2p/peer/envelope.hpp"

#include <gtest/gtest.h>

#include "base/codec.hpp"
#include "libp2p/peer/errors.hpp"
#include "libp2p/peer/test_vectors.hpp"

namespace nmp::libp2p {
namespace {

KeyPair spec_key() { return KeyPair::decode(hex(load_vectors("keys.txt").at("ed25519.private"))).value(); }

TEST(Envelope, SameBytesAsGo) {
  auto v = load_vectors("envelopes.txt");
  auto key = spec_key();
  for (std::string name : {"record", "voucher"}) {
    auto domain = string_of(hex(v.at(name + ".domain")));
    auto type = hex(v.at(name + ".payload_type"));
    auto payload = hex(v.at(name + ".payload"));
    EXPECT_EQ(hex_encode(envelope_signing_buffer(domain, type, payload)), v.at(name + ".signing_buffer"));
    EXPECT_EQ(hex_encode(seal_envelope(key, domain, type, payload).encode()), v.at(name + ".envelope"));
    auto envelope = SignedEnvelope::decode(hex(v.at(name + ".envelope"))).value();
    EXPECT_TRUE(envelope.verify(domain));
    EXPECT_FALSE(envelope.verify("libp2p-testing"));
  }
}

TEST(PeerRecord, DeployedAndLegacyFormsAreRead) {
  auto v = load_vectors("envelopes.txt");
  auto key = spec_key();
  PeerRecord record{.id = PeerId::of(key.public_key()),
                    .seq = 1,
                    .addresses = {Multiaddr::parse("/ip4/127.0.0.1/udp/4001/quic-v1").value(),
                                  Multiaddr::parse("/ip4/127.0.0.1/tcp/4001").value()}};
  EXPECT_EQ(hex_encode(record.encode()), v.at("record.payload"));
  EXPECT_EQ(hex_encode(seal_peer_record(key, record)), v.at("record.envelope"));
  EXPECT_EQ(open_peer_record(hex(v.at("record.envelope"))).value(), record);
  EXPECT_EQ(open_peer_record(hex(v.at("legacy.envelope"))).value(), record);
  EXPECT_EQ(open_peer_record(hex(v.at("voucher.envelope"))).error().code, PeerErrc::wrong_signer);
  auto good = hex(v.at("record.envelope"));
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto changed = good;
    changed[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    EXPECT_FALSE(open_peer_record(changed)) << bit;
  }
  // Signed by another peer than it speaks of.
  auto other = KeyPair::from_seed(repeated(1));
  auto forged = seal_envelope(other, "libp2p-peer-record", hex("0301"), record.encode()).encode();
  EXPECT_EQ(open_peer_record(forged).error().code, PeerErrc::wrong_signer);
}

TEST(PeerRecord, UnreadableAddressesAreLeftOut) {
  auto key = spec_key();
  auto id = PeerId::of(key.public_key());
  auto payload = ProtobufWriter()
                     .bytes(1, id.bytes())
                     .varint(2, 7)
                     .bytes(3, ProtobufWriter().bytes(1, hex("ff01")).view())
                     .bytes(3, ProtobufWriter().bytes(1, hex("0401020304")).view())
                     .take();
  auto record = PeerRecord::decode(payload).value();
  ASSERT_EQ(record.addresses.size(), 1U);
  EXPECT_EQ(record.addresses[0].to_text(), "/ip4/1.2.3.4");
  EXPECT_FALSE(PeerRecord::decode({}));
}

}  // namespace
}  // namespace nmp::libp2p
