#pragma once

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "core/authorization.hpp"
#include "sandbox/errors.hpp"
#include "sandbox/guest_memory.hpp"
#include "sandbox/inputs.hpp"
#include "sandbox/outbox.hpp"
#include "sandbox/snapshot.hpp"
#include "sandbox/wasi.hpp"
#include "sandbox/watch_guest.hpp"

/// What a filter can call: WASI preview 1 and `nmp`, on plain values. It knows no Wasmtime, so tests and fuzzers call
/// it.
///
/// Where it is stricter than WASI preview 1 asks:
/// - everything that would write, create, remove, link or rename answers `rofs`, sockets answer `notsup`, proc_raise
/// `nosys`;
/// - datasets are snapshots: what appeared or was replaced since the run's start is not there, what grew keeps its
/// size;
/// - inodes are numbers by sorted order, the device is 0, times are 0, link counts 1; readdir is sorted by name;
/// - symbolic links to files inside a dataset look like those files, all other links do not exist, path_readlink
/// answers `inval`;
/// - clocks step by 1 ms, the monotonic one starts at one second; process and thread clocks answer `notsup`;
/// - stdio is of type `unknown`, so that libraries buffer it;
/// - one call moves at most kCallBytesMax bytes and short counts are normal.
/// A pointer that lies outside the memory answers `fault`; in the `nmp` functions it ends the run.
namespace nmp::sandbox {

/// A function's arguments: i32 zero-extended, in order. Nine is path_open's.
struct CallArguments {
  std::array<std::uint64_t, 9> values{};
  [[nodiscard]] std::uint32_t u32(std::size_t i) const { return static_cast<std::uint32_t>(values.at(i)); }
  [[nodiscard]] std::uint64_t u64(std::size_t i) const { return values.at(i); }
  [[nodiscard]] std::int64_t i64(std::size_t i) const { return static_cast<std::int64_t>(values.at(i)); }
  [[nodiscard]] GuestPtr pointer(std::size_t i) const { return {u32(i)}; }
};

struct Reply {
  enum class Kind : std::uint8_t {
    value,  ///< The call is done.
    stop,   ///< The run is over: GuestApi::stopped() says why.
    wait,   ///< Call again, with the same arguments, when there is room or GuestApi::wake_at() has come.
  };
  Kind kind = Kind::value;
  std::uint64_t value = 0;
};

/// How the run ended, if the guest or one of its calls ended it.
struct Stop {
  std::optional<Error> error;
  std::uint32_t exit_code = 0;
};

/// Chance of the system, shared by all runs.
class LockedRandom {
 public:
  explicit LockedRandom(Random& random) : random_(random) {}
  void fill(std::span<std::byte> out) {
    std::lock_guard lock(mutex_);
    random_.fill(out);
  }

 private:
  std::mutex mutex_;
  Random& random_;
};

struct GuestOptions {
  core::Authorization limits;
  Inputs inputs;
  std::vector<SnapshotPtr> datasets;
  std::optional<std::uint64_t> seed;
  UnixSeconds start_time = 0;
  LockedRandom* random = nullptr;
  /// Set: the guest is a watchdog. Its limits of fuel are those of a wake-up, those of events are its supervisor's.
  std::optional<WatchGuest> watch;
};

class GuestApi {
 public:
  /// `now` of the run's start. The outbox outlives the api.
  GuestApi(GuestOptions options, Outbox& outbox, Instant now);

  using Function = Reply (GuestApi::*)(const CallArguments&, GuestMemory, Instant now);
  /// Null if the ABI has none of that name.
  [[nodiscard]] static Function find(std::string_view module, std::string_view name);
  /// Whether the function may answer `wait`.
  [[nodiscard]] static bool may_wait(std::string_view module, std::string_view name);

  /// After `wait`: when to call again at the latest.
  [[nodiscard]] Instant wake_at() const { return wake_at_; }
  [[nodiscard]] const std::optional<Stop>& stopped() const { return stop_; }
  [[nodiscard]] const core::Usage& used() const { return used_; }
  [[nodiscard]] bool diagnostics_dropped() const { return diagnostics_dropped_; }

