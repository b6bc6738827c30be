#pragma once

#include <memory>

#include "base/async/awaitable.hpp"

namespace nmp::async {

/// What coroutines wait for until a condition holds: `while (!ready_) NMP_CO_CHECK(co_await event_.wait());`
/// notify_all() wakes every present waiter; wake-ups may be spurious. Single thread: the executor's.
class Event {
 public:
  explicit Event(Executor executor);
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  /// Wakes the waiters; they must not touch the Event's owner without looking it up again.
  ~Event();

  void notify_all();
  /// Errors: cancelled, deadline_exceeded.
  Awaitable<Result<void>> wait(Instant deadline = kNever);

 private:
  struct State;
  std::shared_ptr<State> state_;  // the event and its waiters
};

}  // namespace nmp::async
