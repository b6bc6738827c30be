#pragma once

#include <functional>
#include <memory>

#include "base/async/task_group.hpp"
#include "base/random.hpp"
#include "base/time.hpp"
#include "core/intent.hpp"
#include "core/manifest.hpp"
#include "crypto/ed25519.hpp"
#include "rpc/server.hpp"
#include "sandbox/engine.hpp"
#include "server/config.hpp"
#include "server/job_request.hpp"
#include "server/refusal.hpp"
#include "server/run_queue.hpp"
#include "server/sessions.hpp"
#include "store/store.hpp"

namespace nmp::server {

/// What happened, for the log and metrics; never plaintext.
class ServiceObserver {
 public:
  virtual ~ServiceObserver() = default;
  virtual void negotiated(const libp2p::PeerId& /*agent*/, const Session& /*session*/) {}
  virtual void refused(const std::optional<libp2p::PeerId>& /*caller*/, std::string_view /*call*/, const Refusal&) {}
  virtual void run_ended(const Session& /*session*/, std::string_view /*reason*/, const core::Usage& /*used*/) {}
};

/// What the service works with; all of it outlives the service.
struct ServiceParts {
  async::Executor executor;
  const Config& config;
  libp2p::PeerId me;
  const crypto::Ed25519KeyPair& identity;
  store::Store& store;
  sandbox::EngineClient& engine;
  const Clock& clock;
  Random& random;
  ServiceObserver& observer;
  /// The manifest in force: its hash stands in every answer.
  std::function<crypto::Digest()> manifest_hash;
  /// Told of the first accepted intent of a connection's peer.
  std::function<void(const libp2p::PeerId&)> trust;
  Duration run_overhead = kRunOverhead;
  bool keeps_watchdogs = false;
};

/// nmp.v1.NeuralMesh as a data node serves it: order of steps and policy. Network thread only.
class Service {
 public:
  explicit Service(ServiceParts parts);
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  /// Registers every method; those that are not available answer UNIMPLEMENTED.
  void register_with(rpc::Server& server);

  /// Drops expired sessions, in the engine too. To be called now and then.
  void sweep();
  [[nodiscard]] std::size_t sessions() const { return sessions_.size(); }
  [[nodiscard]] const RunQueue& queue() const { return queue_; }

  /// Gives up on runs that nobody reads. After the rpc server's close(), before the engine client's, and before
  /// destruction.
  async::Awaitable<void> close() { return tasks_.close(); }

 private:
  async::Awaitable<rpc::Status> negotiate(rpc::ServerCall& call);
  async::Awaitable<std::expected<Bytes, Refusal>> decide(Bytes request, std::optional<libp2p::PeerId> caller);
  /// What this node allows the operation of an intent that is checked.
  struct Allowed {
    core::Authorization limits;
    std::vector<std::string> datasets;
    std::uint32_t runs = 1;
    std::optional<core::WatchPolicy> watch;
  };
  [[nodiscard]] std::expected<Allowed, Refusal> allowed_for(const core::Intent& intent) const;
  /// Forgets a session, in the engine too.
  void drop(const SessionId& id);
  async::Awaitable<rpc::Status> execute(rpc::ServerCall& call);
  async::Awaitable<rpc::Status> watch_events(rpc::ServerCall& call);
  async::Awaitable<rpc::Status> manage_watch(rpc::ServerCall& call);
  /// A request as it has come, and where its boxes go. Both outlive the call.
  async::Awaitable<rpc::Status> serve_job(rpc::ServerCall& call, JobRequest& request, JobReply& reply, RunQueue& queue);
  /// The run's events to its caller, to the end. References outlive the call.
  async::Awaitable<Result<rpc::Status>> deliver(
      rpc::ServerCall& call, const Session& session, sandbox::EngineRun& run, JobReply& reply, bool& over);
  /// A run whose caller is gone keeps its place until the engine has ended it.
  async::Awaitable<void> abandon(Session session, sandbox::EngineRunPtr run, RunQueue::Place place);
  /// Before a LogicRequest gets its window: whether its first bytes hold a token that this caller may use now.
  [[nodiscard]] rpc::Inspection inspect_token(const rpc::CallContext& context, ByteView prefix, bool whole) const;

  ServiceParts parts_;
  SessionTable sessions_;
  RunQueue queue_;
  RunQueue streams_;  ///< Of watchdogs' events: they wait long and compute nothing.
  async::TaskGroup tasks_;
};

}  // namespace nmp::server