  // Of watchdogs.
  [[nodiscard]] bool is_watchdog() const { return options_.watch.has_value(); }
  /// After `wait`: a change of a dataset is a reason to call again, too.
  [[nodiscard]] bool waits_for_files() const { return waits_for_files_; }
  /// Fuel that the guest has used since it was last told.
  void charge(std::uint64_t fuel, Instant now);
  /// The fuel of a wake-up that begins now: that of the limits, or what is left of the day.
  [[nodiscard]] std::uint64_t wake_fuel(Instant now) const;
  /// Whether the call that has just ended was a sleep: a wake-up begins. Once per sleep.
  [[nodiscard]] bool take_wake() { return std::exchange(woke_, false); }

  // WASI preview 1.
  Reply args_get(const CallArguments& a, GuestMemory memory, Instant now);
  Reply args_sizes_get(const CallArguments& a, GuestMemory memory, Instant now);
  Reply environ_get(const CallArguments& a, GuestMemory memory, Instant now);
  Reply environ_sizes_get(const CallArguments& a, GuestMemory memory, Instant now);
  Reply clock_res_get(const CallArguments& a, GuestMemory memory, Instant now);
  Reply clock_time_get(const CallArguments& a, GuestMemory memory, Instant now);
  Reply fd_advise(const CallArguments& a, GuestMemory memory, Instant now);
  Reply fd_close(const CallArguments& a, GuestMemory memory, Instant now);
  Reply fd_sync(const CallArguments& a, GuestMemory memory, Instant now);
  Reply fd_fdstat_get(const CallArguments& a, GuestMemory memory, Instant now);
  Reply fd_fdstat_set_flags(const CallArguments& a, GuestMemory memory, Instant now);
  Reply fd_fdstat_set_rights(const CallArguments& a, GuestMemory memory, Instant now);
  Reply fd_filestat_get(const CallArguments& a, GuestMemory memory, Instant now);
  Reply fd_pread(const CallArguments& a, GuestMemory memory, Instant now);
  Reply fd_prestat_get(const CallArguments& a, GuestMemory memory, Instant now);
  Reply fd_prestat_dir_name(const CallArguments& a, GuestMemory memory, Instant now);
  Reply fd_read(const CallArguments& a, GuestMemory memory, Instant now);
  Reply fd_readdir(const CallArguments& a, GuestMemory memory, Instant now);
  Reply fd_renumber(const CallArguments& a, GuestMemory memory, Instant now);
  Reply fd_seek(const CallArguments& a, GuestMemory memory, Instant now);
  Reply fd_tell(const CallArguments& a, GuestMemory memory, Instant now);
  Reply fd_write(const CallArguments& a, GuestMemory memory, Instant now);
  Reply path_filestat_get(const CallArguments& a, GuestMemory memory, Instant now);
  Reply path_open(const CallArguments& a, GuestMemory memory, Instant now);
  Reply path_readlink(const CallArguments& a, GuestMemory memory, Instant now);
  Reply poll_oneoff(const CallArguments& a, GuestMemory memory, Instant now);
  Reply proc_exit(const CallArguments& a, GuestMemory memory, Instant now);
  Reply random_get(const CallArguments& a, GuestMemory memory, Instant now);
  Reply sched_yield(const CallArguments& a, GuestMemory memory, Instant now);
  /// Whatever would change a file or descriptor: `badf` for a descriptor that is not open, else `rofs`.
  Reply write_like(const CallArguments& a, GuestMemory memory, Instant now);
  /// The same for a path call whose descriptor is its third argument.
  Reply path_symlink(const CallArguments& a, GuestMemory memory, Instant now);
  Reply no_sockets(const CallArguments& a, GuestMemory memory, Instant now);
  Reply no_signals(const CallArguments& a, GuestMemory memory, Instant now);

