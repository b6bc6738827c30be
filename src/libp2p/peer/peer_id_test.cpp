#include "libp2p/peer/peer_id.hpp"

#include <gtest/gtest.h>

#include "libp2p/peer/cid.hpp"
#include "libp2p/peer/errors.hpp"
#include "libp2p/peer/test_vectors.hpp"

namespace nmp::libp2p {
namespace {

TEST(PeerId, SpecVectors) {
  auto v = load_vectors("keys.txt");
  for (std::string type : {"ed25519", "secp256k1", "ecdsa", "rsa"}) {
    auto key = PublicKey::decode(hex(v.at(type + ".public")));
    ASSERT_TRUE(key) << type << key.error().message();
    auto id = PeerId::of(*key);
    EXPECT_EQ(hex_encode(id.bytes()), v.at(type + ".multihash"));
    EXPECT_EQ(id.to_text(), v.at(type + ".peer_id"));
    EXPECT_EQ(id.to_cid_text(), v.at(type + ".cid"));
    EXPECT_EQ(PeerId::parse(v.at(type + ".peer_id")).value(), id);
    EXPECT_EQ(PeerId::parse(v.at(type + ".cid")).value(), id);
    EXPECT_EQ(PeerId::parse("f0172" + v.at(type + ".multihash")).value(), id);
    EXPECT_EQ(PeerId::parse("k" + base36_encode(hex("0172" + v.at(type + ".multihash")))).value(), id);
    EXPECT_EQ(id.public_key().has_value(), type == "ed25519" || type == "secp256k1");
    EXPECT_EQ(id.ed25519_key().has_value(), type == "ed25519");
  }
  EXPECT_EQ(PeerId::parse(v.at("text.cid")).value().to_text(), v.at("text.base58"));
  EXPECT_EQ(hex_encode(PeerId::parse(v.at("text.base58")).value().bytes()), v.at("text.multihash"));
  EXPECT_EQ(hex_encode(PeerId::parse(v.at("text.ed25519.base58")).value().bytes()), v.at("text.ed25519.multihash"));
  for (int seed : {0, 1, 2}) {
    auto name = "seed0" + std::to_string(seed);
    auto pair = KeyPair::from_seed(repeated(seed));
    EXPECT_EQ(hex_encode(pair.public_key().data()), v.at(name + ".public"));
    EXPECT_EQ(PeerId::of(pair.public_key()).to_text(), v.at(name + ".peer_id"));
  }
}

TEST(PeerId, Refusals) {
  auto code = [](std::string_view text) { return PeerId::from_bytes(hex(text)).error().code; };
  auto digest = std::string(64, 'a');
  EXPECT_EQ(code(""), PeerErrc::malformed);
  EXPECT_EQ(code("1220" + digest.substr(2)), PeerErrc::malformed);
  EXPECT_EQ(code("1221" + digest + "00"), PeerErrc::malformed);
  EXPECT_EQ(code("1220" + digest + "00"), PeerErrc::malformed);
  EXPECT_EQ(code("002b" + std::string(86, '0')), PeerErrc::too_large);
  EXPECT_EQ(code("1320" + digest), PeerErrc::unsupported);
  EXPECT_EQ(code("0024080112200000000000000000000000000000000000000000000000000000000000000000"),
            PeerErrc::invalid_key);
  EXPECT_EQ(code("00240801122001000000000000000000000000000000000000000000000000000000000000"
                 "00"),
            PeerErrc::invalid_key);
  // A CID of another codec.
  EXPECT_EQ(PeerId::parse("f01551220" + digest).error().code, PeerErrc::unsupported);
  for (auto text :
       {"", "1", "Qm", "Q", "12D3KooW", "0", "k", "bafz", "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNK0"}) {
    EXPECT_FALSE(PeerId::parse(text)) << text;
  }
}

TEST(Keys, SpecPrivateKeys) {
  auto v = load_vectors("keys.txt");
  auto pair = KeyPair::decode(hex(v.at("ed25519.private"))).value();
  EXPECT_EQ(hex_encode(pair.public_key().bytes()), v.at("ed25519.public"));
  EXPECT_EQ(hex_encode(pair.encode().view()), v.at("ed25519.private"));
  for (std::string type : {"secp256k1", "ecdsa", "rsa"}) {
    EXPECT_EQ(KeyPair::decode(hex(v.at(type + ".private"))).error().code, PeerErrc::unsupported);
  }
  auto changed = hex(v.at("ed25519.private"));
  changed.back() ^= std::byte{1};
  EXPECT_EQ(KeyPair::decode(changed).error().code, PeerErrc::invalid_key);
}

TEST(Keys, SignaturesOfOtherImplementations) {
  auto v = load_vectors("signatures.txt");
  auto check = [&](const std::string& message, const std::string& name) {
    auto key = PublicKey::decode(hex(v.at(name + ".public"))).value();
    auto text = hex(v.at(message));
    auto signature = hex(v.at(name + ".signature"));
    EXPECT_TRUE(key.verify(text, signature)) << name;
    for (std::size_t at : {std::size_t{0}, signature.size() / 2, signature.size() - 1}) {
      auto changed = signature;
      changed[at] ^= std::byte{1};
      EXPECT_FALSE(key.verify(text, changed)) << name;
    }
    text.push_back(std::byte{0});
    EXPECT_FALSE(key.verify(text, signature)) << name;
    EXPECT_FALSE(key.verify(text, {})) << name;
  };
  for (auto name : {"go.rsa", "go.secp256k1", "go.ecdsa"}) check("go.message", name);
  for (std::string name : {"js.redundantPubKey", "js.verify"}) {
    check("js.message", name);
    auto pair = KeyPair::decode(hex(v.at(name + ".private"))).value();
    EXPECT_EQ(hex_encode(pair.sign(hex(v.at("js.message")))), v.at(name + ".signature"));
    EXPECT_EQ(hex_encode(pair.public_key().bytes()), v.at(name + ".public"));
  }
}

TEST(Keys, OtherEncodingsAreRefused) {
  auto key = load_vectors("keys.txt").at("ed25519.public").substr(8);
  auto code = [](std::string_view text) { return PublicKey::decode(hex(text)).error().code; };
  EXPECT_EQ(code("08810012"
                 "20" +
                 key),
            PeerErrc::not_canonical);                                   // longer varint
  EXPECT_EQ(code("1220" + key + "0801"), PeerErrc::not_canonical);      // other order
  EXPECT_EQ(code("08011220" + key + "1801"), PeerErrc::not_canonical);  // one field more
  EXPECT_EQ(code("080108011220" + key), PeerErrc::not_canonical);
  EXPECT_EQ(code("1220" + key), PeerErrc::malformed);
  EXPECT_EQ(code("0801"), PeerErrc::malformed);
  EXPECT_EQ(code("08011220" + key.substr(2)), PeerErrc::malformed);
  EXPECT_EQ(code("08041220" + key), PeerErrc::unsupported);
  EXPECT_EQ(code("0801121f" + key.substr(2)), PeerErrc::invalid_key);
  EXPECT_EQ(code("08021221"
                 "02" +
                 std::string(64, 'f')),
            PeerErrc::invalid_key);  // x over the field
  EXPECT_EQ(code("08021221"
                 "05" +
                 key),
            PeerErrc::invalid_key);
}

TEST(Cid, RoundTripAndRefusals) {
  Cid cid{.codec = kRawCodec, .hash = Multihash::sha2_256(bytes_of("hello"))};
  EXPECT_EQ(Cid::parse(cid.to_text()).value(), cid);
  // ipfs: `ipfs add --cid-version=1 --raw-leaves` of "hello".
  EXPECT_EQ(cid.to_text(), "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq");
  EXPECT_FALSE(Cid::parse(""));
  EXPECT_FALSE(Cid::parse("b"));
  EXPECT_EQ(Cid::parse("x00").error().code, PeerErrc::unsupported);
  EXPECT_EQ(Cid::parse("f02551220" + std::string(64, '0')).error().code, PeerErrc::unsupported);
  EXPECT_FALSE(Cid::parse(cid.to_text() + "aa"));
  EXPECT_EQ(Cid::parse("b" + std::string(400, 'a')).error().code, PeerErrc::too_large);
}

}  // namespace
}  // namespace nmp::libp2p
