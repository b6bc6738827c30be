#include "base/async/post.hpp"

#include <boost/asio/post.hpp>

namespace nmp::async {

void post(const Executor& executor, std::move_only_function<void()> work) {
  boost::asio::post(executor, [work = std::move(work)]() mutable { work(); });
}

}  // namespace nmp::async
