#pragma once

#include "base/result.hpp"
#include "crypto/aead.hpp"
#include "crypto/evp_handle.hpp"

namespace nmp::crypto {

/// ChaCha20-Poly1305 (RFC 8439 section 2.8) under one key, which OpenSSL keeps and erases. Who calls `seal` never uses
/// a nonce twice.
class ChaCha20Poly1305 {
 public:
  explicit ChaCha20Poly1305(const AeadKey& key);

  /// Fills `out`, of `plaintext.size() + kAeadTagSize` bytes, with the ciphertext and the tag.
  void seal(const AeadNonce& nonce, ByteView aad, ByteView plaintext, std::span<std::byte> out);
  /// Fills `out`, of `ciphertext.size() - kAeadTagSize` bytes; on an error they are erased.
  /// Errors: forged, for whatever reason.
  Result<void> open(const AeadNonce& nonce, ByteView aad, ByteView ciphertext, std::span<std::byte> out);

 private:
  EvpCipher context_;
};

}  // namespace nmp::crypto
