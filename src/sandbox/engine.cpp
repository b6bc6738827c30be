#include "sandbox/engine.hpp"

#include <map>
#include <set>

#include "base/async/event.hpp"
#include "base/async/pool.hpp"
#include "base/async/task_group.hpp"
#include "base/codec.hpp"
#include "core/answer.hpp"
#include "core/capability.hpp"
#include "core/envelope.hpp"
#include "core/errc.hpp"
#include "core/intent.hpp"
#include "core/receipt.hpp"
#include "sandbox/dataset_store.hpp"
#include "sandbox/frame_writer.hpp"

namespace nmp::sandbox {

namespace {

constexpr int kFailedOpensMax = 3;  // security rules, "Session token"
constexpr std::size_t kCacheAccountsMax = 4096;

/// A run between its Opened and its Ended.
struct LiveRun {
  explicit LiveRun(const async::Executor& executor) : changed(executor) {}
  async::Event changed;
  std::uint64_t uncredited = 0;
  bool cancelled = false;
  Run* run = nullptr;  // while it runs; owned by the task
};

struct EngineSession {
  core::NodeEnvelope envelope;
  core::ReceivedIntent intent;
  Instant expires;
  bool bound = false;
  crypto::Digest answer_hash{};
  core::Authorization limits;
  std::vector<std::string> datasets;
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
  Bytes module;
  crypto::Digest module_hash{};
  core::SealedInputs inputs;
  crypto::Digest input_commitment{};
};

std::uint64_t seed_of(const Job& job) {
  const auto digest = crypto::sha256(Writer().bytes(job.intent_hash).u32be(job.run).view());
  return Reader(digest).u64be().value_or(0);
}

}  // namespace

class Engine::Impl {
 public:
  Impl(async::Executor executor, EngineOptions options, std::unique_ptr<Runner> runner)
      : executor_(std::move(executor)),
        options_(std::move(options)),
        runner_(std::move(runner)),
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

  async::Awaitable<void> serve(async::ByteStreamPtr stream) {
    auto connection = std::make_shared<Connection>(executor_, std::move(stream));
    connection->tasks.spawn(connection->writer.run());
    connection->tasks.spawn(reap(connection));
    for (;;) {
      auto body = co_await read_frame(*connection->stream);
      if (!body || !*body) break;
      auto frame = co_await decode(**std::move(body));
      if (!frame) break;
      if (auto* work = std::get_if<JobFrame>(&*frame)) {
        // One at a time a stream: what follows waits in the stream, so that jobs take no memory but one frame's.
        JobFrame next = std::move(*work);
        co_await job(connection, std::move(next));
      } else {
        handle(connection, *std::move(frame));
      }
    }
    session_count_ -= connection->sessions.size();
    for (auto& [id, session] : connection->sessions)
      for (auto& [number, live] : session.live) cancel(*live);
    connection->sessions.clear();
    connection->stream->reset(0);
    co_await connection->tasks.close();
  }

  [[nodiscard]] std::size_t running() const { return runner_->running(); }
  [[nodiscard]] std::size_t sessions() const { return session_count_; }

 private:
  async::Awaitable<Result<HostFrame>> decode(Bytes body) {
    if (body.size() <= kDecodeInlineBytesMax) co_return decode_host_frame(body);
    auto work = [body = std::move(body)] { return decode_host_frame(body); };
    co_return co_await boxes_.run(std::move(work));
  }

  /// Erases keys in time, however idle the stream is.
  async::Awaitable<void> reap(ConnectionPtr connection) {
    for (;;) {
      expire(*connection);
      auto next = kNever;
      for (const auto& [id, session] : connection->sessions)
        if (!session.erased && !session.opening) next = std::min(next, session.expires);
      if (next != kNever) next = async::system_clock().now() + (next - options_.clock->now());
      auto waited = co_await connection->changed.wait(next);
      if (!waited && waited.error().code != nmp::Errc::deadline_exceeded) co_return;
    }
  }

  void handle(const ConnectionPtr& connection, HostFrame frame) {
    if (auto* f = std::get_if<OpenFrame>(&frame)) return open(*connection, std::move(*f));
    if (auto* f = std::get_if<BindFrame>(&frame)) return bind(*connection, std::move(*f));
    if (auto* f = std::get_if<DropFrame>(&frame)) return drop(*connection, f->session);
    if (auto* f = std::get_if<CreditFrame>(&frame)) {
      if (auto live = find(*connection, f->session, f->run)) {
        live->uncredited -= std::min(live->uncredited, f->bytes);
        live->changed.notify_all();
      }
    } else if (auto* c = std::get_if<CancelFrame>(&frame)) {
      if (auto live = find(*connection, c->session, c->run)) cancel(*live);
    }
  }

