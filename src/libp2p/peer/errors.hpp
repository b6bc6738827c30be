#pragma once

#include "base/result.hpp"

/// `PeerErrc` rather than `Errc`: namespace nmp::libp2p is shared by all libp2p rooms.
namespace nmp::libp2p {

enum class PeerErrc {
  malformed = 1,          ///< Not of its format.
  not_canonical,          ///< A key protobuf with other bytes than the ones that we would write.
  unsupported,            ///< Known to the format, not to us (a key type, a multibase, a protocol code).
  too_large,              ///< Over a ceiling of limits.hpp.
  invalid_key,            ///< Not a usable key of its type: off its curve, of small order, RSA outside 2048..8192 bits.
  invalid_signature,      ///< Of an envelope.
  wrong_signer,           ///< An envelope that is not signed by the peer that it speaks of, or of another payload type.
  certificate_count,      ///< Not exactly one certificate.
  certificate_malformed,  ///< Not strict DER of an X.509 v3 certificate, or with what libp2p forbids.
  certificate_expired,
  certificate_not_yet_valid,
  certificate_algorithm,       ///< Signature algorithm outside the accepted set.
  certificate_self_signature,  ///< Not signed with its own key.
  certificate_extension,       ///< The libp2p extension is missing or malformed.
  certificate_host_signature,  ///< The host key did not sign the certificate's key.
  key_file_permissions,        ///< Others than its owner may read or write the key file.
  key_file_malformed,
  no_inline_key,  ///< The peer ID is a hash: the key must come from elsewhere.
};
std::error_code make_error_code(PeerErrc code);

}  // namespace nmp::libp2p

template <>
struct std::is_error_code_enum<nmp::libp2p::PeerErrc> : std::true_type {};
