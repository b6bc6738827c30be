#pragma once

#include <functional>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "libp2p/peer/keys.hpp"
#include "libp2p/peer/limits.hpp"

namespace nmp::libp2p {

/// Who a peer is: the multihash of its public-key protobuf. A small value without an empty state: say std::optional
/// where there may be none. Two IDs are equal if and only if their bytes are.
class PeerId {
 public:
  [[nodiscard]] static PeerId of(const PublicKey& key);
  [[nodiscard]] static PeerId of(const crypto::Ed25519PublicKey& key) { return of(PublicKey(key)); }
  /// The multihash. An inline key is decoded, so a small-order or non-canonical one is refused here.
  /// Errors: PeerErrc::malformed, unsupported, too_large, and those of PublicKey::decode.
  static Result<PeerId> from_bytes(ByteView multihash);
  /// Base58btc of the multihash, or a CIDv1 of codec libp2p-key in any multibase that we know.
  static Result<PeerId> parse(std::string_view text);

  [[nodiscard]] ByteView bytes() const { return ByteView(bytes_).first(size_); }
  /// Base58btc: `12D3KooW...`, `16Uiu2HA...`, `Qm...`.
  [[nodiscard]] std::string to_text() const;
  /// CIDv1 in base32: `bafz...`.
  [[nodiscard]] std::string to_cid_text() const;
  /// The key, if the ID holds it. Errors: PeerErrc::no_inline_key.
  [[nodiscard]] Result<PublicKey> public_key() const;
  /// Errors: PeerErrc::no_inline_key, unsupported (a key of another type).
  [[nodiscard]] Result<crypto::Ed25519PublicKey> ed25519_key() const;

  friend bool operator==(const PeerId& a, const PeerId& b) { return equal(a.bytes(), b.bytes()); }
  friend std::strong_ordering operator<=>(const PeerId& a, const PeerId& b);

 private:
  explicit PeerId(ByteView multihash);
  std::uint8_t size_ = 0;
  ByteArray<kInlineKeyBytesMax + 2> bytes_{};
};

}  // namespace nmp::libp2p

template <>
struct std::hash<nmp::libp2p::PeerId> {
  /// Not keyed: fit for tables whose size a ceiling bounds.
  std::size_t operator()(const nmp::libp2p::PeerId& id) const noexcept {
    return std::hash<std::string_view>{}(nmp::text_of(id.bytes()));
  }
};
