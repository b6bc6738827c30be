#include "base/async/event.hpp"

#include <list>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace nmp::async {

namespace asio = boost::asio;

struct Event::State {
  explicit State(Executor e) : executor(std::move(e)) {}
  Executor executor;
  std::list<asio::steady_timer*> waiters;  // each lives in its coroutine's frame
  void wake() {
    for (auto* timer : waiters) timer->cancel();
  }
};

Event::Event(Executor executor) : state_(std::make_shared<State>(std::move(executor))) {}
Event::~Event() { state_->wake(); }

void Event::notify_all() { state_->wake(); }

namespace {
Awaitable<bool> is_cancelled() {
  auto state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() != asio::cancellation_type::none;
}
}  // namespace

Awaitable<Result<void>> Event::wait(Instant deadline) {
  auto state = state_;
  if (co_await is_cancelled()) co_return fail(Errc::cancelled);
  asio::steady_timer timer(state->executor, deadline);
  auto it = state->waiters.insert(state->waiters.end(), &timer);
  boost::system::error_code error;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
  state->waiters.erase(it);
  if (co_await is_cancelled()) co_return fail(Errc::cancelled);
  if (!error) co_return fail(Errc::deadline_exceeded);
  co_return Result<void>();
}

Awaitable<Result<void>> sleep_until(Instant at) {
  if (co_await is_cancelled()) co_return fail(Errc::cancelled);
  asio::steady_timer timer(co_await asio::this_coro::executor, at);
  boost::system::error_code error;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
  if (error || co_await is_cancelled()) co_return fail(Errc::cancelled);
  co_return Result<void>();
}

namespace {
class SystemClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return std::chrono::steady_clock::now(); }
  [[nodiscard]] UnixSeconds unix_now() const override {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};
}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

}  // namespace nmp::async
