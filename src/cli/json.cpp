#include "cli/json.hpp"

#include <nlohmann/json.hpp>

namespace nmp::cli {
namespace {

template <class Quantities, class Show>
nlohmann::json json_with(const Quantities& q, Show show) {
  return {{"memory_bytes", show(q.memory_bytes)},         {"fuel", show(q.fuel)},
          {"wall_time_ms", show(q.wall_time_ms)},         {"output_bytes", show(q.output_bytes)},
          {"event_bytes", show(q.event_bytes)},           {"events", show(q.events)},
          {"diagnostic_bytes", show(q.diagnostic_bytes)}, {"input_bytes", show(q.input_bytes)}};
}

}  // namespace

nlohmann::json json_of(const core::Authorization& limits) {
  return json_with(
      limits, [](std::uint64_t value) { return value == core::kNoCeiling ? nlohmann::json() : nlohmann::json(value); });
}

nlohmann::json json_of(const core::Usage& used) {
  return json_with(used, [](std::uint64_t value) { return nlohmann::json(value); });
}

}  // namespace nmp::cli
