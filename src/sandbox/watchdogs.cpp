#include "sandbox/watchdogs.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "base/async/event.hpp"
#include "base/async/pool.hpp"
#include "base/async/task_group.hpp"
#include "base/codec.hpp"
#include "core/limits.hpp"
#include "sandbox/watchdog.hpp"

namespace nmp::sandbox {

namespace {

constexpr std::string_view kAtRestUse = "nmp/v1/at-rest";
constexpr std::string_view kDefinition = "definition";
constexpr std::string_view kModule = "module";
constexpr std::string_view kProgress = "progress";
constexpr std::string_view kLog = "log";
constexpr std::string_view kEvent = "event";

using DogPtr = std::shared_ptr<Watchdog>;  // the table, its supervisor, and calls under way

/// An event is bound to its place: another's sequence number does not open it.
Bytes event_id(const WatchId& id, std::uint64_t sequence) {
  auto out = to_bytes(ByteView(id));
  append(out, Writer().u64be(sequence).view());
  return out;
}

std::size_t size_of(const WatchWrite& write) {
  return std::visit(
      [](const auto& w) -> std::size_t {
        if constexpr (requires { w.record; }) return w.record.size();
        return 0;
      },
      write);
}

Instant monotonic_now() { return async::system_clock().now(); }

}  // namespace

class Watchdogs::Impl {
 public:
  Impl(async::Executor executor, WatchdogsOptions options, std::unique_ptr<Runner> runner)
      : executor_(std::move(executor)),
        options_(std::move(options)),
        storage_key_(AtRestKey::derive(options_.storage_key, kAtRestUse)),
        runner_(std::move(runner)),
        feed_(options_.datasets, [this] { runner_->files_changed(); }),
        files_(1),
        written_(executor_),
        compiled_(executor_),
        tasks_(executor_) {}
  ~Impl() { files_.stop(); }

  void attach(WatchStorage& storage) {
    NMP_ASSERT(storage_ == nullptr);
    storage_ = &storage;
    tasks_.spawn(write_all());
    tasks_.spawn(sweep());
  }

  Result<void> restore(StoredWatch stored) {
    NMP_TRY(auto key, AtRestKey::unwrap(storage_key_, stored.id, stored.key));
    NMP_TRY(const auto plain, key.open(kDefinition, stored.id, stored.definition));
    NMP_TRY(auto definition, decode_definition(plain));
    if (definition.owner != stored.owner || definition.capability != stored.capability)
      return fail(Errc::protocol, "the host's columns are not the definition's");
    auto dog = std::make_shared<Watchdog>(executor_, stored.id, std::move(definition), std::move(key));
    if (stored.progress) {
      NMP_TRY(const auto record, dog->key.open(kProgress, stored.id, *stored.progress));
      NMP_TRY(dog->record, decode_record(record));
    }
    if (stored.log) {
      NMP_TRY(const auto log, dog->key.open(kLog, stored.id, *stored.log));
      dog->log = WatchLog(string_of(log));
    }
    dog->next_event = stored.next_event;
    dog->durable = stored.next_event;
    for (const auto size : stored.event_bytes) {
      const auto bytes = size - std::min<std::uint32_t>(size, kAtRestOverhead);
      dog->kept.push_back(bytes);
      dog->kept_bytes += bytes;
    }
    // The stricter of then and now: what was taken away since is gone.
    if (stored.allowed) dog->allowed = minimum(dog->definition.allowed, *stored.allowed);
    set_progress(*dog);
    dogs_.emplace(dog->id, std::move(dog));
    return {};
  }

  void start() {
    started_ = true;
    for (const auto& [id, dog] : dogs_)
      if (dog->lives()) tasks_.spawn(supervise(dog));
    written_.notify_all();
  }

