#include "base/async/task_group.hpp"

#include <list>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>

#include "base/async/event.hpp"

namespace nmp::async {

namespace asio = boost::asio;

struct TaskGroup::State {
  explicit State(const Executor& executor) : ended(executor) {}
  std::list<asio::cancellation_signal> tasks;
  bool closed = false;
  Event ended;
};

namespace {
Awaitable<void> quiet(Awaitable<void> task) {
  // Cancellation arrives as a Result from the pending operation, not as an exception.
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await std::move(task);
}
}  // namespace

TaskGroup::TaskGroup(Executor executor) : executor_(std::move(executor)), state_(std::make_shared<State>(executor_)) {}

TaskGroup::~TaskGroup() { NMP_ASSERT(state_->tasks.empty()); }

void TaskGroup::spawn(Awaitable<void> task) {
  if (state_->closed) return;
  auto it = state_->tasks.emplace(state_->tasks.end());
  asio::co_spawn(executor_, quiet(std::move(task)),
                 asio::bind_cancellation_slot(it->slot(), [state = state_, it](std::exception_ptr error) {
                   state->tasks.erase(it);
                   if (state->tasks.empty()) state->ended.notify_all();
                   if (error) std::rethrow_exception(error);
                 }));
}

void TaskGroup::cancel() {
  auto state = state_;
  // emit() may run a task to its end, which takes it off the list: step before emitting.
  for (auto it = state->tasks.begin(); it != state->tasks.end();) (it++)->emit(asio::cancellation_type::terminal);
}

Awaitable<void> TaskGroup::close() {
  auto state = state_;
  state->closed = true;
  cancel();
  while (!state->tasks.empty()) {
    // When our own caller is cancelled, the tasks still have to end before their owner may go.
    auto waited = co_await state->ended.wait(kNever);
    if (!waited) co_await asio::this_coro::reset_cancellation_state();
  }
}

std::size_t TaskGroup::size() const { return state_->tasks.size(); }

}  // namespace nmp::async
