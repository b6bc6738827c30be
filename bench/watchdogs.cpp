// Watchdogs that sleep, many in one process: what each takes, and how soon one wakes.
#include "sandbox/watchdogs.hpp"

#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <unistd.h>
#include <wasmtime.h>

#include "base/async/event.hpp"
#include "base/owned.hpp"
#include "bench.hpp"
#include "crypto/ed25519.hpp"
#include "crypto/random.hpp"
#include "modules.hpp"

namespace nmp::bench {

namespace {

using EnginePtr = Owned<wasm_engine_t, &wasm_engine_delete>;
using ModulePtr = Owned<wasmtime_module_t, &wasmtime_module_delete>;
using StorePtr = Owned<wasmtime_store_t, &wasmtime_store_delete>;
using PoolPtr = Owned<wasmtime_pooling_allocation_config_t, &wasmtime_pooling_allocation_config_delete>;

/// Touches two pages of its memory, then waits for a changed file and pushes an event each time.
Bytes sleeper() {
  return sandbox::wat(R"((module
    (import "nmp" "push_event" (func $push (param i32 i32)))
    (import "nmp" "wait" (func $wait (param i64 i32) (result i32)))
    (memory (export "memory") 2)
    (func (export "_start")
      (i32.store (i32.const 0) (i32.const 1)) (i32.store (i32.const 4096) (i32.const 1))
      (loop $l
        (drop (call $wait (i64.const 0) (i32.const 2)))
        (call $push (i32.const 0) (i32.const 4))
        (br $l)))))");
}

std::uint64_t rss_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

/// Remembers when events came, and nothing else: what is measured is not the disk.
class Arrivals final : public sandbox::WatchStorage {
 public:
  explicit Arrivals(const async::Executor& executor) : changed(executor) {}
  async::Awaitable<Result<void>> write(std::vector<sandbox::WatchWrite> writes) override {
    for (const auto& write : writes)
      if (std::holds_alternative<sandbox::PutEvent>(write)) times.push_back(async::system_clock().now());
    changed.notify_all();
    co_return Result<void>();
  }
  async::Awaitable<Result<std::vector<sandbox::StoredEvent>>> events(sandbox::WatchId,
                                                                     std::uint64_t,
                                                                     std::uint32_t,
                                                                     std::uint64_t) override {
    co_return std::vector<sandbox::StoredEvent>();
  }
  async::Awaitable<Result<Bytes>> module(sandbox::WatchId) override { co_return fail(Errc::not_found); }
  async::Event changed;
  std::vector<Instant> times;
};

sandbox::WatchDefinition definition(std::string dataset, const crypto::Digest& module) {
  sandbox::WatchDefinition out(
      libp2p::PeerId::of(crypto::Ed25519KeyPair::generate(crypto::system_random()).public_key()));
  out.capability = "bench";
  out.module_hash = module;
  auto& limits = out.allowed.limits;
  limits = {.memory_bytes = 1 << 20,
            .fuel = 1'000'000,
            .wall_time_ms = 60'000,
            .output_bytes = 1 << 16,
            .event_bytes = 1 << 20,
            .events = 10'000,
            .diagnostic_bytes = 1 << 16,
            .input_bytes = 1 << 16};
  out.allowed.policy.fuel_per_day = 1ULL << 40;
  out.allowed.datasets = {std::move(dataset)};
  out.created = async::system_clock().unix_now();
  out.expires = out.created + 86'400;
  return out;
}

/// `count` stores of bare Wasmtime, each with an instance of the module from a pool: bytes each.
Result<double> bare_bytes_each(std::size_t count) {
  PoolPtr pool(wasmtime_pooling_allocation_config_new());
  const auto slots = static_cast<std::uint32_t>(count);
  wasmtime_pooling_allocation_config_total_core_instances_set(pool.get(), slots);
  wasmtime_pooling_allocation_config_total_memories_set(pool.get(), slots);
  wasmtime_pooling_allocation_config_max_memory_size_set(pool.get(), 1 << 20);
  auto* config = wasm_config_new();
  wasmtime_config_memory_reservation_set(config, 1 << 20);
  wasmtime_config_memory_guard_size_set(config, 64 << 10);
  wasmtime_pooling_allocation_strategy_set(config, pool.get());
  const EnginePtr engine(wasm_engine_new_with_config(config));
  const auto wasm = sandbox::wat(R"((module (memory (export "memory") 2) (func (export "_start")
    (i32.store (i32.const 0) (i32.const 1)) (i32.store (i32.const 4096) (i32.const 1)))))");
  wasmtime_module_t* module = nullptr;
  if (wasmtime_module_new(engine.get(), u8(wasm), wasm.size(), &module) != nullptr)
    return fail(Errc::unavailable, "compile");
  const ModulePtr owner(module);
  std::vector<StorePtr> stores;
  const auto before = rss_bytes();
  for (std::size_t i = 0; i < count; ++i) {
    StorePtr store(wasmtime_store_new(engine.get(), nullptr, nullptr));
    auto* context = wasmtime_store_context(store.get());
    wasmtime_instance_t instance{};
    wasm_trap_t* trap = nullptr;
    if (wasmtime_instance_new(context, module, nullptr, 0, &instance, &trap) != nullptr || trap != nullptr)
      return fail(Errc::unavailable, "instance");
    wasmtime_extern_t start{};
    if (!wasmtime_instance_export_get(context, &instance, "_start", 6, &start)) return fail(Errc::not_found, "_start");
    if (wasmtime_func_call(context, &start.of.func, nullptr, 0, nullptr, 0, &trap) != nullptr)
      return fail(Errc::unavailable, "call");
    stores.push_back(std::move(store));
  }
  return static_cast<double>(rss_bytes() - before) / static_cast<double>(count);
}

