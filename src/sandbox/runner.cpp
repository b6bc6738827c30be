#include "sandbox/runner.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_set>

#include <fmt/format.h>

#include "base/async/event.hpp"
#include "base/async/pool.hpp"
#include "base/async/post.hpp"
#include "sandbox/guest_api.hpp"
#include "sandbox/outbox.hpp"
#include "sandbox/wasmtime_engine.hpp"

namespace nmp::sandbox {

namespace detail {

namespace {
Instant now() { return async::system_clock().now(); }

/// What tables may grow to, as memory: Wasmtime keeps a pointer for each element.
std::uint64_t table_bytes(const guardian::ModuleInfo& info) { return info.table_elements_max * 8; }
}  // namespace

class RunState : public std::enable_shared_from_this<RunState> {
 public:
  RunState(std::shared_ptr<RunnerState> runner_state, async::Executor executor, RunSpec run_spec, LockedRandom& random);

  /// Wakes next() on the network thread. Any thread; many calls become one.
  void notify();

  std::shared_ptr<RunnerState> runner;  // which holds the run only while it is scheduled
  async::Executor executor;
  std::shared_ptr<async::Event> event;  // the Run's: touched on the network thread only
  std::atomic<bool> notifying = false;
  std::atomic<bool> cancelled = false;

  // A worker's, one at a time.
  Outbox outbox;
  Instant started = now();
  Instant deadline = kNever;
  core::Authorization limits;
  GuestApi api;
  ModulePtr module;
  Guest guest;

  // Under the runner's lock.
  enum class Place : std::uint8_t { ready, running, parked, ended } place = Place::ready;
  bool wake_again = false;
  Instant timer = kNever;        ///< Its place in the runner's timers, while parked.
  bool wants_files = false;      ///< While parked.
  std::uint64_t files_seen = 0;  ///< RunnerState::files_ at its turn's begin.

  RunResult result;  ///< Written by the worker before the outbox is finished.
};

class RunnerState : public std::enable_shared_from_this<RunnerState> {
 public:
  RunnerState(async::Executor executor_in,
              RunnerOptions options_in,
              std::shared_ptr<WasmtimeEngine> engine_in,
              const crypto::Digest& fingerprint_in)
      : executor(std::move(executor_in)),
        options(std::move(options_in)),
        engine(std::move(engine_in)),
        fingerprint(fingerprint_in),
        random(*options.random),
        compilers(options.compile_threads) {}

  void start_threads();
  void stop_threads();
  void add(std::shared_ptr<RunState> run);
  /// See Runner::files_changed.
  void files_changed();
  /// A run that waits goes on the queue; one that runs will, after its turn. Any thread.
  void wake(const std::shared_ptr<RunState>& run);

  async::Executor executor;
  RunnerOptions options;
  std::shared_ptr<WasmtimeEngine> engine;  // also the modules', whose code it holds
  crypto::Digest fingerprint;              ///< The engine's, if there is a code cache.
  LockedRandom random;
  async::Pool compilers;
  std::size_t compiling = 0;  // network thread

  std::list<ModulePtr> cache;  // newest first; network thread
  std::size_t cache_bytes = 0;

  std::mutex mutex;
  std::size_t live = 0;

 private:
  void work();
  void tick();
  void turn(const std::shared_ptr<RunState>& run);
  void finish(const std::shared_ptr<RunState>& run, std::optional<Error> error);
  void enqueue_locked(std::shared_ptr<RunState> run, bool fresh);
  std::shared_ptr<RunState> next_locked();

