#pragma once

#include "base/bytes.hpp"
#include "crypto/evp_handle.hpp"
#include "libp2p/peer/keys.hpp"

/// Keys as OpenSSL sees them, for keys.cpp and certificate.cpp only.
namespace nmp::libp2p {

/// A strict DER SubjectPublicKeyInfo that re-encodes to the same bytes, or null.
[[nodiscard]] crypto::EvpKey load_spki(ByteView der);
/// An RSA key (PKCS #1, or RSASSA-PSS) within kRsaBitsMin, kRsaBitsMax and kRsaExponentBitsMax.
[[nodiscard]] bool is_rsa_in_bounds(const crypto::EvpKey& key);
/// `curve` is OpenSSL's name, such as "prime256v1".
[[nodiscard]] bool is_ec_on(const crypto::EvpKey& key, std::string_view curve);
/// An ECDSA, RSA PKCS #1 v1.5 or EdDSA signature; `digest` is "SHA256" and so on, null for EdDSA.
[[nodiscard]] bool verify_signature(const crypto::EvpKey& key,
                                    const char* digest,
                                    ByteView message,
                                    ByteView signature);
/// RSASSA-PSS whose MGF1 hash and salt length are those of `digest`.
[[nodiscard]] bool verify_pss(const crypto::EvpKey& key, const char* digest, ByteView message, ByteView signature);

}  // namespace nmp::libp2p
