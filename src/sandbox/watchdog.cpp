#include "sandbox/watchdog.hpp"

#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "base/encoding.hpp"

namespace nmp::sandbox {

void WatchLog::note(UnixSeconds unix, std::string_view words) {
  const auto time = static_cast<std::time_t>(unix);
  line("* ", fmt::format("{:%Y-%m-%dT%H:%M:%SZ} {}", fmt::gmtime(time), words));
}

void WatchLog::add(ByteView bytes) {
  // What would be gone at once is not looked at.
  if (bytes.size() > kWatchLogBytesMax) bytes = bytes.last(kWatchLogBytesMax);
  for (const auto byte : bytes) {
    const auto letter = static_cast<char>(byte);
    if (letter != '\n') partial_ += letter;
    if (letter != '\n' && partial_.size() < kWatchLogLineMax) continue;
    line("| ", escape_text(partial_, 4 * kWatchLogLineMax));
    partial_.clear();
  }
}

void WatchLog::line(std::string_view prefix, std::string_view words) {
  text_ += prefix;
  text_ += words;
  text_ += '\n';
  if (text_.size() <= kWatchLogBytesMax) return;
  // Half goes at once, whole lines of it.
  const auto end = text_.find('\n', text_.size() - kWatchLogBytesMax / 2);
  text_.erase(0, end == std::string::npos ? text_.size() : end + 1);
}

Watchdog::Watchdog(const async::Executor& executor, WatchId who, WatchDefinition what, AtRestKey sealed_under)
    : id(who), definition(std::move(what)), key(std::move(sealed_under)), changed(executor) {}

bool Watchdog::full() const {
  if (!allowed) return true;
  return kept.size() >= std::min<std::uint64_t>(allowed->limits.events, kWatchEventsMax) ||
         kept_bytes >= allowed->limits.event_bytes;
}

bool Watchdog::lives() const {
  return allowed && record.phase != core::WatchPhase::ended && record.phase != core::WatchPhase::failed;
}

void Watchdog::forget(std::uint64_t count) {
  for (; count > 0 && !kept.empty(); --count) {
    kept_bytes -= kept.front();
    kept.pop_front();
  }
}

core::WatchStatus Watchdog::status(UnixSeconds unix) const {
  core::WatchStatus out;
  out.id = id;
  out.capability = definition.capability;
  out.module_hash = definition.module_hash;
  out.phase = record.phase;
  out.reason = record.reason;
  out.created = definition.created;
  out.expires = definition.expires;
  out.starts = record.starts;
  if (progress) {
    const auto values = progress->get();
    out.wake_ups = values.wake_ups;
    out.fuel_today = values.fuel.used_on(unix);
    if ((values.resting || said.left(unix) == 0) && out.phase == core::WatchPhase::running)
      out.phase = core::WatchPhase::resting;
  }
  out.next_event = next_event;
  out.first_event = first_event();
  out.dropped = record.dropped;
  const auto& granted = allowed ? *allowed : definition.allowed;
  if (!allowed && record.phase != core::WatchPhase::ended && record.phase != core::WatchPhase::failed)
    out.phase = core::WatchPhase::suspended;
  out.limits = granted.limits;
  out.policy = granted.policy;
  return out;
}

}  // namespace nmp::sandbox
