#include "libp2p/resources/errors.hpp"

namespace nmp::libp2p::resources {

std::error_code make_error_code(Errc code) {
  static const EnumCategory<Errc> category("resources", [](Errc value) -> std::string_view {
    switch (value) {
      case Errc::exceeded: return "exceeded";
      case Errc::crowded: return "crowded";
      case Errc::rate_limited: return "rate_limited";
    }
    return "unknown";
  });
  return {static_cast<int>(code), category};
}

}  // namespace nmp::libp2p::resources
