#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "sandbox/day_budget.hpp"
#include "sandbox/snapshot.hpp"

/// What a watchdog's guest has beside a run's: datasets that move, a state that stays, and a budget per wake-up.
namespace nmp::sandbox {

/// The newest snapshot of a dataset, as DatasetFeed publishes it. Any thread.
class LiveDataset {
 public:
  explicit LiveDataset(SnapshotPtr first) : snapshot_(std::move(first)) {}

  struct Now {
    SnapshotPtr snapshot;
    std::uint64_t version = 0;  ///< Rises with each change.
  };
  [[nodiscard]] Now now() const {
    const std::scoped_lock lock(mutex_);
    return {snapshot_, version_};
  }
  void publish(SnapshotPtr next) {
    const std::scoped_lock lock(mutex_);
    snapshot_ = std::move(next);
    ++version_;
  }

 private:
  mutable std::mutex mutex_;
  SnapshotPtr snapshot_;
  std::uint64_t version_ = 0;
};
using LiveDatasetPtr = std::shared_ptr<LiveDataset>;

/// How far a watchdog has come: written by its guest's worker, read by its supervisor; lives on over its restarts.
class WatchProgress {
 public:
  struct Values {
    DayBudget fuel;
    std::uint64_t wake_ups = 0;
    bool resting = false;  ///< Waits for the next day's fuel.
  };
  explicit WatchProgress(DayBudget fuel) : values_{.fuel = fuel} {}

  [[nodiscard]] Values get() const {
    const std::scoped_lock lock(mutex_);
    return values_;
  }
  template <class Change>
  void update(Change change) {
    const std::scoped_lock lock(mutex_);
    change(values_);
  }

 private:
  mutable std::mutex mutex_;
  Values values_;
};

/// Of a GuestApi.
struct WatchGuest {
  Bytes state;                       ///< What state_get answers until the first state_put; at most kStateBytesMax.
  std::vector<LiveDatasetPtr> live;  ///< By name one of the run's datasets each.
  std::shared_ptr<WatchProgress> progress;  // the supervisor's and this guest's
};

}  // namespace nmp::sandbox
