#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.hpp"

namespace nmp::sandbox {

inline constexpr UnixSeconds kSecondsPerDay = 86'400;

/// What may be used on each UTC day, as a value: `unix` never has to rise.
class DayBudget {
 public:
  explicit DayBudget(std::uint64_t per_day = 0, std::int64_t day = 0, std::uint64_t used = 0)
      : per_day_(per_day), day_(day), used_(used) {}

  void charge(std::uint64_t amount, UnixSeconds unix) {
    turn(unix);
    used_ += std::min(amount, UINT64_MAX - used_);
  }
  [[nodiscard]] std::uint64_t left(UnixSeconds unix) const {
    const auto used = used_on(unix);
    return per_day_ > used ? per_day_ - used : 0;
  }
  [[nodiscard]] std::uint64_t used_on(UnixSeconds unix) const { return unix / kSecondsPerDay > day_ ? 0 : used_; }
  /// When the next day begins.
  [[nodiscard]] static UnixSeconds next_day(UnixSeconds unix) { return (unix / kSecondsPerDay + 1) * kSecondsPerDay; }
  [[nodiscard]] std::int64_t day() const { return day_; }
  [[nodiscard]] std::uint64_t used() const { return used_; }

 private:
  /// A clock that goes back gives nothing back: the day only rises.
  void turn(UnixSeconds unix) {
    const auto today = unix / kSecondsPerDay;
    if (today <= day_) return;
    day_ = today;
    used_ = 0;
  }
  std::uint64_t per_day_;
  std::int64_t day_;
  std::uint64_t used_;
};

}  // namespace nmp::sandbox
