#pragma once

#include <string>

#include "base/bytes.hpp"
#include "base/codec.hpp"
#include "base/result.hpp"
#include "crypto/hash.hpp"

namespace nmp::libp2p {

/// Codes of the multicodec table, type "multihash".
inline constexpr std::uint64_t kIdentityHash = 0x00;
inline constexpr std::uint64_t kSha2_256 = 0x12;

/// uvarint(code) uvarint(digest length) digest. sha2-256 always has 32 bytes of digest.
class Multihash {
 public:
  [[nodiscard]] static Multihash sha2_256(ByteView content);
  [[nodiscard]] static Multihash of_digest(const crypto::Digest& digest);
  /// At most kDigestBytesMax bytes, which is the caller's to keep (asserted).
  [[nodiscard]] static Multihash identity(ByteView content);

  /// Exactly one multihash. Errors: PeerErrc::malformed, too_large.
  static Result<Multihash> decode(ByteView bytes);
  /// The multihash at the front of `reader`.
  static Result<Multihash> read(Reader& reader);

  [[nodiscard]] std::uint64_t code() const { return code_; }
  [[nodiscard]] ByteView digest() const { return ByteView(bytes_).subspan(digest_at_); }
  [[nodiscard]] const Bytes& bytes() const { return bytes_; }

  friend bool operator==(const Multihash& a, const Multihash& b) { return a.bytes_ == b.bytes_; }
  friend auto operator<=>(const Multihash& a, const Multihash& b) { return a.bytes_ <=> b.bytes_; }

 private:
  Multihash(std::uint64_t code, ByteView digest);
  std::uint64_t code_;
  std::size_t digest_at_;
  Bytes bytes_;
};

/// Text with a multibase prefix: f hex, b base32, z base58btc, k base36, u base64url.
/// Errors: PeerErrc::unsupported for other prefixes, malformed, too_large.
Result<Bytes> multibase_decode(std::string_view text);

}  // namespace nmp::libp2p
