#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "base/secret.hpp"
#include "base/time.hpp"
#include "sandbox/dataset_feed.hpp"
#include "sandbox/runner.hpp"
#include "sandbox/watch_records.hpp"

namespace nmp::sandbox {

struct WatchdogsOptions {
  SecretBytes<32> storage_key;         ///< Of the node; what rests is sealed under keys sealed under it.
  std::uint32_t watchdogs_max = 1000;  ///< At most kWatchdogsMax.
  std::uint32_t per_owner_max = 16;
  /// Ceilings of memory of all watchdogs together: each is granted what it may use, used or not.
  std::uint64_t memory_bytes_max = 4ULL << 30;
  std::uint64_t day_bytes_max = kWatchDayBytesMax;  ///< What one may say in a UTC day.
  const Clock* clock = nullptr;                     ///< Required; outlives them, as does `random`.
  Random* random = nullptr;                         ///< Required.
  RunnerOptions runner;                             ///< Its `runs_max`, `many_small` and `random` are set here.
  std::vector<DatasetFeed::Dataset> datasets;
};

struct WatchEvent {
  std::uint64_t sequence = 0;
  Bytes data;
};

/// Filters that live on: each has a supervisor that starts it, keeps what it says, and starts it again when it fails.
/// What a watchdog does reaches the storage in its order: after a crash it goes on from a state that is never ahead of
/// its events, so that events may come twice and are never lost. Whoever asks about a watchdog of another owner, or of
/// none, is told not_found. Network thread only.
class Watchdogs {
 public:
  /// Errors: engine_failed.
  static Result<std::unique_ptr<Watchdogs>> make(async::Executor executor, WatchdogsOptions options);
  Watchdogs(const Watchdogs&) = delete;
  Watchdogs& operator=(const Watchdogs&) = delete;
  /// After close().
  ~Watchdogs();

  /// Before anything else, once. `storage` outlives close().
  void attach(WatchStorage& storage);
  /// A watchdog of an earlier life; it starts with start(). Errors: what does not open or parse; it is then left alone.
  Result<void> restore(StoredWatch stored);
  void start();
  [[nodiscard]] bool started() const;

  /// Stores and starts a watchdog: it is durable when its ID is there. `module` as its bytes, already compiled here or
  /// not. Errors: too_many_watchdogs (in number, memory or code), storage_failed, memory_limit, those of
  /// Runner::compile.
  async::Awaitable<Result<WatchId>> deploy(WatchDefinition definition, Bytes module);
  /// As it would be kept until `now`.
  [[nodiscard]] std::vector<core::WatchStatus> list(const libp2p::PeerId& owner) const;
  /// Waits until there are events from `from` on, then answers some, in order. `given_up` is asked after each change of
  /// the watchdog and each nudge(). Errors: not_found (also once it is stopped meanwhile), storage_failed, cancelled
  /// (given up).
  async::Awaitable<Result<std::vector<WatchEvent>>> events(libp2p::PeerId owner,
                                                           WatchId id,
                                                           std::uint64_t from,
                                                           std::function<bool()> given_up);
  void nudge(const WatchId& id);
  /// Forgets events up to and with one. Errors: not_found, storage_failed.
  async::Awaitable<Result<void>> acknowledge(libp2p::PeerId owner, WatchId id, std::uint64_t up_to);
  /// Lines of the host begin with `* `, those of the guest with `| `. Errors: not_found.
  [[nodiscard]] Result<std::string> logs(const libp2p::PeerId& owner, const WatchId& id) const;
  /// Ends it and erases its key, and with it all that is kept of it. Errors: not_found, storage_failed (it is stopped
  /// all the same, and comes back with the next start of the node).
  async::Awaitable<Result<void>> stop(libp2p::PeerId owner, WatchId id);

  [[nodiscard]] std::size_t size() const;
  /// Module for deploy() by hash: those that this runner holds. Null if it does not.
  [[nodiscard]] ModulePtr cached(const crypto::Digest& sha256) const;

  async::Awaitable<void> close();

 private:
  class Impl;
  explicit Watchdogs(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nmp::sandbox
