#include "libp2p/peer/tls_extension.hpp"

#include "libp2p/peer/der.hpp"
#include "libp2p/peer/errors.hpp"

namespace nmp::libp2p {

Result<TlsExtension> TlsExtension::decode(ByteView bytes) {
  auto read_all = [](ByteView input) -> Result<std::pair<ByteView, ByteView>> {
    Reader outer(input);
    NMP_TRY(auto body, der::read(outer, der::kSequence));
    Reader reader(body);
    NMP_TRY(auto key, der::read(reader, der::kOctetString));
    NMP_TRY(auto signature, der::read(reader, der::kOctetString));
    if (!reader.empty() || !outer.empty()) return fail(PeerErrc::certificate_extension, "trailing bytes");
    return std::pair(key, signature);
  };
  auto parts = read_all(bytes);
  if (!parts) return fail(PeerErrc::certificate_extension, parts.error().context);
  NMP_TRY(auto key, PublicKey::decode(parts->first));
  return TlsExtension{.host_key = std::move(key), .signature = to_bytes(parts->second)};
}

Bytes TlsExtension::encode() const {
  auto key = der::element(der::kOctetString, {host_key.bytes()});
  auto signed_part = der::element(der::kOctetString, {signature});
  return der::element(der::kSequence, {key, signed_part});
}

ByteView tls_extension_oid() {
  static constexpr std::array<std::uint8_t, 10> kOid = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xa2, 0x5a, 0x01, 0x01};
  return std::as_bytes(std::span(kOid));
}

Bytes tls_extension_message(ByteView spki) { return concat({bytes_of("libp2p-tls-handshake:"), spki}); }

}  // namespace nmp::libp2p