  static std::shared_ptr<LiveRun> find(Connection& connection, const SessionId& session, std::uint32_t run) {
    const auto it = connection.sessions.find(session);
    if (it == connection.sessions.end()) return nullptr;
    const auto live = it->second.live.find(run);
    return live == it->second.live.end() ? nullptr : live->second;
  }

  static void cancel(LiveRun& live) {
    live.cancelled = true;
    if (live.run != nullptr) live.run->cancel();
    live.changed.notify_all();
  }

  static void refuse(Connection& connection, const SessionId& session, std::uint32_t run, const std::error_code& code) {
    RefusedFrame frame;
    frame.session = session;
    frame.run = run;
    frame.reason = reason_of(code);
    frame.message = code.message();
    connection.writer.push(encode(EngineFrame(std::move(frame))));
  }
  static void refuse(Connection& connection, const SessionId& session, std::uint32_t run, Errc code) {
    refuse(connection, session, run, make_error_code(code));
  }

  void open(Connection& connection, OpenFrame frame) {
    expire(connection);
    if (connection.sessions.contains(frame.session)) return refuse(connection, frame.session, 0, Errc::protocol);
    if (session_count_ >= kSessionsMax) return refuse(connection, frame.session, 0, Errc::busy);
    auto intent = core::parse_intent(frame.intent);
    if (!intent) return refuse(connection, frame.session, 0, Errc::protocol);
    // The host has checked all of it; inside, what a false host could gain from is checked again.
    if (!core::check_intent_addressee(intent->intent, options_.node) || !core::verify_intent(*intent))
      return refuse(connection, frame.session, 0, Errc::protocol);
    auto envelope = core::NodeEnvelope::make(*options_.random);
    if (!envelope) return refuse(connection, frame.session, 0, Errc::engine_failed);
    KeysFrame keys;
    keys.session = frame.session;
    keys.kem_key = to_bytes(envelope->kem_key());
    keys.x25519_key = envelope->x25519_key();
    keys.module_cached = may_run_by_hash(intent->intent) && runner_->cached(intent->intent.module_hash) != nullptr;
    EngineSession session{.envelope = *std::move(envelope),
                          .intent = *std::move(intent),
                          .expires = options_.clock->now() + std::min<Duration>(options_.session_life, kSessionLifeMax),
                          .limits = {},
                          .datasets = {},
                          .live = {}};
    connection.sessions.emplace(frame.session, std::move(session));
    ++session_count_;
    connection.changed.notify_all();
    connection.writer.push(encode(EngineFrame(std::move(keys))));
  }

  void bind(Connection& connection, BindFrame frame) {
    const auto it = connection.sessions.find(frame.session);
    if (it == connection.sessions.end()) return;
    auto& session = it->second;
    auto answer = core::parse_answer(frame.answer);
    const bool fits = answer && !session.bound && answer->answer.intent_hash == session.intent.hash &&
                      answer->answer.kem_key_hash == session.envelope.kem_key_hash() &&
                      answer->answer.x25519_key == session.envelope.x25519_key();
    if (!fits) return drop(connection, frame.session);
    session.envelope.bind(core::transcript_hash(session.intent.cose, answer->cose), session.intent.intent.x25519_key);
    session.bound = true;
    session.answer_hash = answer->hash;
    session.limits = core::minimum(frame.limits, answer->answer.limits);
    session.datasets = std::move(frame.datasets);
    session.runs_left = frame.runs;
  }

  struct OpenedJob {
    core::OpenedRequest request;
    crypto::Digest module_hash{};
    crypto::Digest input_commitment{};
  };
  /// Decryption and hashes of up to 64 MiB: a pool thread's work.
  static Result<std::unique_ptr<OpenedJob>> open_job(core::NodeEnvelope& envelope, const JobFrame& frame) {
    core::SealedRequest request;
    request.ciphertext = frame.pqc_ciphertext;
    request.aes_nonce = frame.aes_nonce;
    if (frame.module) request.wasm_binary = *frame.module;
    request.sealed = frame.inputs;
    request.run = frame.run;
    request.method = frame.method;
    NMP_TRY(auto opened, envelope.open(request));
    const auto module_hash = crypto::sha256(opened.module);
    const auto commitment = core::commit_inputs(opened.inputs.salt, opened.inputs.inputs);
    return std::make_unique<OpenedJob>(std::move(opened), module_hash, commitment);
  }

