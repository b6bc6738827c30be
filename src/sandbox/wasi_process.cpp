// WASI preview 1: arguments, clocks, chance, polling, the process.
#include <algorithm>

#include "sandbox/wasi_reply.hpp"

namespace nmp::sandbox {

using wasi::Errno;

namespace {

constexpr std::uint64_t kNanosecondsPerStep = 1'000'000;  // what guests see of time: 1 ms
constexpr std::uint64_t kNanosecondsPerReading = 1'000;   // a seeded run's clock moves a little with each look at it
constexpr std::uint64_t kMonotonicStartNanoseconds = 1'000'000'000;  // Go's runtime stops where the clock says zero
constexpr std::uint64_t kSleepNanosecondsMax = 1ULL << 60;

Instant later(Instant from, std::uint64_t nanoseconds) {
  return from + std::chrono::nanoseconds(std::min(nanoseconds, kSleepNanosecondsMax));
}

/// A vector of strings the C way: pointers at `pointers`, bytes with their NULs at `bytes`.
bool write_strings(const std::vector<std::string>& strings, GuestMemory memory, GuestPtr pointers, GuestPtr bytes) {
  std::uint64_t total = 0;
  for (const auto& text : strings) total += text.size() + 1;
  if (!memory.range(pointers, strings.size() * 4) || !memory.range(bytes, total)) return false;
  std::uint32_t place = bytes.at;
  for (std::uint32_t i = 0; i < strings.size(); ++i) {
    const auto& text = strings[i];
    static constexpr std::byte kNul{0};
    if (!memory.write_u32({pointers.at + 4 * i}, place) || !memory.write({place}, bytes_of(text)) ||
        !memory.write({place + static_cast<std::uint32_t>(text.size())}, ByteView(&kNul, 1)))
      return false;
    place += static_cast<std::uint32_t>(text.size() + 1);
  }
  return true;
}

}  // namespace

Reply GuestApi::args_get(const CallArguments& a, GuestMemory memory, Instant) {
  return reply_written(write_strings(arguments_, memory, a.pointer(0), a.pointer(1)));
}

Reply GuestApi::args_sizes_get(const CallArguments& a, GuestMemory memory, Instant) {
  std::uint32_t bytes = 0;
  for (const auto& text : arguments_) bytes += static_cast<std::uint32_t>(text.size() + 1);
  return reply_written(memory.write_u32(a.pointer(0), static_cast<std::uint32_t>(arguments_.size())) &&
                       memory.write_u32(a.pointer(1), bytes));
}

Reply GuestApi::environ_get(const CallArguments& a, GuestMemory memory, Instant) {
  return reply_written(memory.range(a.pointer(0), 0) && memory.range(a.pointer(1), 0));
}

Reply GuestApi::environ_sizes_get(const CallArguments& a, GuestMemory memory, Instant) {
  return reply_written(memory.write_u32(a.pointer(0), 0) && memory.write_u32(a.pointer(1), 0));
}

std::uint64_t GuestApi::clock_ns(std::uint32_t clock, Instant now) const {
  std::uint64_t since_start = virtual_ns_;
  if (!options_.seed)
    since_start =
        static_cast<std::uint64_t>(std::chrono::nanoseconds(std::max(now - started_, Duration::zero())).count());
  const auto base = clock == wasi::kClockRealtime
                        ? static_cast<std::uint64_t>(std::max<UnixSeconds>(options_.start_time, 0)) * 1'000'000'000
                        : kMonotonicStartNanoseconds;
  return base + since_start;
}

Reply GuestApi::clock_res_get(const CallArguments& a, GuestMemory memory, Instant) {
  if (a.u32(0) > 3) return reply(Errno::inval);
  if (a.u32(0) > wasi::kClockMonotonic) return reply(Errno::notsup);
  return reply_written(memory.write_u64(a.pointer(1), kNanosecondsPerStep));
}

Reply GuestApi::clock_time_get(const CallArguments& a, GuestMemory memory, Instant now) {
  if (a.u32(0) > 3) return reply(Errno::inval);
  if (a.u32(0) > wasi::kClockMonotonic) return reply(Errno::notsup);
  if (options_.seed) virtual_ns_ += kNanosecondsPerReading;
  const auto time = clock_ns(a.u32(0), now);
  return reply_written(memory.write_u64(a.pointer(2), time - time % kNanosecondsPerStep));
}

Reply GuestApi::random_get(const CallArguments& a, GuestMemory memory, Instant) {
  const auto to = memory.range(a.pointer(0), a.u32(1));
  if (!to) return reply(Errno::fault);
  // getentropy and its like ask for little; a guest that wants much asks often.
  if (to->size() > kRandomBytesMax) return reply(Errno::inval);
  if (seeded_) {
    seeded_->fill(*to);
  } else {
    options_.random->fill(*to);
  }
  return reply(Errno::success);
}

Reply GuestApi::sched_yield(const CallArguments&, GuestMemory, Instant) { return reply(Errno::success); }
Reply GuestApi::no_sockets(const CallArguments&, GuestMemory, Instant) { return reply(Errno::notsup); }
Reply GuestApi::no_signals(const CallArguments&, GuestMemory, Instant) { return reply(Errno::nosys); }

Reply GuestApi::proc_exit(const CallArguments& a, GuestMemory, Instant) {
  stop_ = Stop{.error = std::nullopt, .exit_code = a.u32(0)};
  return {.kind = Reply::Kind::stop};
}

Reply GuestApi::poll_oneoff(const CallArguments& a, GuestMemory memory, Instant now) {
  const auto count = a.u32(2);
  if (count == 0 || count > kSubscriptionsMax) return reply(Errno::inval);
  const auto in = memory.range(a.pointer(0), std::uint64_t{count} * wasi::kSubscriptionBytes);
  if (!in || !memory.range(a.pointer(1), std::uint64_t{count} * wasi::kEventBytes) || !memory.range(a.pointer(3), 4))
    return reply(Errno::fault);

  const auto since = waiting_since_.value_or(now);
  std::vector<ByteArray<wasi::kEventBytes>> events;
  auto happened = [&](std::uint64_t userdata, Errno error, std::uint8_t type, std::uint64_t bytes) {
    GuestStruct<wasi::kEventBytes> event;
    event.u64(0, userdata).u16(8, static_cast<std::uint16_t>(error)).u8(10, type).u64(16, bytes);
    ByteArray<wasi::kEventBytes> out{};
    std::ranges::copy(event.view(), out.begin());
    events.push_back(out);
  };

  struct Timer {
    std::uint64_t userdata;
    std::uint64_t nanoseconds;  // from `since`
  };
  std::vector<Timer> timers;
  for (std::uint32_t i = 0; i < count; ++i) {
    const GuestMemory item(in->subspan(i * wasi::kSubscriptionBytes, wasi::kSubscriptionBytes));
    const auto userdata = item.read_u64({0}).value_or(0);
    const auto type = std::to_integer<std::uint8_t>(in->subspan(i * wasi::kSubscriptionBytes)[8]);
    if (type == wasi::kEventClock) {
      const auto clock = item.read_u32({16}).value_or(0);
      auto timeout = item.read_u64({24}).value_or(0);
      if (clock > wasi::kClockMonotonic) {
        happened(userdata, clock > 3 ? Errno::inval : Errno::notsup, type, 0);
        continue;
      }
      if ((item.read_u16({40}).value_or(0) & wasi::kSubclockAbstime) != 0) {
        const auto time = clock_ns(clock, since);
        timeout = timeout > time ? timeout - time : 0;
      }
      timers.push_back({userdata, timeout});
    } else if (type == wasi::kEventFdRead || type == wasi::kEventFdWrite) {
      const auto* from = descriptor(item.read_u32({16}).value_or(0));
      if (from == nullptr || from->is_directory()) {
        happened(userdata, Errno::badf, type, 0);
      } else if (type == wasi::kEventFdRead) {
        std::uint64_t size = 0;
        if (from->is_file()) size = from->entry->size;
        if (from->stream == Stream::in) size = input("stdin").size();
        happened(userdata, Errno::success, type, size > from->offset ? size - from->offset : 0);
      } else if (from->stream == Stream::out || from->stream == Stream::err) {
        if (const auto room = outbox_.room(); room > 0) happened(userdata, Errno::success, type, room);
      } else {
        happened(userdata, Errno::badf, type, 0);
      }
    } else {
      return reply(Errno::inval);
    }
  }

  std::uint64_t first = kSleepNanosecondsMax;
  for (const auto& timer : timers) {
    first = std::min(first, timer.nanoseconds);
    if (later(since, timer.nanoseconds) <= now) happened(timer.userdata, Errno::success, wasi::kEventClock, 0);
  }
  if (events.empty()) {
    waiting_since_ = since;
    return wait_until(timers.empty() ? kNever : later(since, first));
  }
  // Only a sleep is one: room in an output is none.
  if (timers.empty()) {
    waiting_since_.reset();
  } else if (!wake(now)) {
    return {.kind = Reply::Kind::wait};
  }
  // A seeded run's clock moves by what was slept, not by what the host took for it.
  if (options_.seed && !timers.empty() && later(since, first) <= now) virtual_ns_ += first;
  GuestPtr place = a.pointer(1);
  for (const auto& event : events) {
    if (!memory.write(place, event)) return reply(Errno::fault);
    place.at += static_cast<std::uint32_t>(wasi::kEventBytes);
  }
  return reply_written(memory.write_u32(a.pointer(3), static_cast<std::uint32_t>(events.size())));
}

}  // namespace nmp::sandbox
