#pragma once

#include "rpc/server.hpp"

namespace nmp::interop {
/// grpc.testing.TestService as doc/interop-test-descriptions.md asks of servers. UnaryCall with metadata
/// x-nmp-test-reason fails with an ErrorInfo of that reason.
void add_test_service(rpc::Server& server);
}  // namespace nmp::interop
