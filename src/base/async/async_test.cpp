#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

#include "base/async/byte_stream.hpp"
#include "base/async/event.hpp"
#include "base/async/pool.hpp"
#include "base/async/task_group.hpp"
#include "base/async/testing.hpp"
#include "base/async/with_deadline.hpp"

namespace nmp::async {
namespace {

using namespace std::chrono_literals;

Instant in(Duration d) { return system_clock().now() + d; }

Awaitable<Result<int>> never(Event& event) {
  NMP_CO_CHECK(co_await event.wait());
  co_return 7;
}

Awaitable<void> record_end(Event& event, std::vector<std::error_code>& ends) {
  auto waited = co_await event.wait();
  ends.push_back(waited ? std::error_code() : waited.error().code);
  // A cancelled task stays cancelled: the next wait does not hang.
  auto again = co_await event.wait();
  ends.push_back(again ? std::error_code() : again.error().code);
}

Awaitable<bool> close_group(std::vector<std::error_code>& ends) {
  auto executor = co_await boost::asio::this_coro::executor;
  Event event(executor);
  TaskGroup group(executor);
  for (int i = 0; i < 3; ++i) group.spawn(record_end(event, ends));
  (void)co_await sleep_until(in(1ms));
  co_await group.close();
  co_return group.size() == 0;
}

TEST(TaskGroup, CloseCancelsEveryTaskAndWaits) {
  boost::asio::io_context context(1);
  std::vector<std::error_code> ends;
  EXPECT_TRUE(run_until_done(context, close_group(ends)));
  EXPECT_EQ(ends, std::vector<std::error_code>(6, Errc::cancelled));
}

Awaitable<Result<int>> time_out() {
  auto executor = co_await boost::asio::this_coro::executor;
  Event event(executor);
  co_return co_await with_deadline(in(5ms), never(event));
}

TEST(WithDeadline, EndsTheOperationAtTheDeadline) {
  boost::asio::io_context context(1);
  auto result = run_until_done(context, time_out());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::deadline_exceeded);
}

Awaitable<void> run_nested(Event& event, std::vector<std::error_code>& ends) {
  auto result = co_await with_deadline(in(1h), with_deadline(in(2h), never(event)));
  ends.push_back(result ? std::error_code() : result.error().code);
}

Awaitable<bool> cancel_nested(std::vector<std::error_code>& ends) {
  auto executor = co_await boost::asio::this_coro::executor;
  Event event(executor);
  TaskGroup group(executor);
  group.spawn(run_nested(event, ends));
  (void)co_await sleep_until(in(1ms));
  co_await group.close();
  co_return true;
}

TEST(WithDeadline, PassesCancellationOnThroughLevels) {
  boost::asio::io_context context(1);
  std::vector<std::error_code> ends;
  run_until_done(context, cancel_nested(ends));
  EXPECT_EQ(ends, std::vector<std::error_code>{Errc::cancelled});
}

Awaitable<Result<Bytes>> drain(ByteStream& stream) {
  Bytes all;
  std::array<std::byte, 7> buffer{};
  for (;;) {
    NMP_CO_TRY(auto size, co_await stream.read_some(buffer));
    if (size == 0) co_return all;
    append(all, ByteView(buffer).first(size));
  }
}

Awaitable<void> send_all(ByteStream& stream, Bytes data) {
  EXPECT_TRUE(co_await stream.write(data));
  EXPECT_TRUE(co_await stream.close_write());
}

Awaitable<bool> pipe_bytes() {
  auto executor = co_await boost::asio::this_coro::executor;
  auto [a, b] = memory_pipe(executor, 10);
  TaskGroup group(executor);
  Bytes data(1000, std::byte{5});
  group.spawn(send_all(*a, data));
  auto got = co_await drain(*b);
  co_await group.close();
  EXPECT_TRUE(got);
  co_return got && *got == data;
}

TEST(MemoryPipe, CarriesMoreThanItHolds) {
  boost::asio::io_context context(1);
  EXPECT_TRUE(run_until_done(context, pipe_bytes()));
}

Awaitable<bool> use_pool(Pool& pool) {
  auto here = std::this_thread::get_id();
  auto there = co_await pool.run([] { return std::this_thread::get_id(); });
  co_return here != there&& here == std::this_thread::get_id();
}

Awaitable<Result<int>> slow_answer(Pool& pool) {
  auto work = [] {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return 7;
  };
  co_return co_await pool.run(std::move(work));
}

/// Cancellation must not reach into what another thread is running.
TEST(Pool, CancellingTheCallerLeavesTheWorkAlone) {
  boost::asio::io_context context(1);
  Pool pool(2);
  auto run = [](Pool& threads) -> Awaitable<bool> {
    int answered = 0;
    for (int i = 0; i < 200; ++i) {
      auto now = system_clock().now();
      auto result = co_await with_deadline(now + std::chrono::microseconds(20 * i), slow_answer(threads));
      answered += result && *result == 7 ? 1 : 0;
    }
    co_return answered == 200;
  };
  EXPECT_TRUE(run_until_done(context, run(pool)));
  pool.stop();
}

TEST(Pool, RunsElsewhereAndResumesHere) {
  boost::asio::io_context context(1);
  Pool pool(2);
  EXPECT_TRUE(run_until_done(context, use_pool(pool)));
  pool.stop();
}

}  // namespace
}  // namespace nmp::async
