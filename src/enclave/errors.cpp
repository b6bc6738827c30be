#include "enclave/errors.hpp"

#include <array>

namespace nmp::enclave {

std::error_code make_error_code(Errc code) {
  static const EnumCategory<Errc> category("enclave", [](Errc value) -> std::string_view {
    switch (value) {
      case Errc::malformed: return "malformed";
      case Errc::too_large: return "too_large";
      case Errc::unsupported_version: return "unsupported_version";
      case Errc::wrong_algorithm: return "wrong_algorithm";
      case Errc::root_mismatch: return "root_mismatch";
      case Errc::certificate_missing: return "certificate_missing";
      case Errc::bad_chain: return "bad_chain";
      case Errc::certificate_expired: return "certificate_expired";
      case Errc::certificate_not_yet_valid: return "certificate_not_yet_valid";
      case Errc::bad_signature: return "bad_signature";
      case Errc::stale: return "stale";
      case Errc::from_the_future: return "from_the_future";
      case Errc::nonce_mismatch: return "nonce_mismatch";
      case Errc::binding_mismatch: return "binding_mismatch";
      case Errc::debug_mode: return "debug_mode";
      case Errc::migration_allowed: return "migration_allowed";
      case Errc::measurement_mismatch: return "measurement_mismatch";
      case Errc::tcb_too_old: return "tcb_too_old";
      case Errc::tcb_mismatch: return "tcb_mismatch";
      case Errc::chip_mismatch: return "chip_mismatch";
      case Errc::wrong_privilege: return "wrong_privilege";
      case Errc::weak_policy: return "weak_policy";
    }
    return "unknown";
  });
  return {static_cast<int>(code), category};
}

std::span<const Errc> all_reasons() {
  static constexpr auto kAll = [] {
    std::array<Errc, std::to_underlying(Errc::weak_policy)> all{};
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<Errc>(i + 1);
    return all;
  }();
  return kAll;
}

}  // namespace nmp::enclave
