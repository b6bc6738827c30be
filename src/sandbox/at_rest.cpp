#include "sandbox/at_rest.hpp"

#include "crypto/aead.hpp"
#include "crypto/cbor.hpp"
#include "crypto/errors.hpp"
#include "crypto/hash.hpp"

namespace nmp::sandbox {

namespace {

constexpr std::size_t kSaltBytes = 32;
constexpr std::string_view kWrapped = "key";

crypto::AeadKey record_key(const SecretBytes<32>& key, ByteView salt) {
  return crypto::hkdf_expand<32>(crypto::hkdf_extract(salt, key.view()), bytes_of("nmp/v1/at-rest/record"));
}

Bytes associated_data(std::string_view what, ByteView id) {
  return cbor::encode(cbor::Array{"nmp/v1/at-rest", what, id});
}

}  // namespace

AtRestKey AtRestKey::generate(Random& random) {
  SecretBytes<32> key;
  random.fill(key.mutable_view());
  return AtRestKey(std::move(key));
}

AtRestKey AtRestKey::derive(const SecretBytes<32>& storage_key, std::string_view use) {
  return AtRestKey(crypto::hkdf_expand<32>(storage_key, bytes_of(use)));
}

Bytes AtRestKey::seal(std::string_view what, ByteView id, ByteView plaintext, Random& random) const {
  auto out = to_bytes(random.bytes<kSaltBytes>());
  const auto key = record_key(key_, out);
  // One record a key: nonce zero.
  append(out, crypto::seal(key, crypto::AeadNonce{}, associated_data(what, id), plaintext));
  return out;
}

Result<Bytes> AtRestKey::open(std::string_view what, ByteView id, ByteView record) const {
  if (record.size() < kAtRestOverhead) return fail(crypto::Errc::forged, "record too short");
  const auto key = record_key(key_, record.first(kSaltBytes));
  return crypto::open(key, crypto::AeadNonce{}, associated_data(what, id), record.subspan(kSaltBytes));
}

Bytes AtRestKey::wrap(const AtRestKey& by, ByteView id, Random& random) const {
  return by.seal(kWrapped, id, key_.view(), random);
}

Result<AtRestKey> AtRestKey::unwrap(const AtRestKey& by, ByteView id, ByteView wrapped) {
  NMP_TRY(auto plain, by.open(kWrapped, id, wrapped));
  if (plain.size() != SecretBytes<32>::kSize) return fail(crypto::Errc::forged, "length of a key");
  SecretBytes<32> key(std::span<const std::byte, 32>(plain.data(), 32));
  erase(plain);
  return AtRestKey(std::move(key));
}

}  // namespace nmp::sandbox
