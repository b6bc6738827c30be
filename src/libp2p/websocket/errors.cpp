#include "libp2p/websocket/errors.hpp"

namespace nmp::libp2p::websocket {

std::error_code make_error_code(Errc code) {
  static const EnumCategory<Errc> category("websocket", [](Errc value) -> std::string_view {
    switch (value) {
      case Errc::bad_handshake: return "bad_handshake";
      case Errc::bad_frame: return "bad_frame";
      case Errc::truncated: return "truncated";
      case Errc::not_established: return "not_established";
    }
    return "unknown";
  });
  return {static_cast<int>(code), category};
}

}  // namespace nmp::libp2p::websocket
