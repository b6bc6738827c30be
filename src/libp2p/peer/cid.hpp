#pragma once

#include "libp2p/peer/multihash.hpp"

namespace nmp::libp2p {

/// Multicodec codes used in CIDs.
inline constexpr std::uint64_t kRawCodec = 0x55;
inline constexpr std::uint64_t kLibp2pKeyCodec = 0x72;

/// A CIDv1: uvarint(1) uvarint(codec) multihash. CIDv0 text (`Qm...`) is not one; PeerId::parse reads it.
struct Cid {
  std::uint64_t codec;
  Multihash hash;

  /// Errors: PeerErrc::malformed, unsupported (another version or multibase), too_large.
  static Result<Cid> decode(ByteView bytes);
  static Result<Cid> parse(std::string_view text);
  [[nodiscard]] Bytes bytes() const;
  /// Base32, the default of CIDv1: `b...`.
  [[nodiscard]] std::string to_text() const;

  friend bool operator==(const Cid&, const Cid&) = default;
};

}  // namespace nmp::libp2p
