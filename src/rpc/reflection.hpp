#pragma once

#include "rpc/server.hpp"

namespace nmp::rpc {

/// Adds grpc.reflection.v1 and v1alpha: the services that `server` has by then, described by the generated protobuf
/// types that are linked in. `server` outlives its calls.
void add_reflection(Server& server);

/// Adds grpc.health.v1: Check and Watch answer SERVING for "" and for each service of `server`; NOT_FOUND (Check) or
/// SERVICE_UNKNOWN (Watch) for others. Watch ends with the connection.
void add_health(Server& server);

}  // namespace nmp::rpc
