#include "libp2p/peer/peer_id.hpp"

#include "base/encoding.hpp"
#include "libp2p/peer/cid.hpp"
#include "libp2p/peer/errors.hpp"

namespace nmp::libp2p {

PeerId::PeerId(ByteView multihash) : size_(static_cast<std::uint8_t>(multihash.size())) {
  NMP_ASSERT(multihash.size() <= bytes_.size());
  std::ranges::copy(multihash, bytes_.begin());
}

PeerId PeerId::of(const PublicKey& key) {
  auto hash =
      key.bytes().size() <= kInlineKeyBytesMax ? Multihash::identity(key.bytes()) : Multihash::sha2_256(key.bytes());
  return PeerId(hash.bytes());
}

Result<PeerId> PeerId::from_bytes(ByteView bytes) {
  NMP_TRY(auto hash, Multihash::decode(bytes));
  if (hash.code() == kIdentityHash) {
    if (hash.digest().size() > kInlineKeyBytesMax) return fail(PeerErrc::too_large, "inline key of a peer ID");
    NMP_CHECK(PublicKey::decode(hash.digest()));
  } else if (hash.code() != kSha2_256) {
    return fail(PeerErrc::unsupported, "multihash of a peer ID");
  }
  return PeerId(bytes);
}

Result<PeerId> PeerId::parse(std::string_view text) {
  if (text.size() > kCidTextMax) return fail(PeerErrc::too_large, "peer ID");
  if (text.starts_with('1') || text.starts_with("Qm")) {
    auto bytes = base58_decode(text);
    if (!bytes) return fail(PeerErrc::malformed, "peer ID");
    return from_bytes(*bytes);
  }
  NMP_TRY(auto cid, Cid::parse(text));
  if (cid.codec != kLibp2pKeyCodec) return fail(PeerErrc::unsupported, "CID codec of a peer ID");
  return from_bytes(cid.hash.bytes());
}

std::string PeerId::to_text() const { return base58_encode(bytes()); }

std::string PeerId::to_cid_text() const {
  return "b" + base32_encode(Writer().uvarint(1).uvarint(kLibp2pKeyCodec).bytes(bytes()).take());
}

Result<PublicKey> PeerId::public_key() const {
  if (bytes_[0] != std::byte{kIdentityHash}) return fail(PeerErrc::no_inline_key);
  return PublicKey::decode(bytes().subspan(2));
}

Result<crypto::Ed25519PublicKey> PeerId::ed25519_key() const {
  NMP_TRY(auto key, public_key());
  return key.ed25519();
}

std::strong_ordering operator<=>(const PeerId& a, const PeerId& b) {
  auto x = a.bytes();
  auto y = b.bytes();
  return std::lexicographical_compare_three_way(x.begin(), x.end(), y.begin(), y.end());
}

}  // namespace nmp::libp2p