  std::condition_variable ready_changed_;
  std::condition_variable timers_changed_;
  bool stopping_ = false;
  bool ticker_stopping_ = false;
  // Runs that begin or wake, and runs that used up a turn. Taken in alternation, so that neither starves the other.
  std::deque<std::shared_ptr<RunState>> fresh_;
  std::deque<std::shared_ptr<RunState>> used_;
  bool take_used_ = false;
  std::size_t running_ = 0;
  std::uint64_t files_ = 0;  ///< Changes of live datasets so far.
  std::set<std::pair<Instant, std::shared_ptr<RunState>>> timers_;
  std::unordered_set<std::shared_ptr<RunState>> all_;
  std::vector<std::thread> workers_;
  std::thread ticker_;
};

RunState::RunState(std::shared_ptr<RunnerState> runner_state,
                   async::Executor executor_in,
                   RunSpec spec,
                   LockedRandom& random)
    : runner(std::move(runner_state)),
      executor(std::move(executor_in)),
      event(std::make_shared<async::Event>(executor)),
      outbox([this] { notify(); }, [this] { runner->wake(shared_from_this()); }),
      deadline(spec.limits.wall_time() >= std::chrono::hours(24 * 365) ? kNever : started + spec.limits.wall_time()),
      limits(spec.limits),
      api(GuestOptions{.limits = spec.limits,
                       .inputs = std::move(spec.inputs),
                       .datasets = std::move(spec.datasets),
                       .seed = spec.seed,
                       .start_time = spec.start_time,
                       .random = &random,
                       .watch = std::move(spec.watch)},
          outbox,
          started),
      module(spec.module),
      guest(
          runner->engine,
          spec.module,
          api,
          Guest::Limits{.memory_bytes = limits.memory_bytes - table_bytes(spec.module->info()), .fuel = limits.fuel}) {}

void RunState::notify() {
  if (notifying.exchange(true)) return;
  async::post(executor, [self = shared_from_this()] {
    self->notifying = false;
    self->event->notify_all();
  });
}

void RunnerState::start_threads() {
  for (std::size_t i = 0; i < std::max<std::size_t>(options.worker_threads, 1); ++i)
    workers_.emplace_back([this] { work(); });
  ticker_ = std::thread([this] { tick(); });
}

void RunnerState::stop_threads() {
  std::vector<std::shared_ptr<RunState>> left;
  {
    std::lock_guard lock(mutex);
    stopping_ = true;
    for (const auto& run : all_) run->cancelled = true;
  }
  ready_changed_.notify_all();
  timers_changed_.notify_all();
  compilers.stop();
  for (auto& worker : workers_) worker.join();
  {
    // Only now: without ticks a guest in its turn would never come back to its worker.
    std::lock_guard lock(mutex);
    ticker_stopping_ = true;
  }
  timers_changed_.notify_all();
  ticker_.join();
  {
    std::lock_guard lock(mutex);
    left.assign(all_.begin(), all_.end());
    fresh_.clear();
    used_.clear();
    timers_.clear();
  }
  for (const auto& run : left) finish(run, Error{make_error_code(Errc::cancelled), {}});
}

void RunnerState::add(std::shared_ptr<RunState> run) {
  {
    std::lock_guard lock(mutex);
    ++live;
    all_.insert(run);
    enqueue_locked(std::move(run), /*fresh=*/true);
  }
  ready_changed_.notify_one();
}

void RunnerState::enqueue_locked(std::shared_ptr<RunState> run, bool fresh) {
  run->place = RunState::Place::ready;
  run->wake_again = false;
  (fresh ? fresh_ : used_).push_back(std::move(run));
}

std::shared_ptr<RunState> RunnerState::next_locked() {
  auto* queue = fresh_.empty() || (take_used_ && !used_.empty()) ? &used_ : &fresh_;
  if (queue->empty()) return nullptr;
  take_used_ = queue == &fresh_;
  auto run = std::move(queue->front());
  queue->pop_front();
  run->place = RunState::Place::running;
  run->files_seen = files_;
  ++running_;
  return run;
}

void RunnerState::wake(const std::shared_ptr<RunState>& run) {
  {
    std::lock_guard lock(mutex);
    if (run->place == RunState::Place::running) run->wake_again = true;
    if (run->place != RunState::Place::parked) return;
    timers_.erase({run->timer, run});
    enqueue_locked(run, /*fresh=*/true);
  }
  ready_changed_.notify_one();
}

void RunnerState::files_changed() {
  {
    std::lock_guard lock(mutex);
    ++files_;
    for (const auto& run : all_) {
      if (run->place != RunState::Place::parked || !run->wants_files) continue;
      timers_.erase({run->timer, run});
      enqueue_locked(run, /*fresh=*/true);
    }
  }
  ready_changed_.notify_all();
}

void RunnerState::work() {
  std::unique_lock lock(mutex);
  for (;;) {
    std::shared_ptr<RunState> run;
    ready_changed_.wait(lock, [&] { return stopping_ || (run = next_locked()) != nullptr; });
    if (run == nullptr) return;                       // stopping
    if (running_ == 1) timers_changed_.notify_one();  // somebody runs: ticks are needed
    lock.unlock();
    turn(run);
    run.reset();
    lock.lock();
    --running_;
    if (stopping_) return;
  }
}

void RunnerState::turn(const std::shared_ptr<RunState>& run) {
  if (run->cancelled) return finish(run, Error{make_error_code(Errc::cancelled), {}});
  const bool watchdog = run->api.is_watchdog();
  if (watchdog && run->deadline == kNever) run->deadline = now() + run->limits.wall_time();
  if (now() >= run->deadline) return finish(run, Error{make_error_code(Errc::wall_time), "its time is up"});
  const auto turn = run->guest.turn();
  if (turn == Guest::Turn::ended) return finish(run, run->guest.error());
  if (watchdog && turn == Guest::Turn::waiting) run->deadline = kNever;
  bool ready = true;
  {
    std::lock_guard lock(mutex);
    if (turn == Guest::Turn::yielded) {
      enqueue_locked(run, /*fresh=*/false);
    } else if (run->wake_again || run->cancelled || (run->api.waits_for_files() && run->files_seen != files_)) {
      enqueue_locked(run, /*fresh=*/true);
    } else {
      run->place = RunState::Place::parked;
      run->wants_files = run->api.waits_for_files();
      run->timer = std::min(run->api.wake_at(), run->deadline);
      timers_.emplace(run->timer, run);
      ready = false;
    }
  }
  if (ready) {
    ready_changed_.notify_one();
  } else {
    timers_changed_.notify_one();
  }
}

void RunnerState::tick() {
  std::unique_lock lock(mutex);
  auto next_tick = now() + kTick;
  while (!ticker_stopping_) {
    Instant until = timers_.empty() ? kNever : timers_.begin()->first;
    if (running_ > 0) until = std::min(until, next_tick);
    if (until == kNever) {
      timers_changed_.wait(lock);
    } else {
      timers_changed_.wait_until(lock, until);
    }
    const auto time = now();
    bool woken = false;
    while (!timers_.empty() && timers_.begin()->first <= time) {
      auto run = timers_.begin()->second;
      timers_.erase(timers_.begin());
      enqueue_locked(std::move(run), /*fresh=*/true);
      woken = true;
    }
    if (woken) ready_changed_.notify_all();
    if (time >= next_tick) {
      engine->tick();
      next_tick = time + kTick;
    }
  }
}

void RunnerState::finish(const std::shared_ptr<RunState>& run, std::optional<Error> error) {
  run->guest.abandon();
  auto& result = run->result;
  result.used = run->api.used();
  result.used.fuel = run->guest.fuel_used();
  if (const auto linear = run->guest.memory_bytes(); linear > 0)
    result.used.memory_bytes = linear + table_bytes(run->module->info());
  result.used.wall_time_ms =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now() - run->started).count());
  result.diagnostics_dropped = run->api.diagnostics_dropped();
  if (const auto& stop = run->api.stopped()) {
    result.exit_code = stop->exit_code;
    error = stop->error;
    if (!error && stop->exit_code != 0)
      error = Error{make_error_code(Errc::exit_code), "exit code " + std::to_string(stop->exit_code)};
  }
  const auto limit = run->limits.memory_bytes;
  result.memory_limit_hit = run->module->info().grows_memory && result.used.memory_bytes >= limit - limit / 8;
  if (result.memory_limit_hit && error &&
      (error->code == Errc::unreachable || error->code == Errc::exit_code || error->code == Errc::memory_out_of_bounds))
    error = Error{make_error_code(Errc::memory_limit),
                  fmt::format("it ended with {} of {} bytes of memory, as filters do that get no more: {}",
                              result.used.memory_bytes, limit, error->message())};
  result.error = std::move(error);
  {
    std::lock_guard lock(mutex);
    run->place = RunState::Place::ended;
    all_.erase(run);
    --live;
  }
  run->outbox.finish();
}

}  // namespace detail

