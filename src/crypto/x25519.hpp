#pragma once

#include "base/random.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace nmp::crypto {

using X25519PublicKey = ByteArray<32>;

/// RFC 7748 section 6.1. Move-only: the secret is erased with it.
class X25519KeyPair {
 public:
  [[nodiscard]] static X25519KeyPair generate(Random& random);
  [[nodiscard]] static X25519KeyPair from_secret(SecretBytes<32> secret);

  [[nodiscard]] const X25519PublicKey& public_key() const { return public_key_; }
  [[nodiscard]] const SecretBytes<32>& secret() const { return secret_; }

 private:
  X25519KeyPair(SecretBytes<32> secret, const X25519PublicKey& public_key)
      : secret_(std::move(secret)), public_key_(public_key) {}
  SecretBytes<32> secret_;
  X25519PublicKey public_key_;
};

/// The shared secret of our pair and a peer's public key.
/// Errors: invalid_key if `peer_public` is not 32 bytes, or if the result is all zero (a small-order peer key).
Result<SecretBytes<32>> x25519(const X25519KeyPair& pair, ByteView peer_public);

}  // namespace nmp::crypto
