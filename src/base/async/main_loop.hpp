#pragma once

#include <functional>
#include <memory>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/async/event.hpp"
#include "base/async/with_deadline.hpp"

namespace nmp::async {

/// The network thread of a program: runs a coroutine to its end, and turns SIGINT and SIGTERM into cancellation.
/// The first signal cancels what runs under interruptible(), so that cleaning up can follow; a second one ends the
/// process.
class MainLoop {
 public:
  MainLoop();
  MainLoop(const MainLoop&) = delete;
  MainLoop& operator=(const MainLoop&) = delete;

  [[nodiscard]] Executor executor() { return context_.get_executor(); }
  [[nodiscard]] bool interrupted() const { return interrupted_; }

  /// Runs `body` on this thread to its end and returns its value.
  int run(Awaitable<int> body);

  /// Waits for a signal.
  Awaitable<void> until_interrupted();

  /// The operation's result, or `cancelled` once a signal has come. One at a time.
  template <class T>
  Awaitable<Result<T>> interruptible(Awaitable<Result<T>> operation) {
    if (interrupted_) co_return fail(Errc::cancelled);
    co_return co_await boost::asio::co_spawn(
        executor(), detail::quietly(std::move(operation)),
        boost::asio::bind_cancellation_slot(stop_.slot(), boost::asio::use_awaitable));
  }

 private:
  void listen();

  boost::asio::io_context context_{1};
  boost::asio::signal_set signals_;
  boost::asio::cancellation_signal stop_;
  Event changed_;
  bool interrupted_ = false;
};

}  // namespace nmp::async
