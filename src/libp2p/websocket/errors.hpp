#pragma once

#include "base/result.hpp"

namespace nmp::libp2p::websocket {

/// After any of these the connection is to be dropped.
enum class Errc {
  bad_handshake = 1,  ///< Not a WebSocket upgrade, or not its answer.
  bad_frame,          ///< A frame that RFC 6455 does not allow here, or of text.
  truncated,          ///< The stream ended without a Close frame.
  not_established,    ///< Ours: data before the handshake is over, or after finish().
};
std::error_code make_error_code(Errc code);

}  // namespace nmp::libp2p::websocket

template <>
struct std::is_error_code_enum<nmp::libp2p::websocket::Errc> : std::true_type {};