Run::Run(std::shared_ptr<detail::RunState> state) : state_(std::move(state)) {}

Run::~Run() { cancel(); }

async::Awaitable<Result<std::optional<Output>>> Run::next() {
  auto state = state_;
  for (;;) {
    if (auto output = state->outbox.take()) co_return Result<std::optional<Output>>(std::move(output));
    if (state->outbox.ended()) co_return Result<std::optional<Output>>(std::optional<Output>());
    NMP_CO_CHECK(co_await state->event->wait());
  }
}

std::optional<Output> Run::take() { return state_->outbox.take(); }

void Run::cancel() {
  state_->cancelled = true;
  state_->runner->wake(state_);
}

const RunResult& Run::result() const {
  NMP_ASSERT(state_->outbox.ended());
  return state_->result;
}

Result<std::unique_ptr<Runner>> Runner::make(async::Executor executor, RunnerOptions options) {
  NMP_ASSERT(options.random != nullptr);
  options.runs_max = std::clamp<std::uint32_t>(options.runs_max, 1, options.many_small ? kWatchdogsMax : kRunsMax);
  options.memory_bytes_max =
      std::clamp<std::uint64_t>(options.memory_bytes_max, guardian::kWasmPageBytes, kMemoryBytesMax);
  const WasmtimeEngine::Options engine_options{
      .runs_max = options.runs_max, .memory_bytes_max = options.memory_bytes_max, .many_small = options.many_small};
  NMP_TRY(auto engine, WasmtimeEngine::make(engine_options));
  crypto::Digest fingerprint{};
  if (options.code_cache) {
    NMP_TRY(fingerprint, engine->fingerprint());
  }
  auto state = std::make_shared<detail::RunnerState>(std::move(executor), std::move(options),
                                                     std::shared_ptr<WasmtimeEngine>(std::move(engine)), fingerprint);
  state->start_threads();
  return std::unique_ptr<Runner>(new Runner(std::move(state)));
}

