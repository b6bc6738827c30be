/// Filter ABI v1 for C++20 filters: nmp.h with the standard library's words. Header only; works without exceptions.
#pragma once

#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "nmp.h"

namespace nmp {

/// Sends one event at once; waits while the agent takes none.
inline void push_event(std::string_view event) { nmp_push_event(event.data(), event.size()); }

/// Sends one event if there is room for it now.
[[nodiscard]] inline bool try_event(std::string_view event) { return nmp_try_event(event.data(), event.size()) == 1; }

/// An input's bytes, or nothing if the agent sent none of that name.
[[nodiscard]] inline std::optional<std::string> input(std::string_view name) {
  const std::int64_t size = nmp_input_size(name.data(), name.size());
  if (size < 0) return std::nullopt;
  std::string value(static_cast<std::size_t>(size), '\0');
  std::size_t done = 0;
  while (done < value.size()) {
    const std::int32_t got = nmp_input_read(
        name.data(), name.size(), static_cast<std::int64_t>(done), value.data() + done, value.size() - done);
    if (got <= 0) return std::nullopt;
    done += static_cast<std::size_t>(got);
  }
  return value;
}

/// An input, or `otherwise`.
[[nodiscard]] inline std::string input_or(std::string_view name, std::string_view otherwise) {
  auto value = input(name);
  return value ? *std::move(value) : std::string(otherwise);
}

/// Appends to the evidence (stdout); waits while the agent takes none.
inline void answer(std::string_view evidence) { std::fwrite(evidence.data(), 1, evidence.size(), stdout); }

/// Sleeps. False if the run does not allow it.
inline bool sleep_for(std::chrono::nanoseconds time) { return nmp_wait(time.count(), NMP_WAIT_TIMER) == NMP_WAIT_TIMER; }

}  // namespace nmp
