#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/async/awaitable.hpp"
#include "base/bytes.hpp"
#include "base/random.hpp"
#include "core/authorization.hpp"
#include "crypto/hash.hpp"
#include "sandbox/code_cache.hpp"
#include "sandbox/errors.hpp"
#include "sandbox/guardian/guardian.hpp"
#include "sandbox/inputs.hpp"
#include "sandbox/limits.hpp"
#include "sandbox/output.hpp"
#include "sandbox/snapshot.hpp"
#include "sandbox/watch_guest.hpp"

/// Runs guarded modules in Wasmtime, each under its own Authorization. Guests run on a few worker threads in turns of
/// one tick (10 ms), fairly queued; a guest that waits (a sleep, an output that nobody takes) holds no thread. Wall
/// time and cancellation are looked at between turns, so a run ends at most about one tick late.
namespace nmp::sandbox {

struct RunnerOptions {
  std::size_t worker_threads = 2;
  std::size_t compile_threads = 1;
  std::uint32_t runs_max = 64;                    ///< At most kRunsMax, or kWatchdogsMax if many_small.
  std::uint64_t memory_bytes_max = 256ULL << 20;  ///< A pool slot; at most kMemoryBytesMax.
  std::size_t cache_module_bytes_max = kCacheModuleBytesMax;
  /// For watchdogs: runs_max up to kWatchdogsMax in slots and stacks that cost little, memory accesses checked by code.
  bool many_small = false;
  /// Machine code outlives the node in here; none: every start compiles. More than one runner may have it.
  std::shared_ptr<CodeCache> code_cache;
  guardian::Policy policy;
  Random* random = nullptr;  ///< For guests without a seed. Used under a lock of the runner's; outlives it. Required.
};

/// A module that passed the guardian and the compiler. Shared by the cache and the runs.
class CompiledModule;
using ModulePtr = std::shared_ptr<const CompiledModule>;

/// Everything a run gets.
struct RunSpec {
  ModulePtr module;
  core::Authorization limits;         ///< Missing ceilings are the runner's.
  Inputs inputs;                      ///< `stdin` and `args` also reach the guest the WASI way.
  std::vector<SnapshotPtr> datasets;  ///< Each a preopen `/data/NAME`.
  /// Set: random_get replays from it, the guest's clocks start at `start_time` and move only with what it sleeps.
  std::optional<std::uint64_t> seed;
  UnixSeconds start_time = 0;
  /// Set: a watchdog. Fuel and wall time of the limits are then those of one wake-up, from the end of a sleep to the
  /// next, and sleeping takes none of either.
  std::optional<WatchGuest> watch;
};

struct RunResult {
  std::optional<Error> error;   ///< None: it ended well.
  std::uint32_t exit_code = 0;  ///< Of proc_exit; 0 if it returned.
  /// Its memory ended within an eighth of its ceiling, and it holds memory.grow. Wasmtime's C interface tells nobody
  /// that it refused memory, so this is the nearest that can be known. A run that then ends by `unreachable`, an exit
  /// code or an access out of bounds, which is how allocators give up, answers Errc::memory_limit, and its message says
  /// by what it ended. Farther below the ceiling no end is ever relabelled, not even that of a filter which asked for
  /// more in one step than was left.
  bool memory_limit_hit = false;
  bool diagnostics_dropped = false;
  core::Usage used;
};

namespace detail {
class RunState;
class RunnerState;
}  // namespace detail

/// One run, as its owner on the network thread sees it. Destroying it cancels the run.
class Run {
 public:
  explicit Run(std::shared_ptr<detail::RunState> state);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run();

  /// The next output; nothing when the run has ended and all of it was taken. What is not taken holds the guest.
  /// One caller at a time. Errors: cancelled (of the caller; the run goes on).
  async::Awaitable<Result<std::optional<Output>>> next();
  /// What next() would answer without waiting; nothing if there is none yet, or none any more.
  [[nodiscard]] std::optional<Output> take();
  /// Ends the run soon with Errc::cancelled. Idempotent.
  void cancel();
  /// After next() has answered nothing.
  [[nodiscard]] const RunResult& result() const;

 private:
  std::shared_ptr<detail::RunState> state_;  // the owner's end and the worker's
};
using RunPtr = std::unique_ptr<Run>;

class Runner {
 public:
  /// Starts the threads and reserves the pool. Errors: engine_failed.
  static Result<std::unique_ptr<Runner>> make(async::Executor executor, RunnerOptions options);
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  /// Cancels all runs and joins the threads. Run objects may outlive it: they end as cancelled.
  ~Runner();

  /// Guards and compiles on a compiler thread, one module a thread, or takes it from the cache. `sha256` of the bytes,
  /// from a caller who has it; else it is computed here and now. `account`: whose machine code is kept on the disk
  /// (CodeKey); without one it is not. Errors: guardian's codes, invalid_module, busy.
  async::Awaitable<Result<ModulePtr>> compile(Bytes wasm,
                                              std::optional<crypto::Digest> sha256 = std::nullopt,
                                              std::optional<Bytes> account = std::nullopt);
  /// From the cache only; null if it is not there.
  [[nodiscard]] ModulePtr cached(const crypto::Digest& sha256) const;
  /// Takes it out of the memory's cache. Runs keep it until they end.
  void forget(const crypto::Digest& sha256);
  /// Erases what the disk has of it for that account. Any thread; blocks for the disk.
  void erase_code(const crypto::Digest& sha256, ByteView account) const;

  /// Queues the run. A table counts as 8 bytes an element, at the size that its module declares at most, from the
  /// start: what is left of `memory_bytes` is the linear memory's. Errors: busy, memory_limit (the module needs more at
  /// its start than the limits allow), inputs_invalid.
  Result<RunPtr> start(RunSpec spec);

  [[nodiscard]] std::size_t running() const;
  /// A live dataset has changed: guests that wait for that look again. Any thread.
  void files_changed();
  /// What makes two runs comparable, for the receipt: engine, version and settings in one line.
  [[nodiscard]] static std::string_view profile();

 private:
  explicit Runner(std::shared_ptr<detail::RunnerState> state);
  std::shared_ptr<detail::RunnerState> state_;  // the runner, its threads and the runs
};

[[nodiscard]] const crypto::Digest& sha256_of(const CompiledModule& module);
[[nodiscard]] const guardian::ModuleInfo& info_of(const CompiledModule& module);
/// Of its machine code.
[[nodiscard]] std::size_t memory_bytes_of(const CompiledModule& module);

}  // namespace nmp::sandbox
