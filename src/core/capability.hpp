#pragma once

#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace nmp::core {

/// `[a-z0-9][a-z0-9._-]{0,62}`: names of capabilities, datasets, inputs (security.md, "Mesh and bridges").
[[nodiscard]] bool is_name(std::string_view text);
/// Errors: Errc::bad_name, with `what` ("capability") in the context.
Result<void> check_name(std::string_view text, std::string_view what);

/// What a provider of the capability announces to the DHT: the multihash (sha2-256) of `/nmp/capability/NAME`.
/// Precondition: is_name(name).
[[nodiscard]] Bytes capability_key(std::string_view name);
/// `capability_hash` on the wire: base32 text of CIDv1(raw, sha2-256 of `/nmp/capability/NAME`).
[[nodiscard]] std::string capability_hash(std::string_view name);
/// Whether message field 2 names this capability: its CIDv1 text, or the bare name.
[[nodiscard]] bool names_capability(std::string_view field, std::string_view name);

}  // namespace nmp::core
