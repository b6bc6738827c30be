#include "core/did.hpp"

#include "base/encoding.hpp"
#include "core/errc.hpp"

namespace nmp::core {
namespace {

constexpr std::string_view kPrefix = "did:key:z";
/// Multicodec ed25519-pub (0xed) as an unsigned varint.
constexpr ByteArray<2> kEd25519Pub{std::byte{0xed}, std::byte{0x01}};
/// 34 bytes are at most 47 base58 characters.
constexpr std::size_t kDidBytesMax = kPrefix.size() + 47;

}  // namespace

std::string did_of(const crypto::Ed25519PublicKey& key) {
  return std::string(kPrefix) + base58_encode(concat({ByteView(kEd25519Pub), ByteView(key.bytes())}));
}

Result<std::string> did_of(const libp2p::PeerId& peer) {
  auto key = peer.ed25519_key();
  if (!key) return fail(Errc::bad_did, "peer without an Ed25519 key");
  return did_of(*key);
}

Result<crypto::Ed25519PublicKey> parse_did(std::string_view text) {
  if (text.size() > kDidBytesMax || !text.starts_with(kPrefix)) return fail(Errc::bad_did);
  auto bytes = base58_decode(text.substr(kPrefix.size()));
  if (!bytes || bytes->size() != 34 || !equal(ByteView(*bytes).first(2), kEd25519Pub)) return fail(Errc::bad_did);
  auto key = crypto::Ed25519PublicKey::decode(ByteView(*bytes).subspan(2));
  if (!key) return fail(Errc::bad_did, key.error().message());
  if (did_of(*key) != text) return fail(Errc::bad_did, "another spelling");
  return *key;
}

Result<libp2p::PeerId> peer_of_did(std::string_view text) {
  NMP_TRY(auto key, parse_did(text));
  return peer_of(key);
}

libp2p::PeerId peer_of(const crypto::Ed25519PublicKey& key) { return libp2p::PeerId::of(key); }

}  // namespace nmp::core
