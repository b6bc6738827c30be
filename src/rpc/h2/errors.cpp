#include "rpc/h2/errors.hpp"

namespace nmp::h2 {

std::error_code make_error_code(Errc code) {
  static const EnumCategory<Errc> category("h2", [](Errc value) -> std::string_view {
    switch (value) {
      case Errc::protocol: return "protocol violation";
      case Errc::flooded: return "flooded";
      case Errc::ended: return "ended";
      case Errc::no_stream: return "no_stream";
      case Errc::refused: return "refused";
      case Errc::message_too_large: return "message_too_large";
      case Errc::bad_frame: return "bad_frame";
      case Errc::unexpected_compression: return "unexpected_compression";
      case Errc::bad_compression: return "bad_compression";
      case Errc::bad_timeout: return "bad_timeout";
      case Errc::bad_metadata: return "bad_metadata";
    }
    return "unknown";
  });
  return {static_cast<int>(code), category};
}

}  // namespace nmp::h2
