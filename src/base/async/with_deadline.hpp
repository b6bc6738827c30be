#pragma once

#include <memory>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/async/awaitable.hpp"

namespace nmp::async {

namespace detail {
template <class T>
Awaitable<Result<T>> quietly(Awaitable<Result<T>> operation) {
  co_await boost::asio::this_coro::throw_if_cancelled(false);
  co_return co_await std::move(operation);
}
}  // namespace detail

/// The one place that races work against a clock: at `deadline` the operation is cancelled and awaited, and its result,
/// unless it is a value, becomes `deadline_exceeded`. Cancelling the caller cancels the operation.
template <class T>
Awaitable<Result<T>> with_deadline(Instant deadline, Awaitable<Result<T>> operation) {
  namespace asio = boost::asio;
  struct Race {
    explicit Race(const Executor& executor, Instant at) : timer(executor, at) {}
    asio::steady_timer timer;
    asio::cancellation_signal stop;
    bool expired = false;
  };
  auto executor = co_await asio::this_coro::executor;
  auto race = std::make_shared<Race>(executor, deadline);  // this frame and two handlers
  if (deadline != kNever) {
    race->timer.async_wait([race](boost::system::error_code error) {
      if (error) return;
      race->expired = true;
      race->stop.emit(asio::cancellation_type::terminal);
    });
  }
  auto outer = co_await asio::this_coro::cancellation_state;
  if (outer.cancelled() != asio::cancellation_type::none) {
    race->timer.cancel();
    co_return fail(Errc::cancelled);
  }
  // The operation listens to the race's own signal, so ours has to be passed on by hand.
  if (outer.slot().is_connected()) outer.slot().assign([race](asio::cancellation_type type) { race->stop.emit(type); });
  auto result = co_await asio::co_spawn(executor, detail::quietly(std::move(operation)),
                                        asio::bind_cancellation_slot(race->stop.slot(), asio::use_awaitable));
  if (outer.slot().is_connected()) outer.slot().clear();
  race->timer.cancel();
  if (!result && race->expired) co_return fail(Errc::deadline_exceeded);
  co_return result;
}

}  // namespace nmp::async
