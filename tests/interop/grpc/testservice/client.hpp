#pragma once

#include <string>

#include "rpc/channel.hpp"

namespace nmp::interop {

/// Runs one case of grpc/grpc doc/interop-test-descriptions.md by its name there; gzip_unary and gzip_ping_pong are
/// large_unary and ping_pong compressed both ways by a server that answers as it is asked. Empty if it passed, else
/// what was wrong.
async::Awaitable<std::string> run_case(rpc::Channel& channel, std::string name);

}  // namespace nmp::interop
