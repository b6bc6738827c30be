#pragma once

#include <memory>

#include "base/async/awaitable.hpp"

namespace nmp::async {

/// Coroutines that belong to an object. The owner closes the group before it goes: `co_await tasks_.close()` cancels
/// all of them and waits until they have ended; the destructor asserts that none is left. Single thread: the
/// executor's.
class TaskGroup {
 public:
  explicit TaskGroup(Executor executor);
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup();

  /// Starts a coroutine soon, on the group's executor. After close() it is dropped without being started.
  /// An exception that leaves the task is a bug of ours and ends the process.
  void spawn(Awaitable<void> task);

  /// Asks every task to stop: their pending operations end with `cancelled`, and so does each later one.
  void cancel();
  /// cancel(), then waits for the last one. Not from inside one of the group's own tasks.
  Awaitable<void> close();

  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] const Executor& executor() const { return executor_; }

 private:
  struct State;
  Executor executor_;
  std::shared_ptr<State> state_;  // the group and the completion handlers of its tasks
};

}  // namespace nmp::async