  // nmp, Filter ABI v1.
  Reply push_event(const CallArguments& a, GuestMemory memory, Instant now);
  Reply try_event(const CallArguments& a, GuestMemory memory, Instant now);
  Reply input_size(const CallArguments& a, GuestMemory memory, Instant now);
  Reply input_read(const CallArguments& a, GuestMemory memory, Instant now);
  Reply state_get(const CallArguments& a, GuestMemory memory, Instant now);
  Reply state_put(const CallArguments& a, GuestMemory memory, Instant now);
  Reply wait(const CallArguments& a, GuestMemory memory, Instant now);

 private:
  enum class Stream : std::uint8_t { none, in, out, err };
  struct Descriptor {
    Stream stream = Stream::none;
    SnapshotPtr dataset;                   ///< None for stdio.
    const SnapshotEntry* entry = nullptr;  ///< In `dataset`; null for the dataset itself.
    FileDescriptor file;                   ///< Of files.
    bool preopen = false;
    std::uint64_t offset = 0;
    std::uint16_t flags = 0;
    wasi::Rights rights = 0;
    wasi::Rights inheriting = 0;
    [[nodiscard]] bool is_directory() const { return dataset && (entry == nullptr || entry->directory); }
    [[nodiscard]] bool is_file() const { return dataset && !is_directory(); }
    [[nodiscard]] std::string_view path() const { return entry == nullptr ? std::string_view() : entry->path; }
  };
  struct Buffer {
    GuestPtr at;
    std::uint32_t size = 0;
  };

  [[nodiscard]] Descriptor* descriptor(std::uint32_t fd);
  [[nodiscard]] std::optional<std::uint32_t> free_slot() const;
  /// The iovecs of a call, each within the memory, cut to kCallBytesMax in all. Errors: an errno.
  [[nodiscard]] std::expected<std::vector<Buffer>, wasi::Errno> buffers(GuestMemory memory,
                                                                        GuestPtr at,
                                                                        std::uint32_t count) const;
  [[nodiscard]] std::expected<const SnapshotEntry*, wasi::Errno> lookup(const Descriptor& directory,
                                                                        GuestMemory memory,
                                                                        GuestPtr path,
                                                                        std::uint32_t size) const;
  [[nodiscard]] static Bytes filestat(const Snapshot* dataset, const SnapshotEntry* entry, wasi::FileType type);
  std::expected<std::uint32_t, wasi::Errno> read_into(Descriptor& from,
                                                      std::uint64_t offset,
                                                      const std::vector<Buffer>& to,
                                                      GuestMemory memory);
  Reply write_out(const std::vector<Buffer>& from, GuestMemory memory, GuestPtr written);
  Reply write_err(const std::vector<Buffer>& from, GuestMemory memory, GuestPtr written);
  [[nodiscard]] std::uint64_t clock_ns(std::uint32_t clock, Instant now) const;
  Reply stop(Errc code, std::string context);
  Reply wait_until(Instant at);
  [[nodiscard]] UnixSeconds unix_at(Instant now) const;
  /// A sleep is over: the datasets are the newest, and the guest may have fuel. False if the day has none left: then
  /// the sleep goes on, until wake_at().
  bool wake(Instant now);
  [[nodiscard]] bool datasets_changed() const;
  void refresh_datasets();
  [[nodiscard]] ByteView input(std::string_view name) const;
  [[nodiscard]] std::optional<std::string_view> input_name(const CallArguments& a, GuestMemory memory) const;

  GuestOptions options_;
  Outbox& outbox_;
  Instant started_;
  std::vector<std::string> arguments_;
  std::vector<std::optional<Descriptor>> descriptors_;
  std::optional<SeededRandom> seeded_;
  std::uint64_t virtual_ns_ = 0;          ///< Moves clocks of a seeded run.
  std::optional<Instant> waiting_since_;  ///< Of the call that answered `wait`.
  Instant wake_at_ = kNever;
  std::optional<Stop> stop_;
  core::Usage used_;
  bool diagnostics_dropped_ = false;
  std::vector<std::uint64_t> seen_;  ///< Versions of the watchdog's live datasets, in their order.
  bool waits_for_files_ = false;
  bool woke_ = false;
};

}  // namespace nmp::sandbox
