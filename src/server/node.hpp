#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/async/awaitable.hpp"
#include "libp2p/host/host.hpp"
#include "server/config.hpp"

namespace nmp::server {

struct NodeOptions {
  NodeOptions(libp2p::KeyPair key, Config settings) : identity(std::move(key)), config(std::move(settings)) {}

  libp2p::KeyPair identity;
  Config config;
  std::filesystem::path state;                   ///< Folder of the replay ledger; made if absent, 0700.
  std::optional<std::filesystem::path> key_log;  ///< TLS secrets, for debugging only; logged loudly.
};

/// What a started node tells the world.
struct Ready {
  explicit Ready(libp2p::PeerId id) : peer(std::move(id)) {}
  libp2p::PeerId peer;
  std::vector<libp2p::Multiaddr> addresses;  ///< With /p2p.
  std::optional<std::string> tcp;            ///< host:port of the loopback gRPC listener.
  std::size_t peers_joined = 0;              ///< In the routing table after bootstrap.
};

/// The data node: libp2p host, DHT, gRPC service, engine, in one process. Network thread only; close() before
/// destruction.
class Node {
 public:
  /// Opens the state, checks datasets, binds the listeners. Errors name the key of the configuration or the call that
  /// failed.
  static async::Awaitable<Result<std::unique_ptr<Node>>> start(async::Executor executor, NodeOptions options);
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node();

  [[nodiscard]] Ready ready() const;
  [[nodiscard]] libp2p::Host& host();

  /// Refuses new work, ends runs as cancelled, tells every peer.
  async::Awaitable<void> close();

 private:
  class Impl;
  explicit Node(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nmp::server
