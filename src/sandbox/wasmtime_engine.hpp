#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "base/owned.hpp"
#include "crypto/hash.hpp"
#include "sandbox/code_cache.hpp"
#include "sandbox/guardian/guardian.hpp"

struct wasm_engine_t;
struct wasm_config_t;
struct wasmtime_linker;
struct wasmtime_module;
struct wasmtime_instance_pre;
struct wasmtime_call_future;
struct wasmtime_store;

namespace nmp::sandbox {

class GuestApi;

/// Wasmtime's engine and linker as this room sets them: deterministic (NaNs canonical, no relaxed SIMD, no threads),
/// fuel and epochs on, instances from a pool, the filter ABI linked by name.
class WasmtimeEngine {
 public:
  struct Options {
    std::uint32_t runs_max = 0;
    std::uint64_t memory_bytes_max = 0;
    bool many_small = false;  ///< See RunnerOptions.
  };
  /// Errors: engine_failed.
  static Result<std::unique_ptr<WasmtimeEngine>> make(Options options);
  ~WasmtimeEngine();
  WasmtimeEngine(const WasmtimeEngine&) = delete;
  WasmtimeEngine& operator=(const WasmtimeEngine&) = delete;

  /// One tick for all that runs. Any thread.
  void tick();

  /// Equal for engines that can run each other's machine code, and for no others: SHA-256 of what they make of an empty
  /// module, in which Wasmtime writes down its version, its settings and the processor's features. Compiles it: some
  /// milliseconds. Errors: engine_failed.
  [[nodiscard]] Result<crypto::Digest> fingerprint() const;

  [[nodiscard]] wasm_engine_t* engine() const { return engine_; }
  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] wasmtime_linker* linker() const { return linker_; }

 private:
  WasmtimeEngine() = default;
  Result<void> link();
  Options options_;
  wasm_engine_t* engine_ = nullptr;
  wasmtime_linker* linker_ = nullptr;
};

/// Where a module's machine code is kept.
struct CodePlace {
  std::shared_ptr<CodeCache> cache;  // both runners', and compiles under way
  CodeKey key;
};

/// See runner.hpp.
class CompiledModule {
 public:
  /// Takes the machine code from `place` if it is there; else validates and compiles on the calling thread alone, which
  /// is seconds of work for a large module, and keeps the code there. Any thread. `sha256` of `wasm`. Errors:
  /// invalid_module, engine_failed.
  static Result<std::shared_ptr<const CompiledModule>> compile(std::shared_ptr<WasmtimeEngine> engine,
                                                               ByteView wasm,
                                                               const crypto::Digest& sha256,
                                                               guardian::ModuleInfo info,
                                                               const std::optional<CodePlace>& place);
  ~CompiledModule();
  CompiledModule(const CompiledModule&) = delete;
  CompiledModule& operator=(const CompiledModule&) = delete;

  [[nodiscard]] const crypto::Digest& sha256() const { return sha256_; }
  [[nodiscard]] const guardian::ModuleInfo& info() const { return info_; }
  [[nodiscard]] const wasmtime_instance_pre* pre() const { return pre_; }
  /// What it holds while it is kept: machine code with its tables, and Wasmtime's records of its functions. An estimate
  /// that is not below.
  [[nodiscard]] std::size_t memory_bytes() const { return memory_bytes_; }

 private:
  CompiledModule() = default;
  std::shared_ptr<WasmtimeEngine> engine_;  // code lives in the engine
  wasmtime_module* module_ = nullptr;
  wasmtime_instance_pre* pre_ = nullptr;
  crypto::Digest sha256_{};
  guardian::ModuleInfo info_;
  std::size_t memory_bytes_ = 0;
};

/// One guest: a store, its instance and the call of `_start`, polled in turns. One thread at a time; it may change.
class Guest {
 public:
  struct Limits {
    std::uint64_t memory_bytes = 0;
    std::uint64_t fuel = 0;
  };
  enum class Turn : std::uint8_t { yielded, waiting, ended };

  Guest(std::shared_ptr<WasmtimeEngine> engine,
        std::shared_ptr<const CompiledModule> module,
        GuestApi& api,
        Limits limits);
  /// Unwinds the guest if it has not ended.
  ~Guest();
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  /// Runs the guest until the next tick, until it waits (GuestApi::wake_at), or to its end.
  Turn turn();
  /// Unwinds the guest. Afterwards only the figures below.
  void abandon();
  /// How it ended, when nothing that GuestApi knows ended it: none if `_start` returned. After `ended`.
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  /// After `ended` or abandon().
  [[nodiscard]] std::uint64_t fuel_used() const { return fuel_used_; }
  /// Memory never shrinks, so its size at the end is its peak.
  [[nodiscard]] std::uint64_t memory_bytes() const { return memory_bytes_; }

 private:
  friend struct GuestTrampolines;
  struct State;
  bool start();
  void settle();
  std::unique_ptr<State> state_;
  std::shared_ptr<WasmtimeEngine> engine_;
  std::shared_ptr<const CompiledModule> module_;
  GuestApi& api_;
  Limits limits_;
  std::optional<Error> error_;
  std::uint64_t fuel_used_ = 0;
  std::uint64_t memory_bytes_ = 0;
};

}  // namespace nmp::sandbox
