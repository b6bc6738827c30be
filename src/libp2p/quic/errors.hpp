#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace nmp::libp2p::quic {

enum class Errc {
  local_close = 1,  ///< We closed it.
  peer_close,       ///< The peer closed it; the close code tells why.
  idle_timeout,
  handshake_timeout,
  stateless_reset,     ///< The peer does not know the connection any more.
  certificate,         ///< The peer's certificate is not a valid libp2p certificate.
  wrong_peer,          ///< Valid, but not the peer that was dialled.
  self_dial,           ///< The peer has our own identity.
  tls,                 ///< Any other failure of the TLS handshake, ALPN included.
  version,             ///< The peer does not speak QUIC version 1.
  protocol_violation,  ///< The peer broke a rule of QUIC.
  refused,             ///< A limit of ours.
  stream_limit,        ///< No stream may be opened now.
  internal,
};
std::error_code make_error_code(Errc code);

/// Why a connection ended.
struct CloseReason {
  Errc error = Errc::internal;
  bool application = false;  ///< `code` is an application (libp2p) code rather than a QUIC transport code
  std::uint64_t code = 0;
  std::string text;  ///< for operators; may be the peer's words
};

}  // namespace nmp::libp2p::quic

template <>
struct std::is_error_code_enum<nmp::libp2p::quic::Errc> : std::true_type {};
