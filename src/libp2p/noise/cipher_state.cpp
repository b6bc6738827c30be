#include "libp2p/noise/cipher_state.hpp"

#include <limits>

namespace nmp::libp2p::noise {
namespace {

/// Section 5.1: this value is reserved, and so never reached.
constexpr auto kNonceEnd = std::numeric_limits<std::uint64_t>::max();

/// Section 12: 32 bits of zeros, then the counter in little-endian order.
crypto::AeadNonce encode_nonce(std::uint64_t nonce) {
  crypto::AeadNonce out{};
  for (std::size_t i = 4; i < out.size(); ++i, nonce >>= 8) out[i] = static_cast<std::byte>(nonce);
  return out;
}

}  // namespace

Result<void> CipherState::seal(ByteView aad, ByteView plaintext, std::span<std::byte> out) {
  if (nonce_ == kNonceEnd) return fail(Errc::nonces_spent);
  cipher_.seal(encode_nonce(nonce_), aad, plaintext, out);
  ++nonce_;
  return {};
}

Result<void> CipherState::open(ByteView aad, ByteView ciphertext, std::span<std::byte> out) {
  if (nonce_ == kNonceEnd) return fail(Errc::nonces_spent);
  if (!cipher_.open(encode_nonce(nonce_), aad, ciphertext, out)) return fail(Errc::forged);
  ++nonce_;
  return {};
}

}  // namespace nmp::libp2p::noise