async::Awaitable<Result<void>> arrive(Arrivals& arrivals, std::size_t count) {
  const auto deadline = in(kPatience);
  while (arrivals.times.size() < count) NMP_CO_CHECK(co_await arrivals.changed.wait(deadline));
  co_return Result<void>();
}

void touch(const std::filesystem::path& folder, std::size_t turn) {
  std::ofstream(folder / "file", std::ios::trunc) << turn;
}

}  // namespace

/// --count N: how many sleep; --wakes N: how often the one is woken; --folder DIR: for its files.
Command watchdogs(async::MainLoop& loop, Options options) {
  NMP_CO_TRY(const auto count, options.number("count", 10'000));
  NMP_CO_TRY(const auto wakes, options.number("wakes", 100));
  const std::filesystem::path folder = options.text("folder", ".");
  json result;
  NMP_CO_TRY(result["bare_bytes_each"], bare_bytes_each(count));

  std::filesystem::create_directories(folder / "many");
  std::filesystem::create_directories(folder / "one");
  sandbox::WatchdogsOptions watch;
  watch.watchdogs_max = static_cast<std::uint32_t>(count + 1);
  watch.memory_bytes_max = 1ULL << 40;
  watch.per_owner_max = watch.watchdogs_max;
  watch.clock = &async::system_clock();
  watch.random = &crypto::system_random();
  watch.runner.memory_bytes_max = 1 << 20;
  watch.datasets = {{.name = "many", .path = folder / "many"}, {.name = "one", .path = folder / "one"}};
  NMP_CO_TRY(auto dogs, sandbox::Watchdogs::make(loop.executor(), std::move(watch)));
  Arrivals arrivals(loop.executor());
  dogs->attach(arrivals);
  dogs->start();
  const auto wasm = sleeper();
  const auto hash = crypto::sha256(wasm);
  // The first pays for the module, the threads and the feed.
  Bytes copy = wasm;
  NMP_CO_CHECK(co_await dogs->deploy(definition("one", hash), std::move(copy)));
  NMP_CO_CHECK(co_await async::sleep_until(in(std::chrono::seconds(1))));
  const auto before = rss_bytes();
  const auto started = async::system_clock().now();
  for (std::size_t i = 0; i < count; ++i) {
    Bytes module = wasm;
    NMP_CO_CHECK(co_await dogs->deploy(definition("many", hash), std::move(module)));
  }
  const auto deployed = async::system_clock().now();
  NMP_CO_CHECK(co_await async::sleep_until(in(std::chrono::seconds(3))));
  result["deploy_us_each"] =
      std::chrono::duration<double, std::micro>(deployed - started).count() / static_cast<double>(count);
  result["bytes_each"] = static_cast<double>(rss_bytes() - before) / static_cast<double>(count);

  // One is woken while the others sleep.
  std::vector<double> one;
  for (std::size_t i = 0; i < wakes; ++i) {
    arrivals.times.clear();
    const auto at = async::system_clock().now();
    touch(folder / "one", i);
    NMP_CO_CHECK(co_await arrive(arrivals, 1));
    one.push_back(std::chrono::duration<double, std::milli>(arrivals.times.front() - at).count());
    NMP_CO_CHECK(co_await async::sleep_until(in(std::chrono::milliseconds(130))));  // above the feed's pause
  }
  std::ranges::sort(one);
  result["one_p50_ms"] = one[one.size() / 2];
  result["one_p99_ms"] = one[one.size() * 99 / 100];

  // All at once.
  arrivals.times.clear();
  const auto at = async::system_clock().now();
  touch(folder / "many", 0);
  NMP_CO_CHECK(co_await arrive(arrivals, count));
  result["all_ms"] = std::chrono::duration<double, std::milli>(arrivals.times.back() - at).count();
  result["all_us_each"] = result["all_ms"].get<double>() * 1000 / static_cast<double>(count);
  co_await dogs->close();
  co_return result;
}

}  // namespace nmp::bench
