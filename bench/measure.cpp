#include "measure.hpp"

#include <algorithm>
#include <ctime>

#include "base/async/awaitable.hpp"

namespace nmp::bench {

namespace {

Instant now() { return async::system_clock().now(); }

double microseconds(Duration time) { return std::chrono::duration<double, std::micro>(time).count(); }

/// The nearest rank: a value that was measured.
double percentile(const std::vector<double>& sorted, double part) {
  return sorted.at(static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1) + 0.5));
}

}  // namespace

std::uint64_t cpu_ns(pid_t pid) {
  clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
  if (pid != 0 && ::clock_getcpuclockid(pid, &clock) != 0) return 0;
  timespec time{};
  if (::clock_gettime(clock, &time) != 0) return 0;
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

void Meter::start() {
  us_.clear();
  cpu_ns_ = cpu_ns(0);
  if (peer_ != 0) peer_cpu_ns_ = cpu_ns(peer_);
  started_ = lap_ = now();
}

void Meter::lap() {
  const auto time = now();
  us_.push_back(microseconds(time - lap_));
  lap_ = time;
}

json Meter::result() const {
  const auto seconds = microseconds(now() - started_) / 1e6;
  const auto count = static_cast<double>(std::max<std::size_t>(us_.size(), 1));
  auto sorted = us_;
  std::ranges::sort(sorted);
  json out;
  out["count"] = us_.size();
  out["seconds"] = seconds;
  out["per_second"] = count / seconds;
  out["cpu_us"] = static_cast<double>(cpu_ns(0) - cpu_ns_) / 1e3 / count;
  if (peer_ != 0) out["peer_cpu_us"] = static_cast<double>(cpu_ns(peer_) - peer_cpu_ns_) / 1e3 / count;
  if (!sorted.empty()) {
    out["p50_us"] = percentile(sorted, 0.5);
    out["p99_us"] = percentile(sorted, 0.99);
  }
  return out;
}

}  // namespace nmp::bench
