#include "sandbox/errors.hpp"

#include "sandbox/guardian/errors.hpp"

namespace nmp::sandbox {

std::string_view reason_of(Errc code) {
  switch (code) {
    case Errc::trap: return "trap";
    case Errc::unreachable: return "unreachable";
    case Errc::stack_overflow: return "stack_overflow";
    case Errc::memory_out_of_bounds: return "memory_out_of_bounds";
    case Errc::memory_limit: return "memory_limit";
    case Errc::fuel_exhausted: return "fuel_exhausted";
    case Errc::wall_time: return "wall_time";
    case Errc::output_limit: return "output_limit";
    case Errc::event_limit: return "event_limit";
    case Errc::guest_misuse: return "guest_misuse";
    case Errc::exit_code: return "exit_code";
    case Errc::invalid_module: return "invalid_module";
    case Errc::start_failed: return "start_failed";
    case Errc::cancelled: return "cancelled";
    case Errc::busy: return "busy";
    case Errc::module_unknown: return "module_unknown";
    case Errc::module_mismatch: return "module_mismatch";
    case Errc::inputs_invalid: return "inputs_invalid";
    case Errc::dataset_unavailable: return "dataset_unavailable";
    case Errc::engine_failed: return "engine_failed";
    case Errc::too_many_watchdogs: return "too_many_watchdogs";
    case Errc::not_available: return "not_available";
    case Errc::storage_failed: return "storage_failed";
    case Errc::protocol: return "protocol";
    case Errc::session_unknown: return "session_unknown";
    case Errc::run_reused: return "run_reused";
    case Errc::envelope: return "envelope";
  }
  return "unknown";
}

std::error_code make_error_code(Errc code) {
  static const EnumCategory<Errc> category("sandbox", [](Errc value) { return reason_of(value); });
  return {static_cast<int>(code), category};
}

std::string_view reason_of(const std::error_code& code) {
  if (code.category() == make_error_code(Errc::trap).category()) return reason_of(static_cast<Errc>(code.value()));
  if (code.category() == guardian::make_error_code(guardian::Errc::too_large).category()) return "module_refused";
  if (code == nmp::Errc::cancelled) return "cancelled";
  if (code == nmp::Errc::not_found) return "not_found";
  if (code == nmp::Errc::malformed) return "inputs_invalid";
  return "engine_failed";
}

}  // namespace nmp::sandbox
