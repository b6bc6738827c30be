#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/async/byte_stream.hpp"
#include "base/random.hpp"
#include "base/secret.hpp"
#include "base/time.hpp"
#include "crypto/ed25519.hpp"
#include "libp2p/peer/peer_id.hpp"
#include "sandbox/engine_protocol.hpp"
#include "sandbox/runner.hpp"

namespace nmp::sandbox {

/// A folder that runs may be given.
struct DatasetOptions {
  std::string name;
  std::filesystem::path path;
  bool commit =
      true;  ///< Receipts hold its commitment, which reads all of it (cached while sizes and times stand still).
};

/// What an engine that keeps watchdogs needs.
struct WatchOptions {
  SecretBytes<32> storage_key;  ///< Of the node. What the host stores of watchdogs opens with it only.
  std::uint32_t watchdogs_max = 1000;
  std::uint32_t per_owner_max = 16;
  std::uint64_t memory_bytes_max = 4ULL << 30;  ///< Ceilings of all of them together.
  /// Machine code of theirs, beside that of runs (RunnerOptions), so that runs cannot crowd it out.
  std::shared_ptr<CodeCache> code_cache;
};

struct EngineOptions {
  crypto::Ed25519KeyPair receipt_key;  ///< Signs receipts; in-process it is the node's identity.
  libp2p::PeerId node;                 ///< Whom intents must name.
  std::vector<DatasetOptions> datasets;
  std::vector<crypto::Digest> shared_modules;  ///< Anyone may run these by hash, once cached.
  const Clock* clock = nullptr;                ///< Required; outlives the engine, as does `random`.
  Random* random = nullptr;                    ///< Required: keys, salts.
  RunnerOptions runner;                        ///< Its `random` is replaced by this one.
  Duration session_life = kSessionLifeMax;     ///< Of a session's keys; at most kSessionLifeMax.
  std::optional<WatchOptions> watch;           ///< None: operations on watchdogs answer not_available.
};

/// The engine: opens envelopes, guards, compiles, runs, commits and signs. It holds all secrets of a session and the
/// only plaintext on the node; the host sees frames. One engine may serve several hosts, each over a stream of its own;
/// a session belongs to the stream that opened it.
class Engine {
 public:
  /// Errors: engine_failed, dataset_unavailable (a folder that cannot be opened), nmp::Errc::malformed (a bad name).
  static Result<std::unique_ptr<Engine>> make(async::Executor executor, EngineOptions options);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  /// After every serve() has ended.
  ~Engine();

  /// Answers frames until the stream ends or breaks the protocol; then drops its sessions and cancels its runs.
  async::Awaitable<void> serve(async::ByteStreamPtr stream);

  [[nodiscard]] std::size_t running() const;
  [[nodiscard]] std::size_t sessions() const;
  [[nodiscard]] std::size_t watchdogs() const;

 private:
  class Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// What a run sends to its host, in order: one Opened or Refused; after Opened boxes, exactly one of them final, then
/// Ended. An engine that goes away ends the sequence with an error (nmp::Errc::closed).
using RunEvent = std::variant<OpenedFrame, RefusedFrame, BoxFrame, EndedFrame>;

class EngineClient;

/// The host's end of one run. Destroying it before Ended cancels the run. Network thread only; not after its
/// EngineClient.
class EngineRun {
 public:
  struct State;
  EngineRun(EngineClient& client, std::shared_ptr<State> state);
  EngineRun(const EngineRun&) = delete;
  EngineRun& operator=(const EngineRun&) = delete;
  ~EngineRun();

  /// The next event. Calling it again says that the box before has gone on to the agent: only then is its credit given
  /// back, so a host that stops calling holds the guest. After Refused or Ended: nmp::Errc::closed. Errors: closed (the
  /// engine is gone), cancelled (the caller; the run goes on).
  async::Awaitable<Result<RunEvent>> next();
  /// Asks the engine to end the run; its events still come, Ended with reason `cancelled` last.
  void cancel();

 private:
  EngineClient& client_;
  std::shared_ptr<State> state_;  // this handle and the client's reader
};
using EngineRunPtr = std::unique_ptr<EngineRun>;

/// The host's end of an engine. Network thread only.
class EngineClient {
 public:
  EngineClient(async::Executor executor, async::ByteStreamPtr stream);
  EngineClient(const EngineClient&) = delete;
  EngineClient& operator=(const EngineClient&) = delete;
  /// After close().
  ~EngineClient();

  /// Makes the session's keys. `session` is fresh: repeating one is refused.
  /// Errors: those that RefusedFrame names, as Errc where the reason is one of ours (else protocol); closed, cancelled.
  async::Awaitable<Result<KeysFrame>> open(SessionId session, Bytes intent);
  /// Once per session, after open and before job. It and open() wait while kQueuedBytesMax are on their way.
  async::Awaitable<Result<void>> bind(BindFrame frame);
  /// Sends the job, once less than kQueuedBytesMax are on their way; the answer comes as events. Errors: run_reused
  /// (this client has one of that number live), too_large, closed.
  async::Awaitable<Result<EngineRunPtr>> job(JobFrame frame);
  /// From now on the engine keeps its watchdogs in `storage`, which outlives close(): first those that are there
  /// already, as `stored` tells. Once.
  void keep_watchdogs(WatchStorage& storage, std::vector<StoredWatch> stored);
  /// Erases the session's keys in the engine and cancels its runs. Runs already live still end by their events.
  void drop(SessionId session);

  /// Ends the stream; every pending call answers `closed`.
  async::Awaitable<void> close();

 private:
  friend class EngineRun;
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nmp::sandbox
