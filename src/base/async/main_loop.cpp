#include "base/async/main_loop.hpp"

#include <csignal>
#include <optional>

namespace nmp::async {

MainLoop::MainLoop() : signals_(context_, SIGINT, SIGTERM), changed_(context_.get_executor()) { listen(); }

void MainLoop::listen() {
  signals_.async_wait([this](boost::system::error_code error, int signal) {
    if (error) return;
    if (interrupted_) std::_Exit(128 + signal);
    interrupted_ = true;
    stop_.emit(boost::asio::cancellation_type::terminal);
    changed_.notify_all();
    listen();
  });
}

int MainLoop::run(Awaitable<int> body) {
  std::optional<int> code;
  boost::asio::co_spawn(context_, std::move(body), [&](std::exception_ptr error, int value) {
    if (error) std::rethrow_exception(error);
    code = value;
    signals_.cancel();
  });
  while (!code) context_.run_one();
  // What the body's last closes have posted still runs; anything that would wait is dropped with the context.
  context_.poll();
  return *code;
}

Awaitable<void> MainLoop::until_interrupted() {
  while (!interrupted_) {
    auto waited = co_await changed_.wait();
    if (!waited) co_return;
  }
}

}  // namespace nmp::async
