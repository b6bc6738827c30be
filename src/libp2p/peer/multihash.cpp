#include "libp2p/peer/multihash.hpp"

#include "base/encoding.hpp"
#include "libp2p/peer/errors.hpp"
#include "libp2p/peer/limits.hpp"

namespace nmp::libp2p {

Multihash::Multihash(std::uint64_t code, ByteView digest) : code_(code) {
  Writer writer;
  writer.uvarint(code).uvarint(digest.size());
  digest_at_ = writer.size();
  writer.bytes(digest);
  bytes_ = writer.take();
}

Multihash Multihash::sha2_256(ByteView content) { return of_digest(crypto::sha256(content)); }
Multihash Multihash::of_digest(const crypto::Digest& digest) { return {kSha2_256, digest}; }

Multihash Multihash::identity(ByteView content) {
  NMP_ASSERT(content.size() <= kDigestBytesMax);
  return {kIdentityHash, content};
}

Result<Multihash> Multihash::read(Reader& reader) {
  auto code = reader.uvarint();
  if (!code) return fail(PeerErrc::malformed, "multihash code");
  auto size = reader.uvarint();
  if (!size) return fail(PeerErrc::malformed, "multihash size");
  if (*size > kDigestBytesMax) return fail(PeerErrc::too_large, "multihash digest");
  if (*code == kSha2_256 && *size != 32) return fail(PeerErrc::malformed, "sha2-256 digest size");
  auto digest = reader.take(*size);
  if (!digest) return fail(PeerErrc::malformed, "multihash digest");
  return Multihash(*code, *digest);
}

Result<Multihash> Multihash::decode(ByteView bytes) {
  Reader reader(bytes);
  NMP_TRY(auto hash, read(reader));
  if (!reader.empty()) return fail(PeerErrc::malformed, "bytes after the multihash");
  return hash;
}

Result<Bytes> multibase_decode(std::string_view text) {
  if (text.empty()) return fail(PeerErrc::malformed, "multibase");
  if (text.size() > kCidTextMax) return fail(PeerErrc::too_large, "multibase");
  auto body = text.substr(1);
  auto decoded = [&]() -> Result<Bytes> {
    switch (text[0]) {
      case 'b': return base32_decode(body);
      case 'f': return hex_decode(body);
      case 'k': return base36_decode(body);
      case 'u': return base64url_decode(body);
      case 'z': return base58_decode(body);
      default: return fail(PeerErrc::unsupported, "multibase");
    }
  }();
  if (!decoded && decoded.error().code != PeerErrc::unsupported) return fail(PeerErrc::malformed, "multibase");
  return decoded;
}

}  // namespace nmp::libp2p
