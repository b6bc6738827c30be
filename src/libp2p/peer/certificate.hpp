#pragma once

#include <span>

#include "base/random.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/time.hpp"
#include "libp2p/peer/keys.hpp"
#include "libp2p/peer/peer_id.hpp"

/// The TLS certificate of libp2p/specs tls/tls.md: self-signed, with a fresh key, and an extension in which the host
/// key signs that key.
namespace nmp::libp2p {

/// A certificate and its private key (PKCS #8 DER, erased on destruction).
struct TlsCertificate {
  TlsCertificate(Bytes certificate, Bytes key) : certificate_der(std::move(certificate)), key_der(std::move(key)) {}
  TlsCertificate(const TlsCertificate&) = delete;
  TlsCertificate& operator=(const TlsCertificate&) = delete;
  TlsCertificate(TlsCertificate&&) noexcept = default;
  TlsCertificate& operator=(TlsCertificate&& other) noexcept {
    erase(key_der);
    certificate_der = std::move(other.certificate_der);
    key_der = std::move(other.key_der);
    return *this;
  }
  ~TlsCertificate() { erase(key_der); }

  Bytes certificate_der;
  Bytes key_der;
};

/// A new P-256 certificate for `identity`, valid from a day before `now` (peers' clocks differ) for 100 years. The
/// P-256 key comes from the system's generator, whatever `random` is; `random` gives the serial number. Errors: base io
/// if OpenSSL fails.
Result<TlsCertificate> make_certificate(const KeyPair& identity, UnixSeconds now, Random& random);

/// Checks a peer's chain as tls.md and libp2p.md section 5 list it, steps 1 to 6, and says who the peer is. The TLS
/// library has yet to check CertificateVerify (its own doing), and the caller whether this is the peer that it wanted.
/// Errors: PeerErrc::certificate_*, and those of PublicKey::decode. Tell the peer none of it.
Result<PeerId> verify_certificate(std::span<const Bytes> chain, UnixSeconds now);

}  // namespace nmp::libp2p