  /// serve() waits for it, so no other frame of the connection meets the session meanwhile; its runs and timers may.
  async::Awaitable<void> job(ConnectionPtr connection, JobFrame frame) {
    expire(*connection);
    const auto id = frame.session;
    const auto number = frame.run;
    const auto it = connection->sessions.find(id);
    if (it == connection->sessions.end() || !it->second.bound || it->second.erased || it->second.runs_left == 0) {
      refuse(*connection, id, number, Errc::session_unknown);
      co_return;
    }
    auto& session = it->second;
    session.opening = true;  // it stays where it is, and its envelope is the pool's
    auto work = [envelope = &session.envelope, frame = std::move(frame)] { return open_job(*envelope, frame); };
    auto opened = co_await boxes_.run(std::move(work));
    session.opening = false;
    connection->changed.notify_all();
    if (!opened) {
      const bool reused = opened.error().code == core::Errc::run_reused;
      refuse(*connection, id, number, reused ? Errc::run_reused : Errc::envelope);
      // A number that comes again is harmless, whoever sends it; a box that does not open is somebody's attempt.
      if (!reused && ++session.failed_opens >= kFailedOpensMax) session.runs_left = 0;
      expire(*connection);
      co_return;
    }
    --session.runs_left;
    OpenedFrame answer;
    answer.session = id;
    answer.run = number;
    connection->writer.push(encode(EngineFrame(answer)));

    Job job{.session = id,
            .run = number,
            .intent = session.intent.intent,
            .intent_hash = session.intent.hash,
            .answer_hash = session.answer_hash,
            .limits = session.limits,
            .datasets = session.datasets,
            .module = std::move((*opened)->request.module),
            .module_hash = (*opened)->module_hash,
            .inputs = std::move((*opened)->request.inputs),
            .input_commitment = (*opened)->input_commitment};
    auto live = std::make_shared<LiveRun>(executor_);
    session.live.emplace(number, live);
    connection->tasks.spawn(run(connection, std::move(job), std::move((*opened)->request.run), std::move(live)));
    expire(*connection);
  }

  void drop(Connection& connection, const SessionId& id) {
    const auto it = connection.sessions.find(id);
    if (it == connection.sessions.end()) return;
    it->second.runs_left = 0;
    it->second.expires = Instant::min();
    for (auto& [number, live] : it->second.live) cancel(*live);
    expire(connection);
  }

  /// Erases the secrets of spent and expired sessions; the sessions go when their last run has.
  void expire(Connection& connection) {
    const auto now = options_.clock->now();
    for (auto it = connection.sessions.begin(); it != connection.sessions.end();) {
      auto& session = it->second;
      const bool over = now >= session.expires || (session.bound && session.runs_left == 0);
      if (over && !session.opening && !session.erased) {
        session.envelope.erase();
        session.erased = true;
      }
      if (session.erased && session.live.empty()) {
        it = connection.sessions.erase(it);
        --session_count_;
      } else {
        ++it;
      }
    }
  }

  [[nodiscard]] bool may_run_by_hash(const core::Intent& intent) const {
    if (std::ranges::find(options_.shared_modules, intent.module_hash) != options_.shared_modules.end()) return true;
    return uploads_.contains({intent.agent, intent.module_hash});
  }

  async::Awaitable<Result<ModulePtr>> module_of(Job& job) {
    if (job.module.empty()) {
      // One answer whether it is not cached or not this account's.
      auto module = may_run_by_hash(job.intent) ? runner_->cached(job.intent.module_hash) : nullptr;
      if (!module) co_return fail(Errc::module_unknown);
      co_return module;
    }
    if (job.module_hash != job.intent.module_hash) co_return fail(Errc::module_mismatch);
    // One at a time an agent: whoever sends many modules waits for his own.
    const auto agent = job.intent.agent;
    while (compiling_.contains(agent)) NMP_CO_CHECK(co_await compiled_.wait());
    compiling_.insert(agent);
    auto compiled = co_await runner_->compile(std::move(job.module), job.module_hash);
    compiling_.erase(agent);
    compiled_.notify_all();
    NMP_CO_TRY(auto module, std::move(compiled));
    if (uploads_.size() >= kCacheAccountsMax) uploads_.erase(uploads_.begin());
    uploads_.emplace(job.intent.agent, job.intent.module_hash);
    co_return module;
  }