  async::Awaitable<Result<WatchId>> deploy(WatchDefinition definition, Bytes module) {
    if (storage_ == nullptr || !started_) co_return fail(Errc::not_available, "no storage");
    const auto of_owner = std::ranges::count_if(
        dogs_, [&](const auto& item) { return item.second->definition.owner == definition.owner; });
    if (dogs_.size() + deploying_ >= options_.watchdogs_max)
      co_return fail(Errc::too_many_watchdogs, "the node keeps no more");
    if (static_cast<std::size_t>(of_owner) + deploying_ >= options_.per_owner_max)
      co_return fail(Errc::too_many_watchdogs, fmt::format("this agent has {}", of_owner));
    if (granted_memory() + definition.allowed.limits.memory_bytes > options_.memory_bytes_max)
      co_return fail(Errc::too_many_watchdogs,
                     fmt::format("{} of memory are granted already, of {}: ask for less, or for fewer",
                                 granted_memory(), options_.memory_bytes_max));
    if (module.size() > kWatchModuleBytesMax) co_return fail(Errc::inputs_invalid, "a watchdog's module is too large");
    std::size_t input_bytes = 0;
    for (const auto& [name, value] : definition.inputs) input_bytes += name.size() + value.size();
    if (input_bytes > kWatchInputsBytesMax) co_return fail(Errc::inputs_invalid, "a watchdog's inputs are too large");
    ++deploying_;
    auto id = co_await store(std::move(definition), std::move(module));
    --deploying_;
    co_return id;
  }

  [[nodiscard]] std::vector<core::WatchStatus> list(const libp2p::PeerId& owner) const {
    std::vector<core::WatchStatus> out;
    const auto unix = options_.clock->unix_now();
    for (const auto& [id, dog] : dogs_)
      if (dog->definition.owner == owner && !dog->stopping && out.size() < core::kWatchListMax)
        out.push_back(dog->status(unix));
    return out;
  }

  async::Awaitable<Result<std::vector<WatchEvent>>> events(libp2p::PeerId owner,
                                                           WatchId id,
                                                           std::uint64_t from,
                                                           std::function<bool()> given_up) {
    for (;;) {
      if (given_up()) co_return fail(Errc::cancelled);
      auto dog = find(owner, id);
      if (!dog) co_return fail(nmp::Errc::not_found);
      // What is not durable yet is not told: a crash would give its number to another event.
      const auto first = std::max(from, dog->first_event());
      if (first < dog->durable) {
        auto stored = co_await storage_->events(id, first, kWatchFetchEvents, kWatchFetchBytes);
        if (!stored) co_return fail(Errc::storage_failed, stored.error().message());
        std::vector<WatchEvent> out;
        for (auto& event : *stored) {
          NMP_CO_TRY(auto data, dog->key.open(kEvent, event_id(id, event.sequence), event.record));
          WatchEvent plain;
          plain.sequence = event.sequence;
          plain.data = std::move(data);
          out.push_back(std::move(plain));
        }
        if (!out.empty()) co_return out;
        if (first < dog->first_event()) continue;  // forgotten meanwhile
      }
      NMP_CO_CHECK(co_await dog->changed.wait());
    }
  }

  async::Awaitable<Result<void>> acknowledge(libp2p::PeerId owner, WatchId id, std::uint64_t up_to) {
    auto dog = find(owner, id);
    if (!dog) co_return fail(nmp::Errc::not_found);
    if (up_to < dog->first_event()) co_return Result<void>();
    const auto last = std::min(up_to, dog->next_event - 1);
    if (last + 1 > dog->durable) co_return Result<void>();  // nobody can have seen it
    ForgetEvents forget;
    forget.id = id;
    forget.up_to = last;
    std::vector<WatchWrite> writes;
    writes.emplace_back(forget);
    auto written = co_await storage_->write(std::move(writes));
    if (!written) co_return fail(Errc::storage_failed, written.error().message());
    // Another acknowledgement may have come first.
    if (last >= dog->first_event()) dog->forget(last - dog->first_event() + 1);
    dog->changed.notify_all();
    co_return Result<void>();
  }

  void nudge(const WatchId& id) {
    if (const auto it = dogs_.find(id); it != dogs_.end()) it->second->changed.notify_all();
  }

  [[nodiscard]] Result<std::string> logs(const libp2p::PeerId& owner, const WatchId& id) const {
    const auto dog = find(owner, id);
    if (!dog) return fail(nmp::Errc::not_found);
    return dog->log.text();
  }

