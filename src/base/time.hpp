#pragma once

#include <chrono>
#include <cstdint>

namespace nmp {

/// Monotonic time, for deadlines and timers. Thinking rooms get it as an argument and never ask a clock.
using Instant = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;
inline constexpr Instant kNever = Instant::max();

/// Unix time in whole seconds, for statements that other machines read.
using UnixSeconds = std::int64_t;

/// Where time comes from; the second implementation is the simulator's.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Instant now() const = 0;
  [[nodiscard]] virtual UnixSeconds unix_now() const = 0;
};

}  // namespace nmp
