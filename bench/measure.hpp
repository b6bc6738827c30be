#pragma once

#include <cstdint>
#include <vector>

#include <nlohmann/json.hpp>
#include <sys/types.h>

#include "base/time.hpp"

namespace nmp::bench {

using nlohmann::json;

/// CPU time of all threads of a process, in nanoseconds; pid 0 is this one. 0 if there is no such process.
[[nodiscard]] std::uint64_t cpu_ns(pid_t pid);

/// Times a series of equal operations, and the CPU time that it took here and in the process at the other end.
class Meter {
 public:
  /// `peer` 0: there is none.
  explicit Meter(pid_t peer) : peer_(peer) { start(); }
  /// Begins anew: what was measured is forgotten.
  void start();
  /// One operation has ended; the next begins.
  void lap();
  /// One operation that was timed elsewhere.
  void add(double us) { us_.push_back(us); }
  /// {"count", "p50_us", "p99_us", "seconds", "per_second", "cpu_us" and "peer_cpu_us" of one operation}.
  [[nodiscard]] json result() const;

 private:
  pid_t peer_;
  Instant started_;
  Instant lap_;
  std::uint64_t cpu_ns_ = 0;
  std::uint64_t peer_cpu_ns_ = 0;
  std::vector<double> us_;
};

}  // namespace nmp::bench