  async::Awaitable<Result<void>> stop(libp2p::PeerId owner, WatchId id) {
    auto dog = find(owner, id);
    if (!dog) co_return fail(nmp::Errc::not_found);
    dog->stopping = true;
    if (dog->run != nullptr) dog->run->cancel();
    dog->changed.notify_all();
    EraseWatch erase;
    erase.id = id;
    std::vector<WatchWrite> writes;
    writes.emplace_back(erase);
    auto written = co_await storage_->write(std::move(writes));
    dogs_.erase(id);
    co_await forget_code(dog->definition.module_hash, dog->definition.owner);
    if (!written) co_return fail(Errc::storage_failed, written.error().message());
    co_return Result<void>();
  }

  async::Awaitable<void> close() {
    for (const auto& [id, dog] : dogs_)
      if (dog->run != nullptr) dog->run->cancel();
    co_await tasks_.close();
  }

  [[nodiscard]] std::size_t size() const { return dogs_.size(); }
  [[nodiscard]] bool started() const { return started_; }
  [[nodiscard]] ModulePtr cached(const crypto::Digest& sha256) const { return runner_->cached(sha256); }

 private:
  [[nodiscard]] DogPtr find(const libp2p::PeerId& owner, const WatchId& id) const {
    const auto it = dogs_.find(id);
    if (it == dogs_.end() || it->second->definition.owner != owner || it->second->stopping) return nullptr;
    return it->second;
  }

  [[nodiscard]] std::uint64_t granted_memory() const {
    std::uint64_t sum = 0;
    for (const auto& [id, dog] : dogs_)
      if (dog->lives()) sum += dog->allowed->limits.memory_bytes;
    return sum;
  }
  /// Machine code that is held for watchdogs of `owner`, or of all: each module once.
  [[nodiscard]] std::size_t code_bytes(const libp2p::PeerId* owner) const {
    std::map<const CompiledModule*, std::size_t> modules;
    for (const auto& [id, dog] : dogs_)
      if (dog->module && (owner == nullptr || dog->definition.owner == *owner))
        modules.emplace(dog->module.get(), memory_bytes_of(*dog->module));
    std::size_t sum = 0;
    for (const auto& [module, bytes] : modules) sum += bytes;
    return sum;
  }
  [[nodiscard]] Result<void> check_code(const libp2p::PeerId& owner, const ModulePtr& module) const {
    const auto held = [&](const auto& item) { return item.second->module == module; };
    if (std::ranges::any_of(dogs_, held)) return {};
    const auto more = memory_bytes_of(*module);
    if (code_bytes(nullptr) + more > kWatchCodeBytesMax || code_bytes(&owner) + more > kWatchCodeBytesMax / 4)
      return fail(Errc::too_many_watchdogs, "the code of those that are there takes all its memory");
    return {};
  }

  void set_progress(Watchdog& dog) const {
    dog.said = DayBudget(options_.day_bytes_max);
    const auto per_day = dog.allowed ? dog.allowed->policy.fuel_per_day : 0;
    dog.progress = std::make_shared<WatchProgress>(DayBudget(per_day, dog.record.fuel_day, dog.record.fuel_used));
    dog.fuel_stored = dog.record.fuel_used;
  }

  // --- deploying -----------------------------------------------------------------------------------------------------

  async::Awaitable<Result<WatchId>> store(WatchDefinition definition, Bytes module) {
    const auto module_hash = definition.module_hash;
    // Refused now rather than found to fail later.
    Bytes copy = module;
    NMP_CO_TRY(auto compiled, co_await compile(std::move(copy), module_hash, definition.owner));
    NMP_CO_CHECK(check_code(definition.owner, compiled));
    const auto id = options_.random->bytes<16>();
    auto dog = std::make_shared<Watchdog>(executor_, id, std::move(definition), AtRestKey::generate(*options_.random));
    dog->module = std::move(compiled);
    dog->allowed = dog->definition.allowed;
    set_progress(*dog);
    CreateWatch create{.id = id, .owner = dog->definition.owner, .capability = dog->definition.capability};
    create.key = dog->key.wrap(storage_key_, id, *options_.random);
    create.definition = dog->key.seal(kDefinition, id, encode(dog->definition), *options_.random);
    create.module = dog->key.seal(kModule, id, module, *options_.random);
    std::vector<WatchWrite> writes;
    writes.emplace_back(std::move(create));
    auto written = co_await storage_->write(std::move(writes));
    if (!written) co_return fail(Errc::storage_failed, written.error().message());
    dogs_.emplace(id, dog);
    tasks_.spawn(supervise(dog));
    co_return id;
  }

