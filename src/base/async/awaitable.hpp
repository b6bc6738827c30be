#pragma once

#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/result.hpp"
#include "base/time.hpp"

namespace nmp::async {

/// A coroutine on the network thread.
/// g++ 12 destroys aggregate temporaries twice inside a co_await expression: name the argument first, or give its type
/// a constructor. Parameters of coroutines are values; after each co_await, look things up again.
template <class T>
using Awaitable = boost::asio::awaitable<T>;
using Executor = boost::asio::any_io_executor;

/// Resumes at `at` (at once if it has passed). Errors: cancelled.
Awaitable<Result<void>> sleep_until(Instant at);

/// The steady and system clocks.
const Clock& system_clock();

}  // namespace nmp::async
