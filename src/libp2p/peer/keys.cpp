#include "libp2p/peer/keys.hpp"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/codec.hpp"
#include "base/owned.hpp"
#include "libp2p/peer/errors.hpp"
#include "libp2p/peer/key_handle.hpp"
#include "libp2p/peer/limits.hpp"

namespace nmp::libp2p {
namespace {

Bytes key_protobuf(KeyType type, ByteView data) {
  return ProtobufWriter().varint(1, std::to_underlying(type)).bytes(2, data).take();
}

/// SEC 1, section 2.3.3: a compressed point. Null if it is not on the curve.
crypto::EvpKey load_secp256k1(ByteView point) {
  Owned<EVP_PKEY_CTX, &EVP_PKEY_CTX_free> context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  char group[] = "secp256k1";
  auto copy = to_bytes(point);
  OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
                         OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy.data(), copy.size()),
                         OSSL_PARAM_construct_end()};
  crypto::EvpKey key;
  EVP_PKEY* raw = nullptr;
  if (context != nullptr && EVP_PKEY_fromdata_init(context.get()) == 1 &&
      EVP_PKEY_fromdata(context.get(), &raw, EVP_PKEY_PUBLIC_KEY, params) == 1) {
    key.reset(raw);
  }
  ERR_clear_error();
  return key;
}

/// Any type but Ed25519; null if the key is not usable.
crypto::EvpKey load(KeyType type, ByteView data) {
  switch (type) {
    case KeyType::ed25519: return nullptr;
    case KeyType::secp256k1:
      if (data.size() != 33 || (data[0] != std::byte{2} && data[0] != std::byte{3})) return nullptr;
      return load_secp256k1(data);
    case KeyType::rsa: {
      auto key = load_spki(data);
      bool ok = key != nullptr && EVP_PKEY_get_base_id(key.get()) == EVP_PKEY_RSA && is_rsa_in_bounds(key);
      return ok ? std::move(key) : nullptr;
    }
    case KeyType::ecdsa: {
      auto key = load_spki(data);
      return key != nullptr && is_ec_on(key, "prime256v1") ? std::move(key) : nullptr;
    }
  }
  return nullptr;
}

/// `08 01 12 size`: the canonical start of an Ed25519 private key protobuf of `size` bytes of data.
ByteArray<4> private_prefix(std::uint8_t size) {
  return {std::byte{0x08}, std::byte{0x01}, std::byte{0x12}, std::byte{size}};
}

}  // namespace

PublicKey::PublicKey(const crypto::Ed25519PublicKey& key)
    : type_(KeyType::ed25519),
      bytes_(key_protobuf(KeyType::ed25519, key.bytes())),
      data_at_(bytes_.size() - key.kSize) {}

Result<PublicKey> PublicKey::decode(ByteView protobuf) {
  if (protobuf.size() > kPublicKeyBytesMax) return fail(PeerErrc::too_large, "public key");
  std::optional<std::uint64_t> type;
  std::optional<ByteView> data;
  ProtobufReader reader(protobuf);
  while (true) {
    auto field = reader.next();
    if (!field) return fail(PeerErrc::malformed, "public key");
    if (!*field) break;
    if ((*field)->number == 1 && (*field)->wire_type == 0) type = (*field)->value;
    if ((*field)->number == 2 && (*field)->wire_type == 2) data = (*field)->bytes;
  }
  if (!type || !data) return fail(PeerErrc::malformed, "public key");
  if (*type > std::to_underlying(KeyType::ecdsa)) return fail(PeerErrc::unsupported, "key type");
  PublicKey key(static_cast<KeyType>(*type), to_bytes(protobuf), protobuf.size() - data->size());
  if (key_protobuf(key.type_, *data) != key.bytes_) return fail(PeerErrc::not_canonical, "public key");
  bool valid = key.type_ == KeyType::ed25519 ? crypto::Ed25519PublicKey::decode(*data).has_value()
                                             : load(key.type_, *data) != nullptr;
  if (!valid) return fail(PeerErrc::invalid_key);
  return key;
}

bool PublicKey::verify(ByteView message, ByteView signature) const {
  if (type_ == KeyType::ed25519) {
    auto key = crypto::Ed25519PublicKey::decode(data());
    return key && key->verify(message, signature);
  }
  auto key = load(type_, data());
  return key != nullptr && verify_signature(key, "SHA256", message, signature);
}

Result<crypto::Ed25519PublicKey> PublicKey::ed25519() const {
  if (type_ != KeyType::ed25519) return fail(PeerErrc::unsupported, "not an Ed25519 key");
  return crypto::Ed25519PublicKey::decode(data());
}

Result<KeyPair> KeyPair::decode(ByteView protobuf) {
  // Compared with the two canonical forms where it lies: no copy of a secret is made on the way.
  ProtobufReader reader(protobuf);
  auto type = reader.next();
  if (!type || !*type || (*type)->number != 1 || (*type)->wire_type != 0)
    return fail(PeerErrc::malformed, "private key");
  if ((*type)->value != std::to_underlying(KeyType::ed25519)) return fail(PeerErrc::unsupported, "private key type");
  bool legacy = protobuf.size() == 4 + 96;
  if (protobuf.size() != kPrivateKeySize && !legacy) return fail(PeerErrc::malformed, "private key size");
  if (!equal(protobuf.first(4), private_prefix(legacy ? 96 : 64))) return fail(PeerErrc::not_canonical, "private key");
  auto data = protobuf.subspan(4);
  SecretBytes<32> seed;
  std::ranges::copy(data.first(32), seed.mutable_view().begin());
  auto pair = from_seed(std::move(seed));
  bool consistent = equal(data.subspan(32, 32), pair.public_key().data()) &&
                    (!legacy || equal(data.subspan(64, 32), pair.public_key().data()));
  if (!consistent) return fail(PeerErrc::invalid_key, "private and public key do not belong together");
  return pair;
}

SecretBytes<KeyPair::kPrivateKeySize> KeyPair::encode() const {
  SecretBytes<kPrivateKeySize> out;
  auto view = out.mutable_view();
  std::ranges::copy(private_prefix(64), view.begin());
  std::ranges::copy(key_.seed().view(), view.subspan(4).begin());
  std::ranges::copy(public_key_.data(), view.subspan(36).begin());
  return out;
}

}  // namespace nmp::libp2p