  async::Awaitable<Result<DatasetStore::Taken>> dataset_of(std::string name) {
    const auto it = std::ranges::find(options_.datasets, name, &DatasetOptions::name);
    if (it == options_.datasets.end()) co_return fail(Errc::dataset_unavailable, name);
    auto work = [this, dataset = *it] {
      return store_.take(dataset.name, dataset.path, dataset.commit, *options_.random);
    };
    co_return co_await files_.run(std::move(work));
  }

  struct Prepared {
    RunSpec spec;
    std::map<std::string, crypto::Digest> commitments;
  };
  async::Awaitable<Result<Prepared>> prepare(Job& job) {
    if (job.input_commitment != job.intent.input_commitment) co_return fail(Errc::inputs_invalid);
    Prepared out;
    NMP_CO_TRY(out.spec.module, co_await module_of(job));
    for (const auto& name : job.datasets) {
      NMP_CO_TRY(auto taken, co_await dataset_of(name));
      out.spec.datasets.push_back(taken.snapshot);
      if (taken.commitment) out.commitments.emplace(name, *taken.commitment);
    }
    out.spec.limits = job.limits;
    out.spec.inputs = std::move(job.inputs.inputs);
    out.spec.seed = seed_of(job);
    out.spec.start_time = options_.clock->unix_now();
    co_return out;
  }

  /// Seals and queues a box once the host's credit allows. Errors: cancelled, core's.
  async::Awaitable<Result<void>> send(ConnectionPtr connection,
                                      const Job& job,
                                      core::NodeRun& to,
                                      std::shared_ptr<LiveRun> live,
                                      core::ResponseBody body) {
    const bool last = core::is_final(body);
    while (!last && live->uncredited >= kUncreditedBytesMax && !live->cancelled)
      NMP_CO_CHECK(co_await live->changed.wait());
    BoxFrame box;
    box.session = job.session;
    box.run = job.run;
    box.is_final = last;
    NMP_CO_TRY(box.sealed, to.seal(body));
    live->uncredited += box.sealed.size();
    connection->writer.push(encode(EngineFrame(std::move(box))));
    co_return Result<void>();
  }

  async::Awaitable<void> run(ConnectionPtr connection, Job job, core::NodeRun to, std::shared_ptr<LiveRun> live) {
    EndedFrame ended;
    ended.session = job.session;
    ended.run = job.run;
    auto outcome = co_await run_to_end(connection, job, to, live, ended);
    if (!outcome) {
      ended.reason = reason_of(outcome.error().code);
      core::HostErrorBody body;
      body.reason = ended.reason;
      // The context of a refused module is about what the agent sent; others may name the host's files.
      const bool about_module = ended.reason == "module_refused" || ended.reason == "invalid_module";
      body.message = about_module ? outcome.error().message() : outcome.error().code.message();
      core::ResponseBody last(std::move(body));
      if (!to.finished()) (void)co_await send(connection, job, to, live, std::move(last));
    }
    connection->writer.push(encode(EngineFrame(std::move(ended))));
    if (const auto it = connection->sessions.find(job.session); it != connection->sessions.end())
      it->second.live.erase(job.run);
    expire(*connection);
  }

