#include "libp2p/tls/errors.hpp"

namespace nmp::libp2p::tls {

std::error_code make_error_code(Errc code) {
  static const EnumCategory<Errc> category("tls", [](Errc value) -> std::string_view {
    switch (value) {
      case Errc::certificate: return "certificate refused";
      case Errc::wrong_peer: return "wrong_peer";
      case Errc::self_dial: return "self_dial";
      case Errc::handshake: return "tls handshake failed";
      case Errc::record: return "record refused";
      case Errc::truncated: return "truncated";
      case Errc::not_established: return "not_established";
      case Errc::setup: return "setup";
    }
    return "unknown";
  });
  return {static_cast<int>(code), category};
}

}  // namespace nmp::libp2p::tls
