#include "libp2p/peer/certificate.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "libp2p/peer/der.hpp"
#include "libp2p/peer/errors.hpp"
#include "libp2p/peer/test_vectors.hpp"
#include "libp2p/peer/testing.hpp"
#include "libp2p/peer/tls_extension.hpp"

namespace nmp::libp2p {
namespace {

constexpr UnixSeconds kNow = 1'780'000'000;
/// Inside the validity of the 2021 fixtures.
constexpr UnixSeconds kIn2021 = 1'640'000'000;

Result<PeerId> verify(Bytes certificate, UnixSeconds now = kNow) {
  std::array chain = {std::move(certificate)};
  return verify_certificate(chain, now);
}

TEST(Certificate, VectorsOfSpecAndRust) {
  auto v = load_vectors("certificates.txt");
  for (std::string name : {"spec-1", "spec-2", "spec-3", "rust.ed25519", "rust.ecdsa", "rust.secp256k1"}) {
    auto id = verify(hex(v.at(name + ".der")));
    ASSERT_TRUE(id) << name << " " << id.error().message();
    EXPECT_EQ("peer_id " + id->to_text(), v.at(name + ".expect"));
  }
  for (std::string name : {"spec-4", "rust.bad_ed25519"}) {
    EXPECT_EQ(verify(hex(v.at(name + ".der"))).error().code, PeerErrc::certificate_host_signature) << name;
  }
  // Fractions of a second in notAfter.
  EXPECT_EQ(verify(hex(v.at("js_bad.der"))).error().code, PeerErrc::certificate_malformed);
}

TEST(Certificate, SignatureSchemes) {
  auto v = load_vectors("certificates.txt");
  EXPECT_EQ(verify(hex(v.at("scheme.rsa_pss_sha384.der"))).value().to_text(),
            "12D3KooWNhaaRyBfd97qvv1Fdw7Mvng1rh5KrW8PRaMMioz4NNno");
  for (std::string name : {"ed25519", "nistp256_sha256", "nistp384_sha384", "nistp521_sha512", "rsa_pkcs1_sha256"}) {
    auto der = hex(v.at("scheme." + name + ".der"));
    EXPECT_EQ(verify(der).error().code, PeerErrc::certificate_expired) << name;
    // In their time the scheme is known and the self-signature holds; their extension was made for another key.
    EXPECT_EQ(verify(der, kIn2021).error().code, PeerErrc::certificate_host_signature) << name;
  }
  EXPECT_EQ(verify(hex(v.at("scheme.nistp384_sha256.der")), kIn2021).error().code, PeerErrc::certificate_algorithm);
}

TEST(Certificate, EveryFlippedBitIsRefused) {
  auto der = hex(load_vectors("certificates.txt").at("spec-1.der"));
  for (std::size_t bit = 0; bit < der.size() * 8; ++bit) {
    auto changed = der;
    changed[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    EXPECT_FALSE(verify(changed)) << bit;
  }
}

TEST(Certificate, OursVerifiesAndItsKeyFits) {
  auto identity = KeyPair::from_seed(repeated(1));
  SeededRandom random(1);
  auto made = make_certificate(identity, kNow, random).value();
  EXPECT_EQ(verify(made.certificate_der).value(), PeerId::of(identity.public_key()));
  EXPECT_TRUE(verify(made.certificate_der, kNow - 86'400));
  EXPECT_EQ(verify(made.certificate_der, kNow - 86'401).error().code, PeerErrc::certificate_not_yet_valid);
  EXPECT_EQ(verify(made.certificate_der, kNow + 40'000LL * 86'400).error().code, PeerErrc::certificate_expired);
  const auto* key_at = u8(ByteView(made.key_der));
  crypto::EvpKey key(d2i_AutoPrivateKey(nullptr, &key_at, static_cast<long>(made.key_der.size())));
  const auto* at = u8(ByteView(made.certificate_der));
  std::unique_ptr<X509, decltype([](X509* x) { X509_free(x); })> x509(
      d2i_X509(nullptr, &at, static_cast<long>(made.certificate_der.size())));
  ASSERT_TRUE(key != nullptr && x509 != nullptr);
  EXPECT_EQ(X509_check_private_key(x509.get(), key.get()), 1);
  EXPECT_EQ(verify_certificate({}, kNow).error().code, PeerErrc::certificate_count);
  std::array two = {made.certificate_der, made.certificate_der};
  EXPECT_EQ(verify_certificate(two, kNow).error().code, PeerErrc::certificate_count);
}

TEST(Certificate, OneThingWrong) {
  auto code = [](auto change) -> std::error_code {
    Forge forge;
    change(forge);
    auto result = verify(forge.make());
    return result ? std::error_code() : result.error().code;
  };
  auto host = KeyPair::from_seed(repeated(1)).public_key();
  auto unknown_oid = hex("2a0304");
  auto truth = hex("0101ff");
  EXPECT_FALSE(code([](Forge&) {}));
  EXPECT_FALSE(code([&](Forge& f) { f.extensions.push_back(Forge::extension(unknown_oid, {}, {})); }));
  auto malformed = [&](auto change) { EXPECT_EQ(code(change), PeerErrc::certificate_malformed); };
  malformed([&](Forge& f) { f.extensions.push_back(Forge::extension(unknown_oid, truth, {})); });
  malformed([&](Forge& f) { f.extensions.push_back(Forge::extension(unknown_oid, hex("010100"), {})); });
  malformed([&](Forge& f) { f.extensions.push_back(f.extensions[0]); });
  malformed([](Forge& f) { f.unique_ids = hex("81020000"); });
  malformed([](Forge& f) { f.unique_ids = hex("82020000"); });
  malformed([](Forge& f) { f.version = hex("a003020101"); });
  malformed([](Forge& f) { f.version.clear(); });
  malformed([](Forge& f) { f.serial = hex("02020005"); });
  malformed([](Forge& f) { f.after_signature = hex("0500"); });
  malformed([](Forge& f) { f.not_after = der::element(der::kGeneralizedTime, {bytes_of("40960101000000.5Z")}); });
  malformed([](Forge& f) { f.not_after = der::element(der::kGeneralizedTime, {bytes_of("40960101000000+0000")}); });
  malformed([](Forge& f) { f.not_after = der::element(der::kGeneralizedTime, {bytes_of("40961301000000Z")}); });
  EXPECT_EQ(code([](Forge& f) { f.not_after = der::element(der::kUtcTime, {bytes_of("210101000000Z")}); }),
            PeerErrc::certificate_expired);
  EXPECT_EQ(code([](Forge& f) { f.not_before = der::element(der::kGeneralizedTime, {bytes_of("20900101000000Z")}); }),
            PeerErrc::certificate_not_yet_valid);
  EXPECT_EQ(code([](Forge& f) { f.extensions.clear(); }), PeerErrc::certificate_extension);
  EXPECT_EQ(code([](Forge& f) { f.extensions = {Forge::libp2p_extension(hex("3000"))}; }),
            PeerErrc::certificate_extension);
  EXPECT_EQ(code([&](Forge& f) { f.set_extension(host.bytes(), Bytes(64), hex("0500")); }),
            PeerErrc::certificate_extension);
  EXPECT_EQ(code([&](Forge& f) { f.set_extension(host.bytes(), Bytes(63), {}); }),
            PeerErrc::certificate_host_signature);
  EXPECT_EQ(code([](Forge& f) { f.sign_host("libp2p-tls-handshake"); }), PeerErrc::certificate_host_signature);
  auto longer = concat({host.bytes(), hex("1801")});
  EXPECT_EQ(code([&](Forge& f) { f.set_extension(longer, Bytes(64), {}); }), PeerErrc::not_canonical);
  auto zero = concat({hex("08011220"), Bytes(32)});
  EXPECT_EQ(code([&](Forge& f) { f.set_extension(zero, Bytes(64), {}); }), PeerErrc::invalid_key);

  auto trailing = Forge().make();
  trailing.push_back(std::byte{0});
  EXPECT_EQ(verify(trailing).error().code, PeerErrc::certificate_malformed);
  EXPECT_EQ(verify(Bytes(9000)).error().code, PeerErrc::too_large);
}

TEST(Certificate, RsaHostKeysOutsideTheirBoundsAreRefused) {
  // The modulus need not have known factors for its size to be judged.
  for (std::size_t bytes : {std::size_t{128}, std::size_t{1152}}) {
    auto modulus = der::element(der::kInteger, {hex("00"), Bytes(bytes, std::byte{0xc5})});
    auto rsa = der::element(der::kSequence, {modulus, hex("0203010001")});
    auto bits = der::element(der::kBitString, {hex("00"), rsa});
    auto spki = der::element(der::kSequence, {hex("300d06092a864886f70d0101010500"), bits});
    auto protobuf = ProtobufWriter().varint(1, 0).bytes(2, spki).take();
    auto key = PublicKey::decode(protobuf);
    ASSERT_FALSE(key);
    EXPECT_TRUE(key.error().code == PeerErrc::invalid_key || key.error().code == PeerErrc::too_large);
  }
}

TEST(Certificate, RsaExponentsAsLongAsTheirModulusAreRefused) {
  for (int bits : {64, 65}) {
    auto key = rsa_with_exponent_of(bits);
    auto protobuf = ProtobufWriter().varint(1, 0).bytes(2, spki_of(key)).take();
    auto host = PublicKey::decode(protobuf);
    EXPECT_EQ(host ? std::error_code() : host.error().code,
              bits > 64 ? make_error_code(PeerErrc::invalid_key) : std::error_code());
    Forge forge(std::move(key), hex("300d06092a864886f70d01010b0500"));
    auto id = verify(forge.make());
    EXPECT_EQ(id ? std::error_code() : id.error().code,
              bits > 64 ? make_error_code(PeerErrc::certificate_algorithm) : std::error_code());
  }
}

}  // namespace
}  // namespace nmp::libp2p
