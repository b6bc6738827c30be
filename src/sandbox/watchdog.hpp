#pragma once

#include <deque>
#include <string>

#include "base/async/event.hpp"
#include "sandbox/at_rest.hpp"
#include "sandbox/limits.hpp"
#include "sandbox/runner.hpp"
#include "sandbox/watch_records.hpp"

namespace nmp::sandbox {

/// The newest lines of a watchdog: its own diagnostics after `| `, ours after `* `, so that neither can pass for the
/// other.
class WatchLog {
 public:
  WatchLog() = default;
  explicit WatchLog(std::string kept) : text_(std::move(kept)) {}
  /// Our words, with the time.
  void note(UnixSeconds unix, std::string_view words);
  /// The guest's bytes: control characters are escaped.
  void add(ByteView bytes);
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  void line(std::string_view prefix, std::string_view words);
  std::string text_;
  std::string partial_;  ///< The guest's line so far.
};

/// One watchdog as Watchdogs holds it.
struct Watchdog {
  Watchdog(const async::Executor& executor, WatchId who, WatchDefinition what, AtRestKey sealed_under);

  WatchId id;
  WatchDefinition definition;
  AtRestKey key;
  std::optional<WatchAuthorization> allowed;  ///< None: suspended.
  ModulePtr module;                           ///< Once compiled.
  WatchRecord record;                         ///< As it is to be stored next; its fuel stands in `progress`.
  std::shared_ptr<WatchProgress> progress;    // its guests' and this one's
  WatchLog log;
  bool record_dirty = false;
  bool log_dirty = false;
  std::uint64_t fuel_stored = 0;  ///< Of record.fuel_day, when the record was last stored.

  std::uint64_t next_event = 0;
  std::uint64_t durable = 0;       ///< Events below this are on the disk.
  std::deque<std::uint32_t> kept;  ///< Sizes of the events before next_event that are kept.
  std::uint64_t kept_bytes = 0;

  DayBudget said;  ///< Bytes of its output today.
  bool stopping = false;
  Run* run = nullptr;    ///< While it runs; the supervisor's.
  async::Event changed;  ///< Events, acknowledgements, its end.

  [[nodiscard]] std::uint64_t first_event() const { return next_event - kept.size(); }
  [[nodiscard]] bool full() const;
  /// Whether it is to be started when the node starts.
  [[nodiscard]] bool lives() const;
  /// Forgets the oldest events; answers how many bytes they had.
  void forget(std::uint64_t count);
  [[nodiscard]] core::WatchStatus status(UnixSeconds unix) const;
};

}  // namespace nmp::sandbox
