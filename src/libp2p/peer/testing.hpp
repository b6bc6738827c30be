#pragma once

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/codec.hpp"
#include "base/encoding.hpp"
#include "base/owned.hpp"
#include "crypto/evp_handle.hpp"
#include "libp2p/peer/der.hpp"
#include "libp2p/peer/keys.hpp"
#include "libp2p/peer/peer_id.hpp"
#include "libp2p/peer/tls_extension.hpp"

/// For tests of this room and of those above: host keys that we never make ourselves, and certificates of any kind.
namespace nmp::libp2p {

/// DER SubjectPublicKeyInfo.
inline Bytes spki_of(const crypto::EvpKey& key) {
  Bytes spki(static_cast<std::size_t>(i2d_PUBKEY(key.get(), nullptr)));
  auto* at = u8(spki);
  i2d_PUBKEY(key.get(), &at);
  return spki;
}

/// An RSA key of 2048 bits whose public exponent has that many bits.
inline crypto::EvpKey rsa_with_exponent_of(int bits) {
  Owned<BIGNUM, &BN_free> exponent(BN_new());
  Owned<EVP_PKEY_CTX, &EVP_PKEY_CTX_free> context(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  EVP_PKEY* key = nullptr;
  EXPECT_TRUE(BN_set_bit(exponent.get(), bits - 1) == 1 && BN_add_word(exponent.get(), 13) == 1 &&
              EVP_PKEY_keygen_init(context.get()) == 1 && EVP_PKEY_CTX_set_rsa_keygen_bits(context.get(), 2048) == 1 &&
              EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context.get(), exponent.get()) == 1 &&
              EVP_PKEY_generate(context.get(), &key) == 1);
  return crypto::EvpKey(key);
}

/// A signature under SHA-256, or of EdDSA.
inline Bytes sign_with(const crypto::EvpKey& key, ByteView message) {
  crypto::EvpDigest context(EVP_MD_CTX_new());
  const auto* digest = EVP_PKEY_get_base_id(key.get()) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
  std::size_t size = 0;
  EXPECT_EQ(EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, key.get()), 1);
  EXPECT_EQ(EVP_DigestSign(context.get(), nullptr, &size, u8(message), message.size()), 1);
  Bytes signature(size);
  EXPECT_EQ(EVP_DigestSign(context.get(), u8(signature), &size, u8(message), message.size()), 1);
  signature.resize(size);
  return signature;
}

/// A host key of any type, and what it signs.
class HostKey {
 public:
  explicit HostKey(KeyType type) {
    switch (type) {
      case KeyType::rsa: key_.reset(EVP_RSA_gen(2048)); break;
      case KeyType::ecdsa: key_.reset(EVP_EC_gen("P-256")); break;
      case KeyType::secp256k1: key_.reset(EVP_EC_gen("secp256k1")); break;
      case KeyType::ed25519: key_.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")); break;
    }
    protobuf_ = ProtobufWriter().varint(1, std::to_underlying(type)).bytes(2, data(type)).take();
  }

  [[nodiscard]] const Bytes& protobuf() const { return protobuf_; }
  [[nodiscard]] PeerId id() const { return PeerId::of(PublicKey::decode(protobuf_).value()); }
  [[nodiscard]] Bytes sign(ByteView message) const { return sign_with(key_, message); }

 private:
  [[nodiscard]] Bytes data(KeyType type) const {
    if (type == KeyType::rsa || type == KeyType::ecdsa) return spki_of(key_);
    if (type == KeyType::secp256k1) {
      EXPECT_EQ(EVP_PKEY_set_utf8_string_param(key_.get(), OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed"),
                1);
    }
    ByteArray<33> point{};
    std::size_t size = 0;
    EXPECT_EQ(EVP_PKEY_get_octet_string_param(key_.get(), OSSL_PKEY_PARAM_PUB_KEY, u8(point), point.size(), &size), 1);
    EXPECT_EQ(size, type == KeyType::secp256k1 ? 33U : 32U);
    return to_bytes(ByteView(point).first(size));
  }

  crypto::EvpKey key_;
  Bytes protobuf_;
};

/// Certificates that are wrong in any one place, and rightly signed.
class Forge {
 public:
  Forge() : Forge(crypto::EvpKey(EVP_EC_gen("P-256")), from_hex("300a06082a8648ce3d040302")) {}
  /// `algorithm`: a DER AlgorithmIdentifier that fits the key.
  Forge(crypto::EvpKey key, Bytes algorithm)
      : spki(spki_of(key)), key_(std::move(key)), algorithm_(std::move(algorithm)) {
    sign_host("libp2p-tls-handshake:");
  }

  /// The host key is Ed25519, of a seed of ones.
  void sign_host(std::string_view prefix) {
    SecretBytes<32> seed;
    std::ranges::fill(seed.mutable_view(), std::byte{1});
    auto host = KeyPair::from_seed(std::move(seed));
    auto signature = host.sign(concat({bytes_of(prefix), spki}));
    set_extension(host.public_key().bytes(), signature, {});
  }
  void sign_host(const HostKey& host) { set_extension(host.protobuf(), host.sign(tls_extension_message(spki)), {}); }
  void set_extension(ByteView key, ByteView signature, ByteView trailing) {
    auto a = der::element(der::kOctetString, {key});
    auto b = der::element(der::kOctetString, {signature});
    extensions = {libp2p_extension(der::element(der::kSequence, {a, b, trailing}))};
  }
  static Bytes libp2p_extension(ByteView value) { return extension(tls_extension_oid(), {}, value); }
  static Bytes extension(ByteView oid, ByteView critical, ByteView value) {
    auto a = der::element(der::kObjectId, {oid});
    auto b = der::element(der::kOctetString, {value});
    return der::element(der::kSequence, {a, critical, b});
  }

  [[nodiscard]] Bytes make() const {
    Bytes list;
    for (const auto& e : extensions) append(list, e);
    auto sequence = der::element(der::kSequence, {list});
    auto wrapped = extensions.empty() ? Bytes{} : der::element(0xa3, {sequence});
    auto validity = der::element(der::kSequence, {not_before, not_after});
    auto name = from_hex("3000");
    auto tbs =
        der::element(der::kSequence, {version, serial, algorithm_, name, validity, name, spki, unique_ids, wrapped});
    auto bits = der::element(der::kBitString, {from_hex("00"), sign_with(key_, tbs)});
    return der::element(der::kSequence, {tbs, algorithm_, bits, after_signature});
  }
  [[nodiscard]] const crypto::EvpKey& key() const { return key_; }

  Bytes spki;
  Bytes version = from_hex("a003020102");
  Bytes serial = from_hex("020105");
  Bytes not_before = der::element(der::kUtcTime, {bytes_of("200101000000Z")});
  Bytes not_after = der::element(der::kGeneralizedTime, {bytes_of("40960101000000Z")});
  Bytes unique_ids;
  Bytes after_signature;
  std::vector<Bytes> extensions;

 private:
  static Bytes from_hex(std::string_view text) { return hex_decode(text).value(); }
  crypto::EvpKey key_;
  Bytes algorithm_;
};

}  // namespace nmp::libp2p
