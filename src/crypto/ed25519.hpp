#pragma once

#include "base/random.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/evp_handle.hpp"

namespace nmp::crypto {

using Ed25519Signature = ByteArray<64>;

/// An Ed25519 public key (RFC 8032 section 5.1) whose encoding is canonical and whose point is not of small order:
/// under a small-order key one signature verifies for every message, and OpenSSL 3.0 takes such keys. Bytes that are no
/// point of the curve are accepted here and verify nothing.
class Ed25519PublicKey {
 public:
  static constexpr std::size_t kSize = 32;

  /// Errors: invalid_key.
  static Result<Ed25519PublicKey> decode(ByteView bytes);

  [[nodiscard]] const ByteArray<kSize>& bytes() const { return bytes_; }
  /// RFC 8032 section 5.1.7 without the cofactor; a signature of another size or with S >= L is refused.
  [[nodiscard]] bool verify(ByteView message, ByteView signature) const;

  friend auto operator<=>(const Ed25519PublicKey&, const Ed25519PublicKey&) = default;

 private:
  friend class Ed25519KeyPair;
  explicit Ed25519PublicKey(const ByteArray<kSize>& bytes) : bytes_(bytes) {}
  ByteArray<kSize> bytes_;
};

/// A signing key. Moved, not copied by accident: `copy()` says so. Signing is safe from several threads.
class Ed25519KeyPair {
 public:
  /// RFC 8032 section 5.1.5: the 32-byte private key from which everything else is derived.
  [[nodiscard]] static Ed25519KeyPair from_seed(SecretBytes<32> seed);
  [[nodiscard]] static Ed25519KeyPair generate(Random& random);

  [[nodiscard]] const Ed25519PublicKey& public_key() const { return public_key_; }
  [[nodiscard]] const SecretBytes<32>& seed() const { return seed_; }
  [[nodiscard]] Ed25519KeyPair copy() const { return from_seed(seed_.copy()); }
  /// Deterministic (RFC 8032 section 5.1.6).
  [[nodiscard]] Ed25519Signature sign(ByteView message) const;

 private:
  Ed25519KeyPair(SecretBytes<32> seed, EvpKey key, Ed25519PublicKey public_key);
  SecretBytes<32> seed_;
  EvpKey key_;
  Ed25519PublicKey public_key_;
};

}  // namespace nmp::crypto
