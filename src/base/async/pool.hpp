#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/async/awaitable.hpp"

namespace nmp::async {

/// Threads for work that would hold up the network thread: compiling, hashing files, evaluating tokens.
class Pool {
 public:
  explicit Pool(std::size_t threads) : pool_(threads) {}

  /// Runs `work()` on a pool thread; the caller resumes on its own executor. `work` must not throw, and owns what it uses.
  /// Cancelling the caller does not stop work that has begun: its result is awaited all the same.
  template <class Work>
  auto run(Work work) -> Awaitable<std::invoke_result_t<Work&>> {
    co_return co_await boost::asio::co_spawn(pool_, call(std::move(work)), boost::asio::use_awaitable);
  }

  /// Lets running work end, drops what waits.
  void stop() {
    pool_.stop();
    pool_.join();
  }

 private:
  template <class Work>
  static auto call(Work work) -> Awaitable<std::invoke_result_t<Work&>> {
    co_return work();
  }
  boost::asio::thread_pool pool_;
};

}  // namespace nmp::async
