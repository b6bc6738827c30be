#pragma once

#include "base/result.hpp"
#include "base/secret.hpp"

/// AES-256-GCM (NIST SP 800-38D) with 12-byte nonces. Who calls `seal` never uses a (key, nonce) pair twice.
namespace nmp::crypto {

using AeadKey = SecretBytes<32>;
using AeadNonce = ByteArray<12>;
inline constexpr std::size_t kAeadTagSize = 16;

/// Ciphertext, then the tag: `plaintext.size() + kAeadTagSize` bytes.
[[nodiscard]] Bytes seal(const AeadKey& key, const AeadNonce& nonce, ByteView aad, ByteView plaintext);
/// Errors: forged, for whatever reason.
Result<Bytes> open(const AeadKey& key, const AeadNonce& nonce, ByteView aad, ByteView ciphertext);

}  // namespace nmp::crypto
