#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/exchange.hpp"
#include "core/manifest.hpp"
#include "core/trust.hpp"
#include "libp2p/host/dht.hpp"
#include "libp2p/host/host.hpp"

namespace nmp::client {

struct AgentOptions {
  explicit AgentOptions(libp2p::KeyPair key) : identity(std::move(key)) {}
  libp2p::KeyPair identity;
  std::vector<libp2p::PeerInfo> bootstrap;
  std::filesystem::path state;  ///< Folder of run records and manifest sequence numbers; empty: in memory.
  core::TrustFile trust;
  std::optional<std::filesystem::path> key_log;  ///< TLS secrets, for debugging only.
};

/// The agent: discovers, negotiates, dispatches, verifies. Network thread only; close() before destruction.
class Agent {
 public:
  /// Errors: those of Host::make and Store::open.
  static Result<std::unique_ptr<Agent>> make(async::Executor executor, AgentOptions options);
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  ~Agent();

  [[nodiscard]] libp2p::Host& host();
  [[nodiscard]] libp2p::Dht& dht();
  [[nodiscard]] store::Store& store();

  /// Connects to the first bootstrap peer that answers: lookups start there. Errors: `nobody_reachable`.
  async::Awaitable<Attempt<std::size_t>> join(Instant deadline);
  /// Providers of a capability, each reported as it turns up (false ends the search). Errors: `nobody_found`.
  async::Awaitable<Attempt<std::vector<libp2p::PeerInfo>>> find(std::string capability,
                                                                std::size_t count,
                                                                libp2p::Dht::ProviderFound found,
                                                                Instant deadline);
  /// The node's verified manifest, never older than one seen before. Errors: `nobody_reachable`, `bad_manifest`.
  async::Awaitable<Attempt<core::ReceivedManifest>> manifest(libp2p::PeerInfo node, Instant deadline);

  /// Connects, reads the manifest, settles limits and keys. `request` outlives the session.
  async::Awaitable<Attempt<SessionPtr>> negotiate(libp2p::PeerInfo node,
                                                  const RunRequest& request,
                                                  Instant deadline,
                                                  RunObserver& observer);
  /// One run of a session, to its checked receipt. A filter that failed is an outcome with a reason.
  async::Awaitable<Attempt<RunOutcome>> execute(Session& session, Instant deadline, RunObserver& observer);
  /// negotiate() and execute(). `request` and `observer` outlive the call.
  async::Awaitable<Attempt<RunOutcome>> run(libp2p::PeerInfo node,
                                            const RunRequest& request,
                                            Instant deadline,
                                            RunObserver& observer);

  async::Awaitable<void> close();

 private:
  class Impl;
  explicit Agent(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nmp::client
