#pragma once

#include <map>
#include <set>

#include "base/async/event.hpp"
#include "base/async/pool.hpp"
#include "base/async/task_group.hpp"
#include "core/envelope.hpp"
#include "core/intent.hpp"
#include "core/receipt.hpp"
#include "sandbox/dataset_store.hpp"
#include "sandbox/engine.hpp"
#include "sandbox/frame_writer.hpp"
#include "sandbox/remote_storage.hpp"
#include "sandbox/watchdogs.hpp"

/// The engine's inside, for its own files: engine.cpp has sessions and frames, engine_run.cpp runs and their receipts,
/// engine_watch.cpp what agents ask about watchdogs.
namespace nmp::sandbox {

/// A run between its Opened and its Ended.
struct LiveRun {
  explicit LiveRun(const async::Executor& executor) : changed(executor) {}
  async::Event changed;
  std::uint64_t uncredited = 0;
  bool cancelled = false;
  Run* run = nullptr;              // while it runs; owned by the task
  std::optional<WatchId> follows;  ///< The watchdog whose events it waits for.
};

struct EngineSession {
  core::NodeEnvelope envelope;
  core::ReceivedIntent intent;
  Instant expires;
  bool bound = false;
  crypto::Digest answer_hash{};
  core::Authorization limits;
  std::vector<std::string> datasets;
  std::optional<core::WatchPolicy> watch;
  std::uint32_t runs_left = 0;
  int failed_opens = 0;
  bool opening = false;  ///< A pool thread has the envelope.
  bool erased = false;   ///< Its secrets are gone; it stays for its live runs.
  std::map<std::uint32_t, std::shared_ptr<LiveRun>> live;
};

/// What a run needs once its session may be gone.
struct Job {
  SessionId session{};
  std::uint32_t run = 0;
  core::Intent intent;
  crypto::Digest intent_hash{};
  crypto::Digest answer_hash{};
  core::Authorization limits;
  std::vector<std::string> datasets;
  std::optional<core::WatchPolicy> watch;
  Bytes module;
  crypto::Digest module_hash{};
  core::SealedInputs inputs;
  crypto::Digest input_commitment{};
};

class Engine::Impl {
 public:
  Impl(async::Executor executor,
       EngineOptions options,
       std::unique_ptr<Runner> runner,
       std::unique_ptr<Watchdogs> watchdogs)
      : executor_(std::move(executor)),
        options_(std::move(options)),
        runner_(std::move(runner)),
        watchdogs_(std::move(watchdogs)),
        files_(1),
        boxes_(1),
        compiled_(executor_) {}
  ~Impl() {
    files_.stop();
    boxes_.stop();
  }

  struct Connection {
    Connection(const async::Executor& executor, async::ByteStreamPtr stream_in)
        : stream(std::move(stream_in)), writer(executor, *stream), tasks(executor), changed(executor) {}
    async::ByteStreamPtr stream;
    FrameWriter writer;
    async::TaskGroup tasks;
    std::map<SessionId, EngineSession> sessions;
    async::Event changed;  // a session more
  };
  using ConnectionPtr = std::shared_ptr<Connection>;  // serve() and the tasks of its runs

  async::Awaitable<void> serve(async::ByteStreamPtr stream);

  [[nodiscard]] std::size_t running() const { return runner_->running(); }
  [[nodiscard]] std::size_t sessions() const { return session_count_; }
  [[nodiscard]] std::size_t watchdogs() const { return watchdogs_ ? watchdogs_->size() : 0; }

 private:
  // Sessions and frames: engine.cpp.
  async::Awaitable<Result<HostFrame>> decode(Bytes body);
  /// Erases keys in time, however idle the stream is.
  async::Awaitable<void> reap(ConnectionPtr connection);
  void handle(const ConnectionPtr& connection, HostFrame frame);
  static std::shared_ptr<LiveRun> find(Connection& connection, const SessionId& session, std::uint32_t run);
  void cancel(LiveRun& live);
  static void refuse(Connection& connection, const SessionId& session, std::uint32_t run, const std::error_code& code);
  static void refuse(Connection& connection, const SessionId& session, std::uint32_t run, Errc code);
  void open(Connection& connection, OpenFrame frame);
  void bind(Connection& connection, BindFrame frame);