  /// One at a time: whoever deploys or restarts much waits for his own.
  async::Awaitable<Result<ModulePtr>> compile(Bytes module, crypto::Digest hash, libp2p::PeerId owner) {
    while (compiling_) NMP_CO_CHECK(co_await compiled_.wait());
    if (auto cached = runner_->cached(hash)) co_return cached;
    compiling_ = true;
    auto account = to_bytes(owner.bytes());
    auto compiled = co_await runner_->compile(std::move(module), hash, std::move(account));
    compiling_ = false;
    compiled_.notify_all();
    co_return compiled;
  }

  async::Awaitable<Result<ModulePtr>> module_of(DogPtr dog) {
    if (dog->module) co_return dog->module;
    if (auto cached = runner_->cached(dog->definition.module_hash)) co_return cached;
    NMP_CO_TRY(auto record, co_await storage_->module(dog->id));
    NMP_CO_TRY(auto module, dog->key.open(kModule, dog->id, record));
    if (crypto::sha256(module) != dog->definition.module_hash) co_return fail(Errc::module_mismatch);
    co_return co_await compile(std::move(module), dog->definition.module_hash, dog->definition.owner);
  }

  /// Erases the machine code that the last watchdog of its owner leaves behind, like all else that is kept of it.
  async::Awaitable<void> forget_code(crypto::Digest hash, libp2p::PeerId owner) {
    bool needed = false;
    bool owned = false;
    for (const auto& [id, dog] : dogs_) {
      needed = needed || dog->definition.module_hash == hash;
      owned = owned || (dog->definition.module_hash == hash && dog->definition.owner == owner);
    }
    // Whoever deploys it again compiles it, so that it is on the disk again too.
    if (!needed) runner_->forget(hash);
    if (owned) co_return;
    auto work = [this, hash, owner] {
      runner_->erase_code(hash, owner.bytes());
      return true;
    };
    (void)co_await files_.run(std::move(work));
  }

  // --- supervising ---------------------------------------------------------------------------------------------------

  async::Awaitable<void> supervise(DogPtr dog) {
    while (!dog->stopping) {
      if (options_.clock->unix_now() >= dog->definition.expires) {
        end(*dog, core::WatchPhase::ended, "expired", "its life is over");
        break;
      }
      const auto started = monotonic_now();
      auto result = co_await live(dog);
      dog->run = nullptr;
      if (!result && result.error().code == nmp::Errc::cancelled) co_return;  // the node closes
      if (dog->stopping) break;
      const auto unix = options_.clock->unix_now();
      if (unix >= dog->definition.expires) continue;
      if (result && !*result) {
        end(*dog, core::WatchPhase::ended, "ok", "it returned");
        break;
      }
      const auto& error = result ? **result : result.error();
      const auto reason = std::string(reason_of(error.code));
      const bool rests = error.code == Errc::fuel_exhausted && dog->progress->get().fuel.left(unix) == 0;
      if (monotonic_now() - started >= kWatchHealthy) dog->record.failures = 0;
      if (!rests && ++dog->record.failures >= kWatchFailuresMax) {
        end(*dog, core::WatchPhase::failed, reason, fmt::format("{}; it failed too often", error.message()));
        break;
      }
      const auto pause =
          rests ? std::chrono::seconds(DayBudget::next_day(unix) - unix) : pause_after(dog->record.failures);
      dog->record.phase = rests ? core::WatchPhase::resting : core::WatchPhase::backing_off;
      dog->record.reason = reason;
      note(*dog, fmt::format("{}; again in {} s", error.message(), pause.count()));
      const auto again = monotonic_now() + pause;
      while (!dog->stopping && monotonic_now() < again) {
        auto waited = co_await dog->changed.wait(again);
        if (!waited && waited.error().code == nmp::Errc::cancelled) co_return;
      }
    }
    dog->changed.notify_all();
  }

