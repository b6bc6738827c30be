#pragma once

#include "base/result.hpp"

namespace nmp::sandbox {

/// Why a run ended other than well, or never began. The enumerator's name is the machine-readable reason.
enum class Errc {
  // The filter's doing.
  trap = 1,     ///< An instruction trapped; the context names which.
  unreachable,  ///< `unreachable`: abort() in most languages.
  stack_overflow,
  memory_out_of_bounds,
  memory_limit,  ///< It gave up close below its memory ceiling (RunResult::memory_limit_hit), or starts above it.
  fuel_exhausted,
  wall_time,
  output_limit,    ///< stdout beyond the run's limit.
  event_limit,     ///< Events beyond the run's limit, in number, bytes or the size of one.
  guest_misuse,    ///< A pointer outside its memory, or an import used against its contract.
  exit_code,       ///< proc_exit with a code other than 0.
  invalid_module,  ///< The compiler refuses it.
  start_failed,    ///< It could not be instantiated: a segment out of bounds, or no room for what it declares.
  // Ours or the caller's.
  cancelled,
  busy,                 ///< No room for one more run, or the compile queue is full.
  module_unknown,       ///< Run by hash, and the module is not cached for that account.
  module_mismatch,      ///< The bytes are not those of the signed hash.
  inputs_invalid,       ///< Inputs over their ceilings, or not what the intent committed to.
  dataset_unavailable,  ///< A dataset's folder cannot be opened or walked.
  engine_failed,        ///< Wasmtime or the operating system failed us; the context says how.
  too_many_watchdogs,   ///< Of this agent, or of all.
  not_available,        ///< This engine keeps no watchdogs.
  storage_failed,       ///< The host cannot store what must not be lost.
  // The protocol.
  protocol,  ///< A frame that has no place here.
  session_unknown,
  run_reused,  ///< Run numbers rise.
  envelope,    ///< A box does not open.
};
std::error_code make_error_code(Errc code);
/// The enumerator's name: what an agent gets as the reason.
[[nodiscard]] std::string_view reason_of(Errc code);
/// The same for any code: a guardian's refusal is `module_refused`, what is unknown `engine_failed`.
[[nodiscard]] std::string_view reason_of(const std::error_code& code);

}  // namespace nmp::sandbox

template <>
struct std::is_error_code_enum<nmp::sandbox::Errc> : std::true_type {};
