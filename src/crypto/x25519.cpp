#include "crypto/x25519.hpp"

#include <openssl/evp.h>

#include "base/owned.hpp"
#include "crypto/errors.hpp"
#include "crypto/evp_handle.hpp"

namespace nmp::crypto {
namespace {

EvpKey private_key(const SecretBytes<32>& secret) {
  EvpKey key(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, secret.data(), secret.kSize));
  NMP_ASSERT(key != nullptr);
  return key;
}

}  // namespace

X25519KeyPair X25519KeyPair::from_secret(SecretBytes<32> secret) {
  auto key = private_key(secret);
  X25519PublicKey public_key{};
  std::size_t size = public_key.size();
  NMP_ASSERT(EVP_PKEY_get_raw_public_key(key.get(), u8(public_key), &size) == 1 && size == public_key.size());
  return {std::move(secret), public_key};
}

X25519KeyPair X25519KeyPair::generate(Random& random) {
  SecretBytes<32> secret;
  random.fill(secret.mutable_view());
  return from_secret(std::move(secret));
}

Result<SecretBytes<32>> x25519(const X25519KeyPair& pair, ByteView peer_public) {
  if (peer_public.size() != 32) return fail(Errc::invalid_key, "X25519 key size");
  EvpKey peer(EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, u8(peer_public), peer_public.size()));
  auto own = private_key(pair.secret());
  Owned<EVP_PKEY_CTX, &EVP_PKEY_CTX_free> context(EVP_PKEY_CTX_new(own.get(), nullptr));
  NMP_ASSERT(peer != nullptr && context != nullptr && EVP_PKEY_derive_init(context.get()) == 1);
  SecretBytes<32> secret;
  std::size_t size = secret.kSize;
  // OpenSSL refuses an all-zero result itself; the comparison keeps the rule where it can be read.
  bool ok = EVP_PKEY_derive_set_peer(context.get(), peer.get()) == 1 &&
            EVP_PKEY_derive(context.get(), secret.data(), &size) == 1 && size == secret.kSize;
  if (!ok || secret == SecretBytes<32>()) return fail(Errc::invalid_key, "X25519 key of small order");
  return secret;
}

}  // namespace nmp::crypto