  static std::chrono::seconds pause_after(std::uint64_t failures) {
    auto pause = kWatchPauseFirst;
    for (; failures > 1 && pause < kWatchPauseLast; --failures) pause *= 2;
    return std::min<std::chrono::seconds>(pause, kWatchPauseLast);
  }

  /// One start to its end: nothing if it returned, else why it failed. Errors: cancelled, when the node closes.
  async::Awaitable<Result<std::optional<Error>>> live(DogPtr dog) {
    dog->record.phase = core::WatchPhase::starting;
    auto module = co_await module_of(dog);
    if (!module) co_return outcome(std::move(module).error());
    if (!dog->module) {
      if (auto room = check_code(dog->definition.owner, *module); !room) co_return outcome(std::move(room).error());
      dog->module = *module;
    }
    auto spec = co_await prepare(dog);
    if (!spec) co_return outcome(std::move(spec).error());
    spec->module = *std::move(module);
    auto run = runner_->start(*std::move(spec));
    if (!run) co_return outcome(std::move(run).error());
    dog->run = run->get();
    dog->record.phase = core::WatchPhase::running;
    ++dog->record.starts;
    note(*dog, dog->record.starts == 1 ? "started" : "started again");
    if (dog->stopping) (*run)->cancel();
    for (;;) {
      // What is not taken holds the guest.
      while (holds(*dog) && !dog->stopping) {
        auto waited = co_await dog->changed.wait(next_look(*dog));
        if (!waited && waited.error().code == nmp::Errc::cancelled) co_return fail(waited.error());
      }
      auto output = co_await (*run)->next();
      if (!output) co_return fail(output.error());
      if (!*output) break;
      std::size_t bytes = 0;
      for (std::optional<Output> next = **std::move(output); next; next = (*run)->take()) {
        bytes += kWatchItemBytes + next->bytes.size();
        dog->said.charge(kWatchItemBytes + next->bytes.size(), options_.clock->unix_now());
        take(*dog, *std::move(next));
        if (bytes >= kWatchBatchBytes || holds(*dog)) break;
      }
      NMP_CO_CHECK(co_await stored(dog));
      // Words for its log are not written now: whoever says many leaves the network thread to others between.
      NMP_CO_CHECK(co_await async::sleep_until(monotonic_now()));
    }
    auto error = (*run)->result().error;
    if (!error) dog->record.failures = 0;
    co_return error;
  }
  /// Whether nothing more is taken of it for now.
  [[nodiscard]] bool holds(const Watchdog& dog) const {
    if (dog.said.left(options_.clock->unix_now()) == 0) return true;
    return dog.full() && dog.allowed && dog.allowed->policy.when_full == core::WhenFull::hold;
  }
  /// When holds() may have changed without a word.
  [[nodiscard]] Instant next_look(const Watchdog& dog) const {
    const auto unix = options_.clock->unix_now();
    if (dog.said.left(unix) > 0) return kNever;
    return monotonic_now() + std::chrono::seconds(DayBudget::next_day(unix) - unix);
  }
  static Result<std::optional<Error>> outcome(Error error) {
    if (error.code == nmp::Errc::cancelled) return fail(std::move(error));
    return std::optional<Error>(std::move(error));
  }

  async::Awaitable<Result<RunSpec>> prepare(DogPtr dog) {
    RunSpec spec;
    WatchGuest guest;
    for (const auto& name : dog->allowed->datasets) {
      auto work = [this, name] { return feed_.open(name); };
      NMP_CO_TRY(auto live, co_await files_.run(std::move(work)));
      spec.datasets.push_back(live->now().snapshot);
      guest.live.push_back(std::move(live));
    }
    guest.state = dog->record.state;
    guest.progress = dog->progress;
    dog->progress->update([](auto& values) { values.wake_ups = 0; });
    spec.watch = std::move(guest);
    spec.limits = dog->allowed->limits;
    // Its supervisor bounds what it says; its log is a ring.
    spec.limits.events = core::kNoCeiling;
    spec.limits.event_bytes = core::kNoCeiling;
    spec.limits.output_bytes = core::kNoCeiling;
    spec.limits.diagnostic_bytes = core::kNoCeiling;
    spec.inputs = dog->definition.inputs;
    spec.start_time = options_.clock->unix_now();
    co_return spec;
  }

