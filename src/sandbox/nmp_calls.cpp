// The `nmp` functions of Filter ABI v1; filters/nmp.h says what they promise.
#include <algorithm>

#include "sandbox/guest_api.hpp"

namespace nmp::sandbox {

namespace {

constexpr std::int32_t kNotFound = -1;
constexpr std::int32_t kInvalid = -2;
constexpr std::int32_t kNoState = -3;
constexpr std::int32_t kNotAvailable = -4;
constexpr std::int32_t kTooLarge = -5;
constexpr std::uint32_t kWaitTimer = 1;
constexpr std::uint32_t kWaitFiles = 2;
constexpr std::size_t kInputNameBytesMax = 63;

Reply reply32(std::int32_t value) { return {.value = static_cast<std::uint32_t>(value)}; }
Reply reply64(std::int64_t value) { return {.value = static_cast<std::uint64_t>(value)}; }

}  // namespace

Reply GuestApi::push_event(const CallArguments& a, GuestMemory memory, Instant) {
  const auto bytes = memory.range(a.pointer(0), a.u32(1));
  if (!bytes) return stop(Errc::guest_misuse, "push_event: a pointer outside the memory");
  if (bytes->size() > kEventBytesMax) return stop(Errc::event_limit, "an event over 64 KiB");
  if (used_.events + 1 > options_.limits.events) return stop(Errc::event_limit, "more events than the run may send");
  if (used_.event_bytes + bytes->size() > options_.limits.event_bytes)
    return stop(Errc::event_limit, "more bytes of events than the run may send");
  if (!outbox_.put(OutputKind::event, *bytes)) return wait_until(kNever);
  used_.events += 1;
  used_.event_bytes += bytes->size();
  return {};
}

Reply GuestApi::try_event(const CallArguments& a, GuestMemory memory, Instant) {
  const auto bytes = memory.range(a.pointer(0), a.u32(1));
  if (!bytes) return stop(Errc::guest_misuse, "try_event: a pointer outside the memory");
  if (bytes->size() > kEventBytesMax) return reply32(kTooLarge);
  if (used_.events + 1 > options_.limits.events || used_.event_bytes + bytes->size() > options_.limits.event_bytes)
    return reply32(0);
  if (!outbox_.put(OutputKind::event, *bytes)) return reply32(0);
  used_.events += 1;
  used_.event_bytes += bytes->size();
  return reply32(1);
}

std::optional<std::string_view> GuestApi::input_name(const CallArguments& a, GuestMemory memory) const {
  const auto bytes = memory.range(a.pointer(0), a.u32(1));
  if (!bytes) return std::nullopt;
  return text_of(*bytes);
}

Reply GuestApi::input_size(const CallArguments& a, GuestMemory memory, Instant) {
  const auto name = input_name(a, memory);
  if (!name) return stop(Errc::guest_misuse, "input_size: a pointer outside the memory");
  if (name->size() > kInputNameBytesMax) return reply64(kNotFound);
  const auto it = options_.inputs.find(std::string(*name));
  return reply64(it == options_.inputs.end() ? kNotFound : static_cast<std::int64_t>(it->second.size()));
}

Reply GuestApi::input_read(const CallArguments& a, GuestMemory memory, Instant) {
  const auto name = input_name(a, memory);
  const auto to = memory.range(a.pointer(3), a.u32(4));
  if (!name || !to) return stop(Errc::guest_misuse, "input_read: a pointer outside the memory");
  if (a.i64(2) < 0 || to->size() > 0x7fff'ffff) return reply32(kInvalid);
  if (name->size() > kInputNameBytesMax) return reply32(kNotFound);
  const auto it = options_.inputs.find(std::string(*name));
  if (it == options_.inputs.end()) return reply32(kNotFound);
  const ByteView value(it->second);
  if (a.u64(2) >= value.size()) return reply32(0);
  const auto part = value.subspan(a.u64(2)).first(std::min(to->size(), value.size() - a.u64(2)));
  std::ranges::copy(part, to->begin());
  return reply32(static_cast<std::int32_t>(part.size()));
}

Reply GuestApi::state_get(const CallArguments& a, GuestMemory memory, Instant) {
  const auto to = memory.range(a.pointer(0), a.u32(1));
  if (!to) return stop(Errc::guest_misuse, "state_get: a pointer outside the memory");
  if (!options_.watch) return reply32(kNoState);
  const auto& state = options_.watch->state;
  std::ranges::copy(ByteView(state).first(std::min(state.size(), to->size())), to->begin());
  return reply32(static_cast<std::int32_t>(state.size()));
}

Reply GuestApi::state_put(const CallArguments& a, GuestMemory memory, Instant) {
  const auto bytes = memory.range(a.pointer(0), a.u32(1));
  if (!bytes) return stop(Errc::guest_misuse, "state_put: a pointer outside the memory");
  if (!options_.watch) return reply32(kNoState);
  if (bytes->size() > kStateBytesMax) return reply32(kTooLarge);
  // In one queue with the events: whatever is stored of the guest's doing is a beginning of it.
  if (!outbox_.put(OutputKind::state, *bytes)) return wait_until(kNever);
  options_.watch->state = to_bytes(*bytes);
  return reply32(0);
}

Reply GuestApi::wait(const CallArguments& a, GuestMemory, Instant now) {
  const auto mask = a.u32(1);
  if (mask == 0 || (mask & ~(kWaitTimer | kWaitFiles)) != 0) return reply32(kInvalid);
  const bool timer = (mask & kWaitTimer) != 0;
  const bool files = (mask & kWaitFiles) != 0;
  if (files && !options_.watch) return reply32(kNotAvailable);
  if (timer && a.i64(0) < 0) return reply32(kInvalid);
  const auto since = waiting_since_.value_or(now);
  const auto nanoseconds = std::min<std::int64_t>(a.i64(0), std::int64_t{1} << 60);
  const auto until = timer ? since + std::chrono::nanoseconds(nanoseconds) : kNever;
  std::uint32_t happened = 0;
  if (now >= until) happened |= kWaitTimer;
  if (files && datasets_changed()) happened |= kWaitFiles;
  if (happened == 0) {
    waiting_since_ = since;
    waits_for_files_ = files;
    return wait_until(until);
  }
  if (!wake(now)) return {.kind = Reply::Kind::wait};
  if (options_.seed) virtual_ns_ += static_cast<std::uint64_t>(nanoseconds);
  return reply32(static_cast<std::int32_t>(happened));
}

UnixSeconds GuestApi::unix_at(Instant now) const {
  return options_.start_time + std::chrono::duration_cast<std::chrono::seconds>(now - started_).count();
}

void GuestApi::charge(std::uint64_t fuel, Instant now) {
  if (!options_.watch || fuel == 0) return;
  options_.watch->progress->update([&](auto& values) { values.fuel.charge(fuel, unix_at(now)); });
}

std::uint64_t GuestApi::wake_fuel(Instant now) const {
  if (!options_.watch) return options_.limits.fuel;
  return std::min(options_.limits.fuel, options_.watch->progress->get().fuel.left(unix_at(now)));
}

bool GuestApi::wake(Instant now) {
  if (options_.watch && waiting_since_) {
    const bool rests = wake_fuel(now) == 0;
    options_.watch->progress->update([&](auto& values) {
      values.resting = rests;
      if (!rests) ++values.wake_ups;
    });
    if (rests) {
      waits_for_files_ = false;
      const auto seconds = DayBudget::next_day(unix_at(now)) - unix_at(now);
      wake_at_ = now + std::chrono::seconds(seconds);
      return false;
    }
    woke_ = true;
  }
  waiting_since_.reset();
  waits_for_files_ = false;
  refresh_datasets();
  return true;
}

bool GuestApi::datasets_changed() const {
  NMP_ASSERT(options_.watch.has_value());  // only a watchdog waits
  const auto& live = options_.watch->live;
  for (std::size_t i = 0; i < live.size(); ++i)
    if (live[i]->now().version != seen_[i]) return true;
  return false;
}

void GuestApi::refresh_datasets() {
  if (!options_.watch) return;
  const auto& live = options_.watch->live;
  for (std::size_t i = 0; i < live.size(); ++i) {
    auto newest = live[i]->now();
    if (newest.version == seen_[i]) continue;
    seen_[i] = newest.version;
    // What the guest has opened stays what it was.
    for (auto& descriptor : descriptors_)
      if (descriptor && descriptor->preopen && descriptor->dataset->name() == newest.snapshot->name())
        descriptor->dataset = newest.snapshot;
  }
}

}  // namespace nmp::sandbox
