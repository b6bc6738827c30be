#pragma once

#include <functional>

#include "base/async/awaitable.hpp"

namespace nmp::async {

/// Runs `work` soon on the executor. From any thread: the way back to the network thread for those that are not on it.
void post(const Executor& executor, std::move_only_function<void()> work);

}  // namespace nmp::async