Runner::Runner(std::shared_ptr<detail::RunnerState> state) : state_(std::move(state)) {}

Runner::~Runner() { state_->stop_threads(); }

async::Awaitable<Result<ModulePtr>> Runner::compile(Bytes wasm,
                                                    std::optional<crypto::Digest> sha256,
                                                    std::optional<Bytes> account) {
  auto state = state_;
  const auto digest = sha256 ? *sha256 : crypto::sha256(wasm);
  if (auto module = cached(digest)) co_return module;
  if (state->compiling >= kCompileQueueMax) co_return fail(Errc::busy, "the compiler's queue is full");
  ++state->compiling;
  std::optional<CodePlace> place;
  if (account && state->options.code_cache)
    place = CodePlace{.cache = state->options.code_cache,
                      .key = {.module = digest, .engine = state->fingerprint, .account = *std::move(account)}};
  auto work = [engine = state->engine, policy = state->options.policy, wasm = std::move(wasm), digest,
               place = std::move(place)]() -> Result<ModulePtr> {
    NMP_TRY(auto info, guardian::inspect(wasm, policy));
    return CompiledModule::compile(engine, wasm, digest, std::move(info), place);
  };
  auto module = co_await state->compilers.run(std::move(work));
  --state->compiling;
  if (!module) co_return module;
  for (const auto& entry : state->cache)  // two compiled it at once
    if (entry->sha256() == digest) co_return entry;
  state->cache.push_front(*module);
  state->cache_bytes += (*module)->memory_bytes();
  while (state->cache.size() > 1 &&
         (state->cache.size() > kCacheModulesMax || state->cache_bytes > state->options.cache_module_bytes_max)) {
    state->cache_bytes -= state->cache.back()->memory_bytes();
    state->cache.pop_back();
  }
  co_return module;
}

