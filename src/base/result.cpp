#include "base/result.hpp"

namespace nmp {

std::error_code make_error_code(Errc code) {
  static const EnumCategory<Errc> category("base", [](Errc value) -> std::string_view {
    switch (value) {
      case Errc::cancelled: return "cancelled";
      case Errc::deadline_exceeded: return "deadline_exceeded";
      case Errc::truncated: return "truncated input";
      case Errc::malformed: return "malformed input";
      case Errc::too_large: return "too_large";
      case Errc::unsupported: return "unsupported";
      case Errc::io: return "io";
      case Errc::closed: return "closed";
      case Errc::not_found: return "not_found";
      case Errc::already_exists: return "already_exists";
      case Errc::exhausted: return "exhausted";
      case Errc::unavailable: return "unavailable";
    }
    return "unknown";
  });
  return {static_cast<int>(code), category};
}

}  // namespace nmp
