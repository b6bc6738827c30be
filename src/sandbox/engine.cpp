#include "core/answer.hpp"
#include "core/capability.hpp"
#include "core/errc.hpp"
#include "sandbox/engine_impl.hpp"

namespace nmp::sandbox {

namespace {

constexpr int kFailedOpensMax = 3;  // security rules, "Session token"

}  // namespace

async::Awaitable<void> Engine::Impl::serve(async::ByteStreamPtr stream) {
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
  if (storage_of_.lock() == connection) {
    storage_->close();
    co_await watchdogs_->close();
  }
}

async::Awaitable<Result<HostFrame>> Engine::Impl::decode(Bytes body) {
  if (body.size() <= kDecodeInlineBytesMax) co_return decode_host_frame(body);
  auto work = [body = std::move(body)] { return decode_host_frame(body); };
  co_return co_await boxes_.run(std::move(work));
}

async::Awaitable<void> Engine::Impl::reap(ConnectionPtr connection) {
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

void Engine::Impl::handle(const ConnectionPtr& connection, HostFrame frame) {
  if (auto* f = std::get_if<OpenFrame>(&frame)) return open(*connection, std::move(*f));
  if (auto* f = std::get_if<BindFrame>(&frame)) return bind(*connection, std::move(*f));
  if (auto* f = std::get_if<DropFrame>(&frame)) return drop(*connection, f->session);
  if (auto* f = std::get_if<RestoreFrame>(&frame)) return restore(std::move(*f));
  if (std::holds_alternative<RestoredFrame>(frame)) return restored(connection);
  const bool keeps = storage_of_.lock() == connection;
  if (auto* f = std::get_if<StoredFrame>(&frame); f != nullptr && keeps) return storage_->answer(*f);
  if (auto* f = std::get_if<FetchedFrame>(&frame); f != nullptr && keeps) return storage_->answer(std::move(*f));
  if (auto* f = std::get_if<CreditFrame>(&frame)) {
    if (auto live = find(*connection, f->session, f->run)) {
      live->uncredited -= std::min(live->uncredited, f->bytes);
      live->changed.notify_all();
    }
  } else if (auto* c = std::get_if<CancelFrame>(&frame)) {
    if (auto live = find(*connection, c->session, c->run)) cancel(*live);
  }
}

std::shared_ptr<LiveRun> Engine::Impl::find(Connection& connection, const SessionId& session, std::uint32_t run) {
  const auto it = connection.sessions.find(session);
  if (it == connection.sessions.end()) return nullptr;
  const auto live = it->second.live.find(run);
  return live == it->second.live.end() ? nullptr : live->second;
}

void Engine::Impl::cancel(LiveRun& live) {
  live.cancelled = true;
  if (live.run != nullptr) live.run->cancel();
  if (live.follows) watchdogs_->nudge(*live.follows);
  live.changed.notify_all();
}

void Engine::Impl::refuse(Connection& connection,
                          const SessionId& session,
                          std::uint32_t run,
                          const std::error_code& code) {
  RefusedFrame frame;
  frame.session = session;
  frame.run = run;
  frame.reason = reason_of(code);
  frame.message = code.message();
  connection.writer.push(encode(EngineFrame(std::move(frame))));
}

void Engine::Impl::refuse(Connection& connection, const SessionId& session, std::uint32_t run, Errc code) {
  refuse(connection, session, run, make_error_code(code));
}

void Engine::Impl::open(Connection& connection, OpenFrame frame) {
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
  // A watchdog's module is stored, so its bytes have to come.
  keys.module_cached = intent->intent.op == core::kRunOperation && may_run_by_hash(intent->intent) &&
                       runner_->cached(intent->intent.module_hash) != nullptr;
  EngineSession session{.envelope = *std::move(envelope),
                        .intent = *std::move(intent),
                        .expires = options_.clock->now() + std::min<Duration>(options_.session_life, kSessionLifeMax),
                        .limits = {},
                        .datasets = {},
                        .watch = {},
                        .live = {}};
  connection.sessions.emplace(frame.session, std::move(session));
  ++session_count_;
  connection.changed.notify_all();
  connection.writer.push(encode(EngineFrame(std::move(keys))));
}

void Engine::Impl::bind(Connection& connection, BindFrame frame) {
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
  session.watch = frame.watch;
  session.runs_left = frame.runs;
}

Result<std::unique_ptr<Engine::Impl::OpenedJob>> Engine::Impl::open_job(core::NodeEnvelope& envelope,
                                                                        const JobFrame& frame) {
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

async::Awaitable<void> Engine::Impl::job(ConnectionPtr connection, JobFrame frame) {
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
          .watch = session.watch,
          .module = std::move((*opened)->request.module),
          .module_hash = (*opened)->module_hash,
          .inputs = std::move((*opened)->request.inputs),
          .input_commitment = (*opened)->input_commitment};
  auto live = std::make_shared<LiveRun>(executor_);
  session.live.emplace(number, live);
  connection->tasks.spawn(run(connection, std::move(job), std::move((*opened)->request.run), std::move(live)));
  expire(*connection);
}

void Engine::Impl::drop(Connection& connection, const SessionId& id) {
  const auto it = connection.sessions.find(id);
  if (it == connection.sessions.end()) return;
  it->second.runs_left = 0;
  it->second.expires = Instant::min();
  for (auto& [number, live] : it->second.live) cancel(*live);
  expire(connection);
}

void Engine::Impl::expire(Connection& connection) {
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

Result<std::unique_ptr<Engine>> Engine::make(async::Executor executor, EngineOptions options) {
  NMP_ASSERT(options.clock != nullptr && options.random != nullptr);
  for (const auto& dataset : options.datasets) {
    if (!core::is_name(dataset.name)) return fail(nmp::Errc::malformed, "dataset name");
    std::error_code error;
    if (!std::filesystem::is_directory(dataset.path, error)) return fail(Errc::dataset_unavailable, dataset.name);
  }
  options.runner.random = options.random;
  NMP_TRY(auto runner, Runner::make(executor, options.runner));
  std::unique_ptr<Watchdogs> watchdogs;
  if (options.watch) {
    WatchdogsOptions watch;
    watch.storage_key = options.watch->storage_key.copy();
    watch.watchdogs_max = options.watch->watchdogs_max;
    watch.per_owner_max = options.watch->per_owner_max;
    watch.memory_bytes_max = options.watch->memory_bytes_max;
    watch.clock = options.clock;
    watch.random = options.random;
    watch.runner = options.runner;
    watch.runner.code_cache = options.watch->code_cache;
    watch.runner.memory_bytes_max = std::min(watch.runner.memory_bytes_max, kWatchMemoryBytesMax);
    for (const auto& dataset : options.datasets) watch.datasets.push_back({dataset.name, dataset.path});
    NMP_TRY(watchdogs, Watchdogs::make(executor, std::move(watch)));
  }
  return std::unique_ptr<Engine>(new Engine(
      std::make_unique<Impl>(std::move(executor), std::move(options), std::move(runner), std::move(watchdogs))));
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

async::Awaitable<void> Engine::serve(async::ByteStreamPtr stream) { return impl_->serve(std::move(stream)); }
std::size_t Engine::running() const { return impl_->running(); }
std::size_t Engine::sessions() const { return impl_->sessions(); }
std::size_t Engine::watchdogs() const { return impl_->watchdogs(); }

}  // namespace nmp::sandbox
