#pragma once

#include "libp2p/resources/limits.hpp"
#include "server/config.hpp"

namespace nmp::server {

/// gRPC in a libp2p stream.
inline constexpr std::string_view kGrpcProtocol = "/nmp/grpc/1.0.0";

/// What peers may take of a node's libp2p host: scaled to the machine, unless `[limits]` says otherwise.
[[nodiscard]] libp2p::resources::Limits network_limits(const LimitsConfig& wanted,
                                                       const libp2p::resources::Machine& machine);

}  // namespace nmp::server
