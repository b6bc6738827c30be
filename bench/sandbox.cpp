// The sandbox against the bare Wasmtime C API, both in this process.
#include <fmt/format.h>
#include <wasmtime.h>

#include "base/owned.hpp"
#include "bench.hpp"
#include "crypto/random.hpp"
#include "modules.hpp"
#include "sandbox/runner.hpp"
#include "sandbox/snapshot.hpp"

namespace nmp::bench {

namespace {

using EnginePtr = Owned<wasm_engine_t, &wasm_engine_delete>;
using ModulePtr = Owned<wasmtime_module_t, &wasmtime_module_delete>;
using StorePtr = Owned<wasmtime_store_t, &wasmtime_store_delete>;
using PoolPtr = Owned<wasmtime_pooling_allocation_config_t, &wasmtime_pooling_allocation_config_delete>;

constexpr std::uint64_t kSlotBytes = 64ULL << 20;
constexpr std::uint32_t kSlots = 64;

std::unexpected<Error> fail_with(wasmtime_error_t* error, const char* call) {
  wasmtime_error_delete(error);
  return fail(Errc::unavailable, call);
}

/// Wasmtime's defaults; those with instances from a pool as large as the sandbox's; those with the checks that the
/// sandbox compiles in, on one core.
enum class Bare : std::uint8_t { defaults, pooled, metered };

EnginePtr bare_engine(Bare kind) {
  auto* config = wasm_config_new();
  if (kind == Bare::metered) {
    wasmtime_config_consume_fuel_set(config, true);
    wasmtime_config_epoch_interruption_set(config, true);
    wasmtime_config_cranelift_nan_canonicalization_set(config, true);
    wasmtime_config_parallel_compilation_set(config, false);
  }
  if (kind == Bare::pooled) {
    PoolPtr pool(wasmtime_pooling_allocation_config_new());
    wasmtime_pooling_allocation_config_total_core_instances_set(pool.get(), kSlots);
    wasmtime_pooling_allocation_config_total_memories_set(pool.get(), kSlots);
    wasmtime_pooling_allocation_config_max_memory_size_set(pool.get(), kSlotBytes);
    wasmtime_pooling_allocation_strategy_set(config, pool.get());
  }
  return EnginePtr(wasm_engine_new_with_config(config));
}

Result<ModulePtr> bare_compile(wasm_engine_t* engine, const Bytes& wasm) {
  wasmtime_module_t* module = nullptr;
  if (auto* error = wasmtime_module_new(engine, u8(wasm), wasm.size(), &module)) return fail_with(error, "compile");
  return ModulePtr(module);
}

/// A store, an instance, one call of `_start`.
Result<void> bare_run(wasm_engine_t* engine, const wasmtime_module_t* module) {
  StorePtr store(wasmtime_store_new(engine, nullptr, nullptr));
  auto* context = wasmtime_store_context(store.get());
  wasmtime_instance_t instance{};
  wasm_trap_t* trap = nullptr;
  if (auto* error = wasmtime_instance_new(context, module, nullptr, 0, &instance, &trap))
    return fail_with(error, "instance");
  wasmtime_extern_t start{};
  if (trap != nullptr || !wasmtime_instance_export_get(context, &instance, "_start", 6, &start))
    return fail(Errc::not_found, "_start");
  auto* error = wasmtime_func_call(context, &start.of.func, nullptr, 0, nullptr, 0, &trap);
  if (error != nullptr || trap != nullptr) return fail_with(error, "call");
  return Result<void>();
}

Result<json> bare_warm(Bare kind, const Bytes& wasm, std::size_t count) {
  const auto engine = bare_engine(kind);
  NMP_TRY(const auto module, bare_compile(engine.get(), wasm));
  Meter meter(0);
  for (std::size_t i = 0; i < count + count / 10; ++i) {
    if (i == count / 10) meter.start();
    NMP_CHECK(bare_run(engine.get(), module.get()));
    meter.lap();
  }
  return meter.result();
}

Result<json> bare_compiles(Bare kind, const Bytes& wasm, std::size_t count) {
  const auto engine = bare_engine(kind);
  Meter meter(0);
  for (std::size_t i = 0; i < count; ++i) {
    NMP_CHECK(bare_compile(engine.get(), wasm));
    meter.lap();
  }
  return meter.result();
}

Result<std::unique_ptr<sandbox::Runner>> make_runner(const async::Executor& executor,
                                                     std::shared_ptr<sandbox::CodeCache> cache = nullptr) {
  sandbox::RunnerOptions options;
  options.code_cache = std::move(cache);
  options.runs_max = kSlots;
  options.memory_bytes_max = kSlotBytes;
  options.random = &crypto::system_random();
  return sandbox::Runner::make(executor, options);
}

/// Errors: the run's own.
async::Awaitable<Result<Bytes>> run_to_end(sandbox::Runner& runner, sandbox::RunSpec spec) {
  NMP_CO_TRY(auto run, runner.start(std::move(spec)));
  Bytes evidence;
  for (;;) {
    NMP_CO_TRY(auto output, co_await run->next());
    if (!output) break;
    if (output->kind == sandbox::OutputKind::evidence) append(evidence, output->bytes);
  }
  if (run->result().error) co_return fail(*run->result().error);
  co_return evidence;
}

}  // namespace

Command sandbox_warm(async::MainLoop& loop, Options options) {
  NMP_CO_TRY(const auto count, options.number("count", 2000));
  const auto wasm = empty_filter();
  json result;
  NMP_CO_TRY(result["bare"], bare_warm(Bare::defaults, wasm, count));
  NMP_CO_TRY(result["pooled"], bare_warm(Bare::pooled, wasm, count));
  NMP_CO_TRY(auto runner, make_runner(loop.executor()));
  NMP_CO_TRY(const auto module, co_await runner->compile(wasm));
  Meter meter(0);
  for (std::size_t i = 0; i < count + count / 10; ++i) {
    if (i == count / 10) meter.start();
    sandbox::RunSpec spec;
    spec.module = module;
    NMP_CO_CHECK(co_await run_to_end(*runner, std::move(spec)));
    meter.lap();
  }
  result["ours"] = meter.result();
  co_return result;
}

namespace {

/// What a node that starts again pays: the machine code comes from the disk; and the bytes that it takes there.
async::Awaitable<Result<json>> reload(async::MainLoop& loop, Bytes wasm, std::filesystem::path folder, int count) {
  json result;
  Meter meter(0);
  for (int i = 0; i <= count; ++i) {
    sandbox::CodeCacheOptions options;
    options.folder = folder;
    options.bytes_max = 1ULL << 30;
    options.storage_key = SecretBytes<32>(ByteArray<32>{std::byte{1}});
    options.random = &crypto::system_random();
    NMP_CO_TRY(auto cache, sandbox::CodeCache::open(std::move(options)));
    NMP_CO_TRY(auto runner, make_runner(loop.executor(), cache));
    Bytes copy = wasm;
    Bytes account;
    if (i == 1) meter.start();
    const auto begin = async::system_clock().now();
    NMP_CO_CHECK(co_await runner->compile(std::move(copy), std::nullopt, std::move(account)));
    if (i > 0) meter.add(std::chrono::duration<double, std::micro>(async::system_clock().now() - begin).count());
    if (i > 0 && cache->stats().hits != 1) co_return fail(Errc::not_found, "not from the disk");
    result["bytes"] = cache->stats().bytes;
  }
  result["reload"] = meter.result();
  co_return result;
}

}  // namespace

/// --module FILE --folder DIR: compiles, and loads of what a compile left in the folder.
Command sandbox_compile(async::MainLoop& loop, Options options) {
  NMP_CO_TRY(const auto count, options.number("count", 3));
  NMP_CO_TRY(const auto wasm, read_file(options.text("module")));
  json result;
  NMP_CO_TRY(result["bare"], bare_compiles(Bare::defaults, wasm, count));
  NMP_CO_TRY(result["metered"], bare_compiles(Bare::metered, wasm, count));
  NMP_CO_TRY(auto runner, make_runner(loop.executor()));
  Meter ours(0);
  for (std::size_t i = 0; i < count; ++i) {
    auto fresh = with_new_hash(wasm, crypto::system_random().bytes<32>());
    NMP_CO_CHECK(co_await runner->compile(std::move(fresh)));
    ours.lap();
  }
  result["ours"] = ours.result();
  std::filesystem::path folder = options.text("folder", "code");
  Bytes copy = wasm;
  NMP_CO_TRY(auto kept, co_await reload(loop, std::move(copy), std::move(folder), static_cast<int>(count)));
  result.update(kept);
  co_return result;
}

/// --module FILE --data FOLDER --args TEXT: a run over the folder as dataset `data`.
Command sandbox_scan(async::MainLoop& loop, Options options) {
  NMP_CO_TRY(auto wasm, read_file(options.text("module")));
  NMP_CO_TRY(auto runner, make_runner(loop.executor()));
  NMP_CO_TRY(const auto module, co_await runner->compile(std::move(wasm)));
  sandbox::RunSpec spec;
  spec.module = module;
  spec.inputs["args"] = to_bytes(options.text("args"));
  Meter meter(0);
  NMP_CO_TRY(auto snapshot, sandbox::Snapshot::take("data", options.text("data")));
  const auto bytes = snapshot->bytes();
  spec.datasets.push_back(std::move(snapshot));
  NMP_CO_TRY(const auto evidence, co_await run_to_end(*runner, std::move(spec)));
  meter.lap();
  auto result = meter.result();
  result["bytes"] = bytes;
  result["evidence"] = string_of(evidence);
  co_return result;
}

}  // namespace nmp::bench
