#pragma once

#include "base/bytes.hpp"
#include "base/secret.hpp"
#include "crypto/evp_handle.hpp"

namespace nmp::crypto {

using Digest = ByteArray<32>;

/// FIPS 180-4.
[[nodiscard]] Digest sha256(ByteView bytes);
[[nodiscard]] ByteArray<48> sha384(ByteView bytes);
[[nodiscard]] ByteArray<64> sha512(ByteView bytes);
/// SHA-1, which protects nothing: RFC 6455 section 4.2.2 has a server show with it that it read the request.
[[nodiscard]] ByteArray<20> sha1_for_websocket(ByteView bytes);

/// SHA-256 of bytes that come in pieces. `finish` may be called once; afterwards the object is spent.
class Sha256 {
 public:
  Sha256();
  Sha256& update(ByteView bytes);
  [[nodiscard]] Digest finish();

 private:
  EvpDigest context_;
};

/// RFC 2104 with SHA-256.
[[nodiscard]] Digest hmac_sha256(ByteView key, ByteView bytes);

/// RFC 5869 section 2.2, with SHA-256. An empty salt stands for 32 zero bytes.
[[nodiscard]] SecretBytes<32> hkdf_extract(ByteView salt, ByteView ikm);
/// RFC 5869 section 2.3, with SHA-256: fills `out`, at most 255 * 32 bytes.
void hkdf_expand(const SecretBytes<32>& prk, ByteView info, std::span<std::byte> out);
/// The same, as a secret of a fixed size: `hkdf_expand<32>(prk, info)`.
template <std::size_t N>
[[nodiscard]] SecretBytes<N> hkdf_expand(const SecretBytes<32>& prk, ByteView info) {
  SecretBytes<N> out;
  hkdf_expand(prk, info, out.mutable_view());
  return out;
}

}  // namespace nmp::crypto
