#pragma once

#include <chrono>
#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "base/async/awaitable.hpp"

namespace nmp::async {

/// For tests: runs one coroutine on `context` to its end and returns its value; aborts after `limit`, naming the hang.
template <class T>
T run_until_done(boost::asio::io_context& context,
                 Awaitable<T> task,
                 std::chrono::seconds limit = std::chrono::seconds(60)) {
  std::optional<T> value;
  boost::asio::co_spawn(context, std::move(task), [&](std::exception_ptr error, T result) {
    if (error) std::rethrow_exception(error);
    value.emplace(std::move(result));
  });
  context.restart();
  auto end = std::chrono::steady_clock::now() + limit;
  while (!value) {
    if (context.run_one_until(end) == 0) {
      std::fprintf(stderr, "run_until_done: the coroutine did not end\n");
      std::abort();
    }
  }
  return std::move(*value);
}

}  // namespace nmp::async
