#pragma once

#include <optional>

#include "core/intent.hpp"
#include "core/statement.hpp"

/// Parts that intents and receipts share. For this room's .cpp files.
namespace nmp::core {

/// [via, principal] or null.
[[nodiscard]] cbor::Value via_to_cbor(const std::optional<Via>& via);
Result<std::optional<Via>> via_from_cbor(const cbor::Value& value);

}  // namespace nmp::core
