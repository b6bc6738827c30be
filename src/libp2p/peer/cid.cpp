#include "libp2p/peer/cid.hpp"

#include "base/encoding.hpp"
#include "libp2p/peer/errors.hpp"

namespace nmp::libp2p {

Result<Cid> Cid::decode(ByteView bytes) {
  Reader reader(bytes);
  auto version = reader.uvarint();
  if (!version) return fail(PeerErrc::malformed, "CID version");
  if (*version != 1) return fail(PeerErrc::unsupported, "CID version");
  auto codec = reader.uvarint();
  if (!codec) return fail(PeerErrc::malformed, "CID codec");
  NMP_TRY(auto hash, Multihash::decode(reader.rest()));
  return Cid{.codec = *codec, .hash = std::move(hash)};
}

Result<Cid> Cid::parse(std::string_view text) {
  NMP_TRY(auto bytes, multibase_decode(text));
  return decode(bytes);
}

Bytes Cid::bytes() const { return Writer().uvarint(1).uvarint(codec).bytes(hash.bytes()).take(); }
std::string Cid::to_text() const { return "b" + base32_encode(bytes()); }

}  // namespace nmp::libp2p
