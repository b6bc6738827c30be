#pragma once

#include <compare>

#include "base/bytes.hpp"
#include "libp2p/peer/peer_id.hpp"

namespace nmp::libp2p::kad {

/// A place in the keyspace: the SHA-256 of a record key's or a peer ID's bytes.
/// Source: github.com/libp2p/specs kad-dht/README.md, "Kademlia Keys" and "Kademlia Distance".
struct Key {
  ByteArray<32> bytes{};

  /// Hashes: the place of raw key bytes.
  [[nodiscard]] static Key of(ByteView raw);
  [[nodiscard]] static Key of(const PeerId& peer);

  friend auto operator<=>(const Key&, const Key&) = default;
};

/// The XOR of two keys, ordered as a 256-bit number.
struct Distance {
  ByteArray<32> bytes{};
  friend auto operator<=>(const Distance&, const Distance&) = default;
};

[[nodiscard]] Distance distance(const Key& a, const Key& b);
/// Leading bits that two keys share: 0 to 256.
[[nodiscard]] std::size_t common_prefix_length(const Key& a, const Key& b);

}  // namespace nmp::libp2p::kad
