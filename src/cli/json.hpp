#pragma once

#include <nlohmann/json_fwd.hpp>

#include "core/authorization.hpp"

/// Values as every command prints them:
/// {"memory_bytes":..,"fuel":..,"wall_time_ms":..,"output_bytes":..,"event_bytes":..,
/// "events":..,"diagnostic_bytes":..,"input_bytes":..}. A limit without a ceiling is null.
namespace nmp::cli {

[[nodiscard]] nlohmann::json json_of(const core::Authorization& limits);
[[nodiscard]] nlohmann::json json_of(const core::Usage& used);

}  // namespace nmp::cli
