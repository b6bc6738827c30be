#pragma once

#include "base/result.hpp"

namespace nmp::libp2p::noise {

/// After any of these the connection is to be dropped; the peer is told nothing.
enum class Errc {
  forged = 1,       ///< An AEAD tag does not match, or a frame is too short for one. Says no more.
  bad_message,      ///< A handshake message of a size that it cannot have, such as a first one with a payload.
  weak_key,         ///< A public key of small order: the Diffie-Hellman result is all zero.
  bad_payload,      ///< Not a NoiseHandshakePayload, or over a ceiling of limits.hpp.
  bad_identity,     ///< The host key is not usable, or did not sign the static key.
  wrong_peer,       ///< Another peer than the expected one.
  no_common_muxer,  ///< Both sides list muxers, and none is in both lists.
  not_established,  ///< Ours: data before the handshake is over.
  truncated,        ///< The stream ended inside the handshake or inside a frame.
  nonces_spent,     ///< 2^64 - 1 frames in one direction.
};
std::error_code make_error_code(Errc code);

}  // namespace nmp::libp2p::noise

template <>
struct std::is_error_code_enum<nmp::libp2p::noise::Errc> : std::true_type {};
