#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>

#include "base/result.hpp"
#include "crypto/cbor.hpp"

namespace nmp::core {

/// "No ceiling from this side." Never on the wire: a limit without a ceiling is left out of the map.
inline constexpr std::uint64_t kNoCeiling = std::numeric_limits<std::uint64_t>::max();

/// What one run may use. The engine gets the minimum of node policy, request and (later) grant. As CBOR: a map
/// {1: memory_bytes, 2: fuel, 3: wall_time_ms, 4: output_bytes, 5: event_bytes, 6: events, 7: diagnostic_bytes, 8:
/// input_bytes}.
struct Authorization {
  std::uint64_t memory_bytes = kNoCeiling;      ///< Linear memory and tables of the guest, all instances together.
  std::uint64_t fuel = kNoCeiling;              ///< Wasmtime fuel: about one per Wasm instruction.
  std::uint64_t wall_time_ms = kNoCeiling;      ///< Milliseconds from start to end, waiting included.
  std::uint64_t output_bytes = kNoCeiling;      ///< stdout, which is the evidence.
  std::uint64_t event_bytes = kNoCeiling;       ///< All events together.
  std::uint64_t events = kNoCeiling;            ///< How many events.
  std::uint64_t diagnostic_bytes = kNoCeiling;  ///< stderr.
  std::uint64_t input_bytes = kNoCeiling;       ///< Names and values of the inputs together.

  friend bool operator==(const Authorization&, const Authorization&) = default;

  [[nodiscard]] std::chrono::milliseconds wall_time() const;  ///< Saturates at milliseconds::max().
  /// Whether every limit has a ceiling: an answer's effective limits and a receipt's must.
  [[nodiscard]] bool is_complete() const;
};

/// Limit by limit.
[[nodiscard]] Authorization minimum(const Authorization& a, const Authorization& b);
/// Whether `a` allows nothing that `b` does not.
[[nodiscard]] bool within(const Authorization& a, const Authorization& b);

[[nodiscard]] cbor::Value to_cbor(const Authorization& limits);
/// Errors: Errc::bad_statement for an unknown key, a value that is not a uint, or an explicit kNoCeiling.
Result<Authorization> authorization_from_cbor(const cbor::Value& value);

/// What a run did use: the same map, all keys present, in the same units. `memory_bytes` is the peak.
struct Usage {
  std::uint64_t memory_bytes = 0;
  std::uint64_t fuel = 0;
  std::uint64_t wall_time_ms = 0;
  std::uint64_t output_bytes = 0;
  std::uint64_t event_bytes = 0;
  std::uint64_t events = 0;
  std::uint64_t diagnostic_bytes = 0;
  std::uint64_t input_bytes = 0;

  friend bool operator==(const Usage&, const Usage&) = default;
};
[[nodiscard]] cbor::Value to_cbor(const Usage& used);
Result<Usage> usage_from_cbor(const cbor::Value& value);

}  // namespace nmp::core
