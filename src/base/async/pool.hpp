#pragma once

#include <memory>
#include <optional>
#include <type_traits>

#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/async/awaitable.hpp"

namespace nmp::async {

/// Threads for work that would hold up the network thread: compiling, hashing files, evaluating tokens.
class Pool {
 public:
  explicit Pool(std::size_t threads) : pool_(threads) {}

  /// Runs `work()` on a pool thread; the caller resumes on its own executor. `work` must not throw, and owns what it
  /// uses. Cancelling the caller does not reach the work: its result is awaited all the same.
  template <class Work>
  auto run(Work work) -> Awaitable<std::invoke_result_t<Work&>> {
    namespace asio = boost::asio;
    using Value = std::invoke_result_t<Work&>;
    auto result = std::make_shared<std::optional<Value>>();  // this frame and the pool's thread
    // Not co_spawn on the pool: it would pass cancellation into a coroutine that another thread is running.
    auto initiate = [this, result, work = std::move(work)](auto handler) mutable {
      auto guard = asio::make_work_guard(asio::get_associated_executor(handler));
      asio::post(pool_,
                 [result, work = std::move(work), guard = std::move(guard), handler = std::move(handler)]() mutable {
                   result->emplace(work());
                   auto executor = guard.get_executor();
                   asio::post(executor, std::move(handler));
                 });
    };
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(std::move(initiate), asio::use_awaitable);
    co_return std::move(**result);
  }

  /// Lets running work end, drops what waits.
  void stop() {
    pool_.stop();
    pool_.join();
  }

 private:
  boost::asio::thread_pool pool_;
};

}  // namespace nmp::async
