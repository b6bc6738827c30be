#include "libp2p/noise/errors.hpp"

namespace nmp::libp2p::noise {

std::error_code make_error_code(Errc code) {
  static const EnumCategory<Errc> category("noise", [](Errc value) -> std::string_view {
    switch (value) {
      case Errc::forged: return "forged";
      case Errc::bad_message: return "bad_message";
      case Errc::weak_key: return "weak_key";
      case Errc::bad_payload: return "bad_payload";
      case Errc::bad_identity: return "bad_identity";
      case Errc::wrong_peer: return "wrong_peer";
      case Errc::no_common_muxer: return "no_common_muxer";
      case Errc::not_established: return "not_established";
      case Errc::truncated: return "truncated";
      case Errc::nonces_spent: return "nonces_spent";
    }
    return "unknown";
  });
  return {static_cast<int>(code), category};
}

}  // namespace nmp::libp2p::noise
