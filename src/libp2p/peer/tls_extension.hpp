#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "libp2p/peer/keys.hpp"

/// The libp2p certificate extension (libp2p/specs tls/tls.md), for the certificate files only.
namespace nmp::libp2p {

/// extnValue: SEQUENCE { OCTET STRING publicKey, OCTET STRING signature }.
struct TlsExtension {
  PublicKey host_key;
  Bytes signature;

  /// Errors: PeerErrc::certificate_extension, and those of PublicKey::decode.
  static Result<TlsExtension> decode(ByteView der);
  [[nodiscard]] Bytes encode() const;
};

/// Contents of the OBJECT IDENTIFIER 1.3.6.1.4.1.53594.1.1.
[[nodiscard]] ByteView tls_extension_oid();
/// What the host key signs: a prefix, then the DER SubjectPublicKeyInfo of the certificate's key.
[[nodiscard]] Bytes tls_extension_message(ByteView spki);

}  // namespace nmp::libp2p