  void take(Watchdog& dog, Output output) {
    switch (output.kind) {
      case OutputKind::event: {
        if (dog.full()) {
          ForgetEvents forget;
          forget.id = dog.id;
          forget.up_to = dog.first_event();
          dog.forget(1);
          ++dog.record.dropped;
          dog.record_dirty = true;
          push(forget);
        }
        PutEvent put;
        put.id = dog.id;
        put.sequence = dog.next_event++;
        put.record = dog.key.seal(kEvent, event_id(dog.id, put.sequence), output.bytes, *options_.random);
        dog.kept.push_back(static_cast<std::uint32_t>(output.bytes.size()));
        dog.kept_bytes += output.bytes.size();
        push(std::move(put));
        break;
      }
      case OutputKind::state:
        dog.record.state = std::move(output.bytes);
        // Here and not later: behind the events that the state knows of, before those that it does not.
        put_record(dog);
        break;
      case OutputKind::evidence:
      case OutputKind::diagnostics:
        dog.log.add(output.bytes);
        dog.log_dirty = true;
        break;
    }
  }

  void note(Watchdog& dog, std::string_view words) {
    dog.log.note(options_.clock->unix_now(), words);
    dog.log_dirty = true;
    put_record(dog);
    put_log(dog);
  }

  void end(Watchdog& dog, core::WatchPhase phase, std::string reason, std::string_view words) {
    dog.record.phase = phase;
    dog.record.reason = std::move(reason);
    note(dog, words);
  }

  // --- storing -------------------------------------------------------------------------------------------------------

  void put_record(Watchdog& dog) {
    const auto fuel = dog.progress->get().fuel;
    dog.record.fuel_day = fuel.day();
    dog.record.fuel_used = fuel.used();
    dog.fuel_stored = fuel.used();
    dog.record_dirty = false;
    PutProgress put;
    put.id = dog.id;
    put.record = dog.key.seal(kProgress, dog.id, encode(dog.record), *options_.random);
    push(std::move(put));
  }
  void put_log(Watchdog& dog) {
    dog.log_dirty = false;
    PutLog put;
    put.id = dog.id;
    put.record = dog.key.seal(kLog, dog.id, bytes_of(dog.log.text()), *options_.random);
    push(std::move(put));
  }
  void push(WatchWrite write) {
    writes_.push_back(std::move(write));
    ++pushed_;
    written_.notify_all();
  }

  /// Until all that was pushed for it is durable.
  async::Awaitable<Result<void>> stored(DogPtr dog) {
    if (dog->record_dirty) put_record(*dog);
    const auto mine = pushed_;
    const auto next = dog->next_event;
    while (durable_ < mine) NMP_CO_CHECK(co_await written_.wait());
    dog->durable = std::max(dog->durable, next);
    dog->changed.notify_all();
    co_return Result<void>();
  }

  /// Writes of all watchdogs, as many as there are at a time.
  async::Awaitable<void> write_all() {
    for (;;) {
      while (writes_.empty()) {
        auto waited = co_await written_.wait();
        if (!waited) co_return;
      }
      std::size_t count = 0;
      for (std::size_t bytes = 0; count < std::min(writes_.size(), kWatchWritesMax) && bytes < kWatchWriteBytes;
           ++count)
        bytes += size_of(writes_[count]);
      std::vector<WatchWrite> batch(std::make_move_iterator(writes_.begin()),
                                    std::make_move_iterator(writes_.begin() + static_cast<std::ptrdiff_t>(count)));
      writes_.erase(writes_.begin(), writes_.begin() + static_cast<std::ptrdiff_t>(count));
      for (;;) {
        std::vector<WatchWrite> copy = batch;
        auto written = co_await storage_->write(std::move(copy));
        if (written) break;
        if (written.error().code == nmp::Errc::cancelled || written.error().code == nmp::Errc::closed) co_return;
        // Nothing is lost while the disk is full: the guests wait.
        auto slept = co_await async::sleep_until(monotonic_now() + kWatchStorePause);
        if (!slept) co_return;
      }
      durable_ += count;
      written_.notify_all();
    }
  }