  async::Awaitable<Result<void>> run_to_end(
      ConnectionPtr connection, Job& job, core::NodeRun& to, std::shared_ptr<LiveRun> live, EndedFrame& ended) {
    const auto started = options_.clock->unix_now();
    NMP_CO_TRY(auto prepared, co_await prepare(job));
    if (live->cancelled) co_return fail(Errc::cancelled);
    NMP_CO_TRY(auto run, runner_->start(std::move(prepared.spec)));
    live->run = run.get();
    core::Openings openings;
    options_.random->fill(openings.evidence_salt);
    core::EventChain chain(openings.evidence_salt, job.answer_hash);
    Bytes evidence;  // for its commitment: at most the run's output_bytes
    Error stopped{};
    for (;;) {
      auto next = co_await run->next();
      if (!next) {
        stopped = std::move(next).error();
        break;
      }
      if (!*next) break;
      auto& output = **next;
      core::ResponseBody body(core::EventBody{});
      if (output.kind == OutputKind::event) {
        chain.add(output.bytes);
        core::EventBody event;
        event.data = std::move(output.bytes);
        body = std::move(event);
      } else if (output.kind == OutputKind::evidence) {
        append(evidence, output.bytes);
        core::EvidenceBody piece;
        piece.data = std::move(output.bytes);
        body = std::move(piece);
      } else {
        core::DiagnosticsBody piece;
        piece.data = std::move(output.bytes);
        body = std::move(piece);
      }
      auto sent = co_await send(connection, job, to, live, std::move(body));
      if (!sent) {
        stopped = std::move(sent).error();
        break;
      }
    }
    live->run = nullptr;
    if (stopped.code) co_return fail(std::move(stopped));

    const auto& result = run->result();
    ended.used = result.used;
    if (result.error) ended.reason = reason_of(result.error->code);
    auto commit = [salt = openings.evidence_salt, evidence = std::move(evidence)] {
      return core::commit_evidence(salt, evidence);
    };
    const auto evidence_commitment = co_await boxes_.run(std::move(commit));
    core::Receipt receipt{.op = job.intent.op,
                          .capability = job.intent.capability,
                          .intent_hash = job.intent_hash,
                          .answer_hash = job.answer_hash,
                          .run = job.run,
                          .module_hash = job.intent.module_hash,
                          .input_commitment = job.intent.input_commitment,
                          .datasets = prepared.commitments,
                          .evidence_commitment = evidence_commitment,
                          .exit = {},
                          .event_count = chain.count(),
                          .event_chain = chain.value(),
                          .limits = job.limits,
                          .used = result.used,
                          .started = started,
                          .finished = options_.clock->unix_now(),
                          .node = options_.node,
                          .agent = job.intent.agent,
                          .engine = std::string(Runner::profile()),
                          .via = job.intent.via};
    receipt.exit.reason = result.error ? ended.reason : "ok";
    if (!result.error || result.error->code == Errc::exit_code) receipt.exit.code = result.exit_code;
    NMP_CO_TRY(auto cose, core::sign_receipt(receipt, options_.receipt_key));
    core::Proof proof;
    proof.receipt = std::move(cose);
    core::ReceiptBody body;
    body.proof = core::encode_proof(proof);
    body.openings = openings;
    core::ResponseBody last(std::move(body));
    if (result.error) {
      core::HostErrorBody failed;
      failed.reason = ended.reason;
      failed.message = result.error->message();  // our words: traps, limits, exit codes
      failed.receipt = std::get<core::ReceiptBody>(std::move(last));
      last = std::move(failed);
    }
    NMP_CO_CHECK(co_await send(connection, job, to, live, std::move(last)));
    co_return Result<void>();
  }

  async::Executor executor_;
  EngineOptions options_;
  std::unique_ptr<Runner> runner_;
  async::Pool files_;
  async::Pool boxes_;                   // decryption and hashes
  std::set<libp2p::PeerId> compiling_;  // agents whose module is with the compiler
  async::Event compiled_;
  DatasetStore store_;                                           // the file thread's
  std::set<std::pair<libp2p::PeerId, crypto::Digest>> uploads_;  // whose modules may run by hash
  std::size_t session_count_ = 0;
};

Result<std::unique_ptr<Engine>> Engine::make(async::Executor executor, EngineOptions options) {
  NMP_ASSERT(options.clock != nullptr && options.random != nullptr);
  for (const auto& dataset : options.datasets) {
    if (!core::is_name(dataset.name)) return fail(nmp::Errc::malformed, "dataset name");
    std::error_code error;
    if (!std::filesystem::is_directory(dataset.path, error)) return fail(Errc::dataset_unavailable, dataset.name);
  }
  options.runner.random = options.random;
  NMP_TRY(auto runner, Runner::make(executor, options.runner));
  return std::unique_ptr<Engine>(
      new Engine(std::make_unique<Impl>(std::move(executor), std::move(options), std::move(runner))));
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

async::Awaitable<void> Engine::serve(async::ByteStreamPtr stream) { return impl_->serve(std::move(stream)); }
std::size_t Engine::running() const { return impl_->running(); }
std::size_t Engine::sessions() const { return impl_->sessions(); }

}  // namespace nmp::sandbox
