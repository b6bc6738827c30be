#pragma once

#include <filesystem>
#include <memory>

#include "base/async/awaitable.hpp"
#include "base/socket_address.hpp"
#include "client/agent.hpp"
#include "libp2p/host/host.hpp"

namespace nmp::bench {

/// An agent at one node, one session at a time. close() before destruction.
class Dispatcher {
 public:
  virtual ~Dispatcher() = default;
  /// A new session in place of the last one; `request` outlives it.
  virtual async::Awaitable<Result<void>> negotiate(const client::RunRequest& request) = 0;
  /// One run, to its checked receipt. A filter that failed is an error here: it would be quick.
  virtual async::Awaitable<Result<client::RunOutcome>> execute() = 0;
  virtual async::Awaitable<void> close() = 0;
};
using DispatcherPtr = std::unique_ptr<Dispatcher>;

/// client::Agent over libp2p QUIC: the real path. `state`: the folder of its run records; empty: in memory.
Result<DispatcherPtr> quic_dispatcher(async::Executor executor, libp2p::PeerInfo node, std::filesystem::path state);
/// The same steps and checks over the node's loopback gRPC listener; without the manifest, which only libp2p carries.
DispatcherPtr tcp_dispatcher(async::Executor executor, libp2p::PeerId node, SocketAddress address);

}  // namespace nmp::bench