  async::Awaitable<void> sweep() {
    for (;;) {
      auto seconds = static_cast<UnixSeconds>(kWatchSweep.count());
      for (const auto& [id, dog] : dogs_)
        if (const auto left = dog->definition.expires - options_.clock->unix_now(); left > 0)
          seconds = std::min(seconds, left);
      auto slept = co_await async::sleep_until(monotonic_now() + std::chrono::seconds(seconds));
      if (!slept) co_return;
      const auto unix = options_.clock->unix_now();
      for (const auto& [id, dog] : dogs_) {
        if (dog->stopping) continue;
        if (unix >= dog->definition.expires) {
          if (dog->run != nullptr) dog->run->cancel();
          dog->changed.notify_all();
        }
        // A crash gives back at most a twentieth of a day's fuel.
        const auto used = dog->progress->get().fuel.used_on(unix);
        const bool much = dog->allowed && used > dog->fuel_stored + dog->allowed->policy.fuel_per_day / 20;
        if (much || (used < dog->fuel_stored && dog->lives())) put_record(*dog);
        if (dog->log_dirty) put_log(*dog);
      }
    }
  }

  async::Executor executor_;
  WatchdogsOptions options_;
  AtRestKey storage_key_;
  std::unique_ptr<Runner> runner_;
  DatasetFeed feed_;
  async::Pool files_;
  WatchStorage* storage_ = nullptr;
  std::map<WatchId, DogPtr> dogs_;
  std::size_t deploying_ = 0;
  bool started_ = false;

  std::deque<WatchWrite> writes_;
  std::uint64_t pushed_ = 0;
  std::uint64_t durable_ = 0;
  async::Event written_;

  bool compiling_ = false;
  async::Event compiled_;
  async::TaskGroup tasks_;
};

Result<std::unique_ptr<Watchdogs>> Watchdogs::make(async::Executor executor, WatchdogsOptions options) {
  NMP_ASSERT(options.clock != nullptr && options.random != nullptr);
  options.watchdogs_max = std::clamp<std::uint32_t>(options.watchdogs_max, 1, kWatchdogsMax);
  options.runner.many_small = true;
  options.runner.runs_max = options.watchdogs_max;
  options.runner.random = options.random;
  NMP_TRY(auto runner, Runner::make(executor, options.runner));
  return std::unique_ptr<Watchdogs>(
      new Watchdogs(std::make_unique<Impl>(std::move(executor), std::move(options), std::move(runner))));
}

Watchdogs::Watchdogs(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Watchdogs::~Watchdogs() = default;

void Watchdogs::attach(WatchStorage& storage) { impl_->attach(storage); }
Result<void> Watchdogs::restore(StoredWatch stored) { return impl_->restore(std::move(stored)); }
void Watchdogs::start() { impl_->start(); }
bool Watchdogs::started() const { return impl_->started(); }
async::Awaitable<Result<WatchId>> Watchdogs::deploy(WatchDefinition definition, Bytes module) {
  return impl_->deploy(std::move(definition), std::move(module));
}
std::vector<core::WatchStatus> Watchdogs::list(const libp2p::PeerId& owner) const { return impl_->list(owner); }
async::Awaitable<Result<std::vector<WatchEvent>>> Watchdogs::events(libp2p::PeerId owner,
                                                                    WatchId id,
                                                                    std::uint64_t from,
                                                                    std::function<bool()> given_up) {
  return impl_->events(std::move(owner), id, from, std::move(given_up));
}
void Watchdogs::nudge(const WatchId& id) { impl_->nudge(id); }
async::Awaitable<Result<void>> Watchdogs::acknowledge(libp2p::PeerId owner, WatchId id, std::uint64_t up_to) {
  return impl_->acknowledge(std::move(owner), id, up_to);
}
Result<std::string> Watchdogs::logs(const libp2p::PeerId& owner, const WatchId& id) const {
  return impl_->logs(owner, id);
}
async::Awaitable<Result<void>> Watchdogs::stop(libp2p::PeerId owner, WatchId id) {
  return impl_->stop(std::move(owner), id);
}
std::size_t Watchdogs::size() const { return impl_->size(); }
ModulePtr Watchdogs::cached(const crypto::Digest& sha256) const { return impl_->cached(sha256); }
async::Awaitable<void> Watchdogs::close() { return impl_->close(); }

}  // namespace nmp::sandbox
