#include "libp2p/kad/key.hpp"

#include <bit>

#include "crypto/hash.hpp"

namespace nmp::libp2p::kad {

Key Key::of(ByteView raw) { return Key{crypto::sha256(raw)}; }
Key Key::of(const PeerId& peer) { return of(peer.bytes()); }

Distance distance(const Key& a, const Key& b) {
  Distance result;
  for (std::size_t i = 0; i < result.bytes.size(); ++i) result.bytes[i] = a.bytes[i] ^ b.bytes[i];
  return result;
}

std::size_t common_prefix_length(const Key& a, const Key& b) {
  for (std::size_t i = 0; i < a.bytes.size(); ++i) {
    auto difference = std::to_integer<std::uint8_t>(a.bytes[i] ^ b.bytes[i]);
    if (difference != 0) return i * 8 + static_cast<std::size_t>(std::countl_zero(difference));
  }
  return a.bytes.size() * 8;
}

}  // namespace nmp::libp2p::kad