ModulePtr Runner::cached(const crypto::Digest& sha256) const {
  auto& cache = state_->cache;
  for (auto it = cache.begin(); it != cache.end(); ++it) {
    if ((*it)->sha256() != sha256) continue;
    cache.splice(cache.begin(), cache, it);
    return *it;
  }
  return nullptr;
}

void Runner::forget(const crypto::Digest& sha256) {
  auto& cache = state_->cache;
  const auto it = std::ranges::find(cache, sha256, [](const ModulePtr& module) { return module->sha256(); });
  if (it == cache.end()) return;
  state_->cache_bytes -= (*it)->memory_bytes();
  cache.erase(it);
}

void Runner::erase_code(const crypto::Digest& sha256, ByteView account) const {
  if (!state_->options.code_cache) return;
  state_->options.code_cache->erase({.module = sha256, .engine = state_->fingerprint, .account = to_bytes(account)});
}

Result<RunPtr> Runner::start(RunSpec spec) {
  NMP_ASSERT(spec.module != nullptr);
  spec.limits.memory_bytes = std::min(spec.limits.memory_bytes, state_->options.memory_bytes_max);
  const auto& info = spec.module->info();
  if (info.memory_bytes_min + detail::table_bytes(info) > spec.limits.memory_bytes)
    return fail(Errc::memory_limit, "the module's memory and tables start larger than the run may use");
  if (spec.datasets.size() > kDatasetsMax) return fail(Errc::inputs_invalid, "too many datasets");
  std::uint64_t input_bytes = 0;
  for (const auto& [name, value] : spec.inputs) input_bytes += name.size() + value.size();
  if (input_bytes > spec.limits.input_bytes) return fail(Errc::inputs_invalid, "inputs over the run's limit");
  if (const auto it = spec.inputs.find("args"); it != spec.inputs.end()) {
    if (it->second.size() > kArgumentBytesMax ||
        std::ranges::count(it->second, std::byte{'\n'}) >= static_cast<std::ptrdiff_t>(kArgumentsMax))
      return fail(Errc::inputs_invalid, "args: too many or too long");
    if (std::ranges::find(it->second, std::byte{0}) != it->second.end())
      return fail(Errc::inputs_invalid, "args: a NUL byte");
  }
  {
    std::lock_guard lock(state_->mutex);
    if (state_->live >= state_->options.runs_max) return fail(Errc::busy, "all places for runs are taken");
  }
  auto run = std::make_shared<detail::RunState>(state_, state_->executor, std::move(spec), state_->random);
  state_->add(run);
  return std::make_unique<Run>(std::move(run));
}

void Runner::files_changed() { state_->files_changed(); }

std::size_t Runner::running() const {
  std::lock_guard lock(state_->mutex);
  return state_->live;
}

std::string_view Runner::profile() { return "wasmtime-48.0.8/nan-canonical/fuel/epoch-10ms/nmp-abi-1"; }

const crypto::Digest& sha256_of(const CompiledModule& module) { return module.sha256(); }
const guardian::ModuleInfo& info_of(const CompiledModule& module) { return module.info(); }
std::size_t memory_bytes_of(const CompiledModule& module) { return module.memory_bytes(); }

}  // namespace nmp::sandbox
