#include "pq/mlkem.hpp"

#include <fstream>
#include <map>

#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "pq/errors.hpp"

namespace nmp::pq {
namespace {

/// Gives out what a vector prescribes.
class FixedRandom final : public Random {
 public:
  explicit FixedRandom(Bytes bytes) : bytes_(std::move(bytes)) {}
  void fill(std::span<std::byte> out) override {
    ASSERT_EQ(out.size(), bytes_.size());
    std::ranges::copy(bytes_, out.begin());
  }

 private:
  Bytes bytes_;
};

std::map<std::string, Bytes> vectors() {
  std::ifstream file(NMP_SOURCE_DIR "/src/pq/testdata/kyber_py.txt");
  std::map<std::string, Bytes> out;
  for (std::string line; std::getline(file, line);) {
    auto at = line.find(" = ");
    if (!line.starts_with('#') && at != std::string::npos)
      out[line.substr(0, at)] = hex_decode(line.substr(at + 3)).value();
  }
  return out;
}

TEST(MlKem, SameBytesAsKyberPy) {
  auto v = vectors();
  FixedRandom seed(concat({v.at("d"), v.at("z")}));
  auto pair = keypair(seed).value();
  EXPECT_TRUE(equal(pair.ek.bytes, v.at("ek")));
  EXPECT_TRUE(equal(pair.dk.view(), v.at("dk")));
  FixedRandom m(v.at("m"));
  auto sent = encapsulate(pair.ek, m).value();
  EXPECT_TRUE(equal(sent.ct.bytes, v.at("ct")));
  EXPECT_TRUE(equal(sent.secret.view(), v.at("ss")));
  EXPECT_TRUE(decapsulate(pair.dk, sent.ct).value() == sent.secret);

  auto forged = sent.ct;
  forged.bytes[0] ^= std::byte{1};
  EXPECT_TRUE(equal(decapsulate(pair.dk, forged).value().view(), v.at("rejected")));
}

TEST(MlKem, InvalidKeysAreRefused) {
  SeededRandom random(1);
  auto pair = keypair(random).value();
  // FIPS 203, section 7.2: every coefficient below q = 3329. Two coefficients of 0xfff:
  auto ek = pair.ek;
  std::ranges::fill(std::span(ek.bytes).first(3), std::byte{0xff});
  EXPECT_EQ(encapsulate(ek, random).error().code, Errc::invalid_key);
  // Section 7.3: the hash of ek inside dk.
  auto dk = pair.dk.copy();
  dk.mutable_view()[2336] ^= std::byte{1};
  auto sent = encapsulate(pair.ek, random).value();
  EXPECT_EQ(decapsulate(dk, sent.ct).error().code, Errc::invalid_key);
  EXPECT_EQ(EncapsulationKey::from(Bytes(1183)).error().code, Errc::invalid_key);
  EXPECT_EQ(Ciphertext::from(Bytes(1089)).error().code, Errc::malformed);
}

}  // namespace
}  // namespace nmp::pq
