#pragma once

#include "crypto/chacha20_poly1305.hpp"
#include "libp2p/noise/errors.hpp"

namespace nmp::libp2p::noise {

inline constexpr std::size_t kTagSize = crypto::kAeadTagSize;

/// One key and its counter: Noise revision 34, section 5.1, with section 12's ChaChaPoly. No rekey: libp2p has none.
class CipherState {
 public:
  /// A nonce other than 0 is for tests.
  explicit CipherState(const crypto::AeadKey& key, std::uint64_t nonce = 0) : cipher_(key), nonce_(nonce) {}

  /// Fills `out`, of `plaintext.size() + kTagSize` bytes. Errors: nonces_spent.
  Result<void> seal(ByteView aad, ByteView plaintext, std::span<std::byte> out);
  /// Fills `out`, of `ciphertext.size() - kTagSize` bytes; the counter stands still if that fails.
  /// Errors: forged, also for a ciphertext shorter than a tag, and then `out` is empty; nonces_spent.
  Result<void> open(ByteView aad, ByteView ciphertext, std::span<std::byte> out);

 private:
  crypto::ChaCha20Poly1305 cipher_;
  std::uint64_t nonce_;
};

}  // namespace nmp::libp2p::noise
