#pragma once

#include <system_error>

#include "base/result.hpp"

namespace nmp::libp2p::resources {

enum class Errc {
  exceeded = 1,  ///< A scope's ceiling. The context names scope, limit and use: "peer 12D3..: streams in 512 of 512".
  crowded,       ///< Too many connections of one subnet; named alike.
  rate_limited,  ///< Too many new ones of one subnet in a while.
};
std::error_code make_error_code(Errc code);

}  // namespace nmp::libp2p::resources

template <>
struct std::is_error_code_enum<nmp::libp2p::resources::Errc> : std::true_type {};
