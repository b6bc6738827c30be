#include "crypto/cose.hpp"

#include <cstdlib>
#include <fstream>
#include <map>

#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "crypto/cbor.hpp"
#include "crypto/errors.hpp"

namespace nmp::cose {
namespace {

using crypto::Ed25519KeyPair;
using crypto::Errc;

Ed25519KeyPair key_of(int seed) {
  ByteArray<32> bytes{};
  bytes.fill(static_cast<std::byte>(seed));
  return Ed25519KeyPair::from_seed(SecretBytes<32>(std::span<const std::byte, 32>(bytes)));
}

/// As in tests/interop/cose_check.py.
struct Case {
  std::string name;
  int seed;
  std::string typ;
  bool is_peer;
  Bytes payload;
};
std::vector<Case> cases() {
  Bytes long_payload;
  for (unsigned i = 0; i < 512; ++i) long_payload.push_back(static_cast<std::byte>(i));
  return {{"intent", 1, "application/nmp-intent-v1+cose", true, hex_decode("a10101").value()},
          {"owner", 2, "application/nmp-owner-v1+cose", false, {}},
          {"receipt", 3, "application/nmp-receipt-v1+cose", true, long_payload}};
}
Bytes sign(const Case& c) {
  auto key = key_of(c.seed);
  auto kid = c.is_peer ? kid_of_peer(key.public_key()) : kid_of_key(key.public_key());
  return sign1(c.typ, kid, c.payload, key);
}

TEST(Cose, SameBytesAsPycose) {
  std::ifstream file(NMP_SOURCE_DIR "/src/crypto/testdata/cose_pycose.txt");
  std::map<std::string, Bytes> objects;
  for (std::string line; std::getline(file, line);) {
    auto at = line.find(" = ");
    if (!line.starts_with('#') && at != std::string::npos)
      objects[line.substr(0, at)] = hex_decode(line.substr(at + 3)).value();
  }
  for (const auto& c : cases()) {
    const auto& object = objects.at(c.name);
    auto verified = verify(object, c.typ, key_of(c.seed).public_key());
    ASSERT_TRUE(verified) << verified.error().message();
    EXPECT_EQ(verified->payload, c.payload);
    // Ed25519 is deterministic and the encoding has one form, so equality is required.
    EXPECT_EQ(sign(c), object);
  }
}

TEST(Cose, WritesObjectsForPycose) {
  const char* path = std::getenv("NMP_COSE_OUT");
  if (path == nullptr) GTEST_SKIP() << "run by tests/interop/cose_check.py";
  std::ofstream file(path);
  for (const auto& c : cases()) file << c.name << " = " << hex_encode(sign(c)) << "\n";
}

TEST(Cose, EveryFlippedBitIsRefused) {
  auto c = cases()[0];
  auto object = sign(c);
  auto key = key_of(c.seed).public_key();
  for (std::size_t bit = 0; bit < object.size() * 8; ++bit) {
    auto changed = object;
    changed[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    EXPECT_FALSE(verify(changed, c.typ, key)) << bit;
  }
}

TEST(Cose, OtherTypOrKeyIsRefused) {
  auto c = cases()[0];
  auto object = sign(c);
  EXPECT_EQ(verify(object, cases()[1].typ, key_of(1).public_key()).error().code, Errc::wrong_type);
  EXPECT_EQ(verify(object, c.typ, key_of(2).public_key()).error().code, Errc::wrong_key);
}

TEST(Cose, OtherFormsAreRefused) {
  auto key = key_of(1);
  cbor::Map header{{1, -8}, {4, kid_of_peer(key.public_key())}, {16, "t"}};
  auto object = [&](const cbor::Map& protected_header, const cbor::Value& unprotected, const cbor::Value& payload) {
    auto encoded = cbor::encode(protected_header);
    auto signature = key.sign(cbor::encode(cbor::Array{"Signature1", encoded, Bytes{}, Bytes{}}));
    auto out = Bytes{std::byte{0xd2}};
    append(out, cbor::encode(cbor::Array{encoded, unprotected, payload, signature}));
    return out;
  };
  auto good = object(header, cbor::Map(), Bytes{});
  EXPECT_TRUE(verify(good, "t", key.public_key()));
  auto code = [&](ByteView bytes) { return verify(bytes, "t", key.public_key()).error().code; };
  EXPECT_EQ(code(object(header, cbor::Map{{1, 1}}, Bytes{})), Errc::malformed);
  EXPECT_EQ(code(object(header, cbor::Map(), nullptr)), Errc::malformed);  // detached
  auto more = header;
  more.add(3, 0);
  EXPECT_EQ(code(object(more, cbor::Map(), Bytes{})), Errc::malformed);
  EXPECT_EQ(code(object(cbor::Map{{1, -7}, {4, Bytes{}}, {16, "t"}}, cbor::Map(), Bytes{})), Errc::malformed);
  EXPECT_EQ(code(object(cbor::Map{{1, -8}, {16, "t"}}, cbor::Map(), Bytes{})), Errc::malformed);
  EXPECT_EQ(code(ByteView(good).subspan(1)), Errc::malformed);  // untagged
  auto trailing = good;
  trailing.push_back(std::byte{0});
  EXPECT_EQ(code(trailing), Errc::malformed);
  auto long_tag = concat({hex_decode("d812").value(), ByteView(good).subspan(1)});
  EXPECT_EQ(code(long_tag), Errc::not_canonical);
  EXPECT_FALSE(verify({}, "t", key.public_key()));
}

}  // namespace
}  // namespace nmp::cose
