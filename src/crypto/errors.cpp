#include "crypto/errors.hpp"

namespace nmp::crypto {

std::error_code make_error_code(Errc code) {
  static const EnumCategory<Errc> category("crypto", [](Errc value) -> std::string_view {
    switch (value) {
      case Errc::invalid_key: return "invalid_key";
      case Errc::invalid_signature: return "invalid_signature";
      case Errc::forged: return "forged";
      case Errc::malformed: return "malformed";
      case Errc::not_canonical: return "not_canonical";
      case Errc::too_large: return "too_large";
      case Errc::too_deep: return "too_deep";
      case Errc::wrong_type: return "wrong_type";
      case Errc::missing_field: return "missing_field";
      case Errc::unknown_field: return "unknown_field";
      case Errc::wrong_key: return "wrong_key";
    }
    return "unknown";
  });
  return {static_cast<int>(code), category};
}

}  // namespace nmp::crypto
