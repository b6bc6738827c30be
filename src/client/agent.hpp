#pragma once

#include <expected>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/async/awaitable.hpp"
#include "core/envelope.hpp"
#include "core/errors.hpp"
#include "core/manifest.hpp"
#include "core/receipt.hpp"
#include "core/trust.hpp"
#include "libp2p/host/dht.hpp"
#include "libp2p/host/host.hpp"
#include "rpc/channel.hpp"
#include "store/store.hpp"

namespace nmp::client {

/// Why there is no outcome: a row of docs/errors.md, and words for people that may hold a peer's text (escape it).
struct Failure {
  const core::Reason* reason = nullptr;
  std::string message;
  /// The node said so itself, unsigned: a hint only. It never makes an agent ask for less.
  bool from_node = false;
};
[[nodiscard]] Failure failure(std::string_view reason, std::string message = {});
template <class T>
using Attempt = std::expected<T, Failure>;

struct AgentOptions {
  explicit AgentOptions(libp2p::KeyPair key) : identity(std::move(key)) {}
  libp2p::KeyPair identity;
  std::vector<libp2p::PeerInfo> bootstrap;
  std::filesystem::path state;  ///< Folder of run records and manifest sequence numbers; empty: in memory.
  core::TrustFile trust;
  std::optional<std::filesystem::path> key_log;  ///< TLS secrets, for debugging only.
};

struct RunRequest {
  std::string capability;
  Bytes module;
  core::Inputs inputs;
  core::Authorization limits;   ///< Asked; the node may lower them.
  core::ReceiptKind require = core::ReceiptKind::is_signed;
  Bytes grant;                  ///< Biscuit; empty for open capabilities.
  bool pinned = false;          ///< The person named this node.
};

/// Seconds that each step took, as the agent saw it.
struct StepTimes {
  double connect = 0;
  double negotiate = 0;
  double run = 0;
};

/// What one run on one node came to.
struct RunOutcome {
  explicit RunOutcome(libp2p::PeerId id) : node(std::move(id)) {}
  libp2p::PeerId node;
  Bytes evidence;
  Bytes diagnostics;
  std::uint64_t events = 0;
  std::string reason;           ///< Empty if the filter ended well, else a reason of docs/errors.md, told inside the envelope.
  std::string explanation;      ///< The node's words for it.
  std::optional<std::uint64_t> exit_code;
  core::Authorization limits;   ///< Effective, from the signed answer.
  core::Usage used;             ///< From the receipt.
  Bytes receipt;                ///< COSE bytes; empty only if the node could not make one.
  crypto::Digest receipt_id{};
  bool pinned = false;          ///< --node or the trust file vouches for the node.
  std::uint64_t bytes_sent = 0;      ///< gRPC messages of negotiation and run.
  std::uint64_t bytes_received = 0;
  StepTimes seconds;
};

/// Told as things happen, on the network thread.
class RunObserver {
 public:
  virtual ~RunObserver() = default;
  virtual void step(const libp2p::PeerId& /*node*/, std::string_view /*what*/) {}
  /// An event, in order; what blocks here holds the guest.
  virtual void event(const libp2p::PeerId& /*node*/, std::uint64_t /*sequence*/, ByteView /*data*/) {}
};

/// A session with one node: its answer is checked, its envelope made. Runs of it repeat the inputs of its intent.
class Session {
 public:
  struct Parts;
  explicit Session(std::unique_ptr<Parts> parts);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();
  [[nodiscard]] const core::Authorization& limits() const;
  [[nodiscard]] const libp2p::PeerId& node() const;

 private:
  friend class Agent;
  std::unique_ptr<Parts> parts_;
};
using SessionPtr = std::unique_ptr<Session>;

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
  async::Awaitable<Attempt<std::vector<libp2p::PeerInfo>>> find(
      std::string capability, std::size_t count, libp2p::Dht::ProviderFound found, Instant deadline);
  /// The node's verified manifest, never older than one seen before. Errors: `nobody_reachable`, `bad_manifest`.
  async::Awaitable<Attempt<core::ReceivedManifest>> manifest(libp2p::PeerInfo node, Instant deadline);

  /// Connects, reads the manifest, settles limits and keys.
  async::Awaitable<Attempt<SessionPtr>> negotiate(libp2p::PeerInfo node, const RunRequest& request, Instant deadline, RunObserver& observer);
  /// One run of a session, to its checked receipt. A filter that failed is an outcome with a reason.
  async::Awaitable<Attempt<RunOutcome>> execute(Session& session, Instant deadline, RunObserver& observer);
  /// negotiate() and execute(). `request` and `observer` outlive the call.
  async::Awaitable<Attempt<RunOutcome>> run(libp2p::PeerInfo node, const RunRequest& request, Instant deadline, RunObserver& observer);

  async::Awaitable<void> close();

 private:
  class Impl;
  explicit Agent(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nmp::client
