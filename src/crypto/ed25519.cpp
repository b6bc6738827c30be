#include "crypto/ed25519.hpp"

#include <openssl/evp.h>

#include "crypto/errors.hpp"

namespace nmp::crypto {
namespace {

using Field = ByteArray<32>;  ///< a little-endian number

constexpr Field field(std::string_view hex) {
  Field out{};
  auto digit = [](char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); };
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<std::byte>(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
  }
  return out;
}

/// RFC 8032 section 5.1: p = 2^255 - 19 and the group order L, little-endian.
constexpr Field kP = field("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
constexpr Field kL = field("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");

/// The y coordinates of the eight points whose order divides 8; with either sign of x they are all of small order.
constexpr std::array kSmallOrderY = {
    field("0100000000000000000000000000000000000000000000000000000000000000"),  // order 1: (0, 1)
    field("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),  // order 2: (0, -1)
    field("0000000000000000000000000000000000000000000000000000000000000000"),  // order 4: (sqrt(-1), 0)
    field("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),  // order 8
    field("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),  // order 8
};

bool less_little_endian(ByteView a, ByteView b) {
  return std::lexicographical_compare(a.rbegin(), a.rend(), b.rbegin(), b.rend());
}

}  // namespace

Result<Ed25519PublicKey> Ed25519PublicKey::decode(ByteView bytes) {
  if (bytes.size() != kSize) return fail(Errc::invalid_key, "Ed25519 key size");
  ByteArray<kSize> key{};
  std::ranges::copy(bytes, key.begin());
  auto y = key;
  y[31] &= std::byte{0x7f};
  if (!less_little_endian(y, kP)) return fail(Errc::invalid_key, "non-canonical Ed25519 key");
  if (std::ranges::find(kSmallOrderY, y) != kSmallOrderY.end())
    return fail(Errc::invalid_key, "Ed25519 key of small order");
  return Ed25519PublicKey(key);
}

bool Ed25519PublicKey::verify(ByteView message, ByteView signature) const {
  if (signature.size() != 64 || !less_little_endian(signature.subspan(32), kL)) return false;
  EvpKey key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, u8(bytes_), bytes_.size()));
  EvpDigest context(EVP_MD_CTX_new());
  NMP_ASSERT(key != nullptr && context != nullptr);
  if (EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1) return false;
  return EVP_DigestVerify(context.get(), u8(signature), signature.size(), u8(message), message.size()) == 1;
}

Ed25519KeyPair::Ed25519KeyPair(SecretBytes<32> seed, EvpKey key, Ed25519PublicKey public_key)
    : seed_(std::move(seed)), key_(std::move(key)), public_key_(public_key) {}

Ed25519KeyPair Ed25519KeyPair::from_seed(SecretBytes<32> seed) {
  EvpKey key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.kSize));
  NMP_ASSERT(key != nullptr);
  ByteArray<32> public_key{};
  std::size_t size = public_key.size();
  NMP_ASSERT(EVP_PKEY_get_raw_public_key(key.get(), u8(public_key), &size) == 1 && size == public_key.size());
  return {std::move(seed), std::move(key), Ed25519PublicKey(public_key)};
}

Ed25519KeyPair Ed25519KeyPair::generate(Random& random) {
  SecretBytes<32> seed;
  random.fill(seed.mutable_view());
  return from_seed(std::move(seed));
}

Ed25519Signature Ed25519KeyPair::sign(ByteView message) const {
  Ed25519Signature signature{};
  std::size_t size = signature.size();
  EvpDigest context(EVP_MD_CTX_new());
  NMP_ASSERT(context != nullptr && EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1);
  NMP_ASSERT(EVP_DigestSign(context.get(), u8(signature), &size, u8(message), message.size()) == 1 && size == 64);
  return signature;
}

}  // namespace nmp::crypto
