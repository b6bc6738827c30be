#pragma once

#include "base/result.hpp"

namespace nmp::libp2p::tls {

/// After any of these the connection is to be dropped.
enum class Errc {
  certificate = 1,  ///< The peer's certificate is not a valid libp2p certificate, or there is none, or several.
  wrong_peer,       ///< Valid, but not the expected peer.
  self_dial,        ///< The peer has our own identity.
  handshake,        ///< Any other failure of the handshake: version, cipher, ALPN, the peer's alert.
  record,           ///< After the handshake: a record that does not open, or a message that may not stand there.
  truncated,        ///< The stream ended inside the handshake, or without the peer's goodbye.
  not_established,  ///< Ours: data before the handshake is over.
  setup,            ///< Ours: GnuTLS does not take our certificate or settings, or is out of memory.
};
std::error_code make_error_code(Errc code);

}  // namespace nmp::libp2p::tls

template <>
struct std::is_error_code_enum<nmp::libp2p::tls::Errc> : std::true_type {};
