#include "server/run_queue.hpp"

#include <list>

#include <gtest/gtest.h>

#include "base/async/task_group.hpp"
#include "base/async/testing.hpp"
#include "core/testing.hpp"

namespace nmp::server {
namespace {

using async::Awaitable;
using namespace std::chrono_literals;

libp2p::PeerId peer(std::uint8_t number) { return libp2p::PeerId::of(core::testing::key_of(number).public_key()); }
Instant in(Duration d) { return async::system_clock().now() + d; }

/// Takes a place, notes whose turn it was, and keeps the place in `held`.
Awaitable<void> taker(
    RunQueue& queue, std::uint8_t who, std::size_t bytes, std::vector<int>& order, std::list<RunQueue::Place>& held) {
  auto place = co_await queue.take(peer(who), bytes, in(30s));
  order.push_back(place ? who : -who);
  if (place) held.push_back(*std::move(place));
}

struct Rig {
  explicit Rig(RunQueue::Limits limits) : queue(context.get_executor(), limits), tasks(context.get_executor()) {}
  ~Rig() {
    held.clear();
    settle();
    EXPECT_EQ(queue.running(), 0U);
    EXPECT_EQ(queue.waiting(), 0U);
  }
  void ask(std::uint8_t who, std::size_t bytes = 1) {
    tasks.spawn(taker(queue, who, bytes, order, held));
    settle();
  }
  void settle() {
    context.restart();
    context.poll();
  }
  /// The oldest run that is still there ends.
  void end_one() {
    held.pop_front();
    settle();
  }
  boost::asio::io_context context{1};
  RunQueue queue;
  async::TaskGroup tasks;
  std::vector<int> order;
  std::list<RunQueue::Place> held;
};

TEST(RunQueue, CallersTakeTurnsAndKeepTheirOrder) {
  Rig rig({.places = 1, .waiting_max = 100, .bytes_max = 1000});
  for (auto who : std::initializer_list<std::uint8_t>{1, 1, 1, 1, 2, 3, 2}) rig.ask(who);
  while (!rig.held.empty()) rig.end_one();
  EXPECT_EQ(rig.order, (std::vector<int>{1, 1, 2, 3, 1, 2, 1}));
}

TEST(RunQueue, OneCallerLeavesPlacesForOthers) {
  Rig rig({.places = 8, .waiting_max = 100, .bytes_max = 1000});
  for (int i = 0; i < 20; ++i) rig.ask(1);
  EXPECT_EQ(rig.queue.running(), 6U);
  EXPECT_EQ(rig.queue.waiting(), 14U);
  rig.ask(2);
  rig.ask(3);
  EXPECT_EQ(rig.queue.running(), 8U);
  while (!rig.held.empty()) rig.end_one();
  EXPECT_EQ(rig.order.size(), 22U);
}

TEST(RunQueue, RefusesWhatIsOverItsBounds) {
  Rig rig({.places = 1, .waiting_max = 4, .bytes_max = 100});
  rig.ask(1, 40);
  rig.held.front().request_sent();
  rig.ask(1, 30);
  rig.ask(1, 30);  // over half of the bytes
  EXPECT_EQ(rig.order, (std::vector<int>{1, -1}));
  rig.ask(2, 75);  // over all of them
  rig.ask(2, 70);  // alone over half: one request may
  rig.ask(3, 1);
  EXPECT_EQ(rig.order, (std::vector<int>{1, -1, -2, -3}));
  rig.ask(1, 0);
  rig.ask(1, 0);  // over half of the places to wait
  EXPECT_EQ(rig.order.back(), -1);
  rig.ask(3, 0);
  rig.ask(4, 0);  // over all of them
  EXPECT_EQ(rig.order.back(), -4);
  while (!rig.held.empty()) rig.end_one();
}

TEST(RunQueue, WhoGivesUpLeavesNothingBehind) {
  Rig rig({.places = 1, .waiting_max = 10, .bytes_max = 100});
  rig.ask(1, 10);
  auto late = [](RunQueue& queue) -> Awaitable<std::error_code> {
    auto place = co_await queue.take(peer(2), 10, in(5ms));
    co_return place ? std::error_code() : place.error().code;
  };
  EXPECT_EQ(async::run_until_done(rig.context, late(rig.queue)), Errc::deadline_exceeded);
  rig.ask(3, 10);
  rig.tasks.cancel();
  rig.settle();
  EXPECT_EQ(rig.order, (std::vector<int>{1, -3}));
  EXPECT_EQ(rig.queue.waiting(), 0U);
}

TEST(RunQueue, PlacesOutliveTheQueue) {
  boost::asio::io_context context(1);
  std::optional<RunQueue> queue;
  queue.emplace(context.get_executor(), RunQueue::Limits{.places = 1, .waiting_max = 2, .bytes_max = 10});
  auto take = [](RunQueue& from) -> Awaitable<std::shared_ptr<RunQueue::Place>> {
    auto place = co_await from.take(peer(1), 3, in(1s));
    NMP_ASSERT(place.has_value());
    co_return std::make_shared<RunQueue::Place>(*std::move(place));
  };
  auto place = async::run_until_done(context, take(*queue));
  ASSERT_TRUE(place);
  queue.reset();
}

}  // namespace
}  // namespace nmp::server