  struct OpenedJob {
    core::OpenedRequest request;
    crypto::Digest module_hash{};
    crypto::Digest input_commitment{};
  };
  /// Decryption and hashes of up to 64 MiB: a pool thread's work.
  static Result<std::unique_ptr<OpenedJob>> open_job(core::NodeEnvelope& envelope, const JobFrame& frame);
  /// serve() waits for it, so no other frame of the connection meets the session meanwhile; its runs and timers may.
  async::Awaitable<void> job(ConnectionPtr connection, JobFrame frame);
  void drop(Connection& connection, const SessionId& id);
  /// Erases the secrets of spent and expired sessions; the sessions go when their last run has.
  void expire(Connection& connection);

  // Runs: engine_run.cpp.
  [[nodiscard]] bool may_run_by_hash(const core::Intent& intent) const;
  async::Awaitable<Result<ModulePtr>> module_of(Job& job);
  async::Awaitable<Result<DatasetStore::Taken>> dataset_of(std::string name);

  struct Prepared {
    RunSpec spec;
    std::map<std::string, crypto::Digest> commitments;
  };
  async::Awaitable<Result<Prepared>> prepare(Job& job);
  /// Seals and queues a box once the host's credit allows. Errors: cancelled, core's.
  async::Awaitable<Result<void>> send(ConnectionPtr connection,
                                      const Job& job,
                                      core::NodeRun& to,
                                      std::shared_ptr<LiveRun> live,
                                      core::ResponseBody body);
  /// What a job came to, for its receipt.
  struct Finished {
    Finished(const Job& job, Random& random, UnixSeconds at)
        : openings(make(random)), chain(openings.evidence_salt, job.answer_hash), started(at) {}
    static core::Openings make(Random& random) {
      core::Openings out;
      random.fill(out.evidence_salt);
      return out;
    }
    core::Openings openings;
    core::EventChain chain;
    UnixSeconds started;
    Bytes evidence;  ///< At most the limit of output_bytes.
    std::map<std::string, crypto::Digest> commitments;
    RunResult result;
  };
  /// Signs the receipt and sends the final box. References outlive the call.
  async::Awaitable<Result<void>> conclude(ConnectionPtr connection,
                                          const Job& job,
                                          core::NodeRun& to,
                                          std::shared_ptr<LiveRun> live,
                                          EndedFrame& ended,
                                          Finished& finished);
  async::Awaitable<void> run(ConnectionPtr connection, Job job, core::NodeRun to, std::shared_ptr<LiveRun> live);
  async::Awaitable<Result<void>> run_to_end(
      ConnectionPtr connection, Job& job, core::NodeRun& to, std::shared_ptr<LiveRun> live, EndedFrame& ended);

  // Watchdogs: engine_watch.cpp.
  void restore(RestoreFrame frame);
  void restored(const ConnectionPtr& connection);
  async::Awaitable<Result<void>> watch_to_end(
      ConnectionPtr connection, Job& job, core::NodeRun& to, std::shared_ptr<LiveRun> live, EndedFrame& ended);
  async::Awaitable<Result<Bytes>> deploy(Job& job);
  async::Awaitable<Result<Bytes>> manage(const Job& job);
  async::Awaitable<Result<void>> follow(
      ConnectionPtr connection, const Job& job, core::NodeRun& to, std::shared_ptr<LiveRun> live, Finished& finished);

  async::Executor executor_;
  EngineOptions options_;
  std::unique_ptr<Runner> runner_;
  std::unique_ptr<Watchdogs> watchdogs_;    ///< None: not kept here.
  std::unique_ptr<RemoteStorage> storage_;  ///< Over the stream of `storage_of_`.
  std::weak_ptr<Connection> storage_of_;
  async::Pool files_;
  async::Pool boxes_;                   // decryption and hashes
  std::set<libp2p::PeerId> compiling_;  // agents whose module is with the compiler
  async::Event compiled_;
  DatasetStore store_;                                           // the file thread's
  std::set<std::pair<libp2p::PeerId, crypto::Digest>> uploads_;  // whose modules may run by hash
  std::size_t session_count_ = 0;
};

}  // namespace nmp::sandbox
