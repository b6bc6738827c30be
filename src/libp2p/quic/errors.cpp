#include "libp2p/quic/errors.hpp"

namespace nmp::libp2p::quic {

std::error_code make_error_code(Errc code) {
  static const EnumCategory<Errc> category("quic", [](Errc value) -> std::string_view {
    switch (value) {
      case Errc::local_close: return "local_close";
      case Errc::peer_close: return "peer_close";
      case Errc::idle_timeout: return "idle_timeout";
      case Errc::handshake_timeout: return "handshake_timeout";
      case Errc::stateless_reset: return "stateless_reset";
      case Errc::certificate: return "certificate refused";
      case Errc::wrong_peer: return "wrong_peer";
      case Errc::self_dial: return "self_dial";
      case Errc::tls: return "tls handshake failed";
      case Errc::version: return "version not supported";
      case Errc::protocol_violation: return "protocol_violation";
      case Errc::refused: return "refused by a limit";
      case Errc::stream_limit: return "stream_limit";
      case Errc::internal: return "internal";
    }
    return "unknown";
  });
  return {static_cast<int>(code), category};
}

}  // namespace nmp::libp2p::quic
