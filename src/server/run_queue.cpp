#include "server/run_queue.hpp"

#include <algorithm>
#include <deque>
#include <map>

#include "base/async/event.hpp"

namespace nmp::server {

namespace {
struct Waiter {
  explicit Waiter(const async::Executor& executor) : changed(executor) {}
  async::Event changed;
  bool granted = false;
};
using WaiterPtr = std::shared_ptr<Waiter>;  // the queue and the coroutine that waits

struct Account {
  std::deque<WaiterPtr> waiting;
  std::size_t running = 0;
  std::size_t bytes = 0;
};
}  // namespace

struct RunQueue::State {
  State(async::Executor e, Limits l) : executor(std::move(e)), limits(l) {}

  async::Executor executor;
  Limits limits;
  std::map<libp2p::PeerId, Account> accounts;  // of whom anything runs or waits
  std::deque<libp2p::PeerId> turns;            // who has waiters, the next to be served first
  std::size_t running = 0;
  std::size_t waiting = 0;
  std::size_t bytes = 0;

  /// A quarter is kept from each caller, for the others.
  [[nodiscard]] std::size_t places_per_caller() const { return limits.places - limits.places / 4; }

  [[nodiscard]] bool full(const Account& account, std::size_t more_bytes) const {
    return waiting >= limits.waiting_max || account.waiting.size() >= (limits.waiting_max + 1) / 2 ||
           more_bytes > limits.bytes_max - std::min(bytes, limits.bytes_max) ||
           (account.bytes > 0 && account.bytes + more_bytes > limits.bytes_max / 2);
  }

  void grant() {
    for (std::size_t passed_over = 0; running < limits.places && passed_over < turns.size();) {
      auto caller = turns.front();
      turns.pop_front();
      auto& account = accounts.at(caller);
      if (account.running >= places_per_caller()) {
        turns.push_back(caller);
        ++passed_over;
        continue;
      }
      auto waiter = std::move(account.waiting.front());
      account.waiting.pop_front();
      --waiting;
      ++running;
      ++account.running;
      waiter->granted = true;
      waiter->changed.notify_all();
      if (!account.waiting.empty()) turns.push_back(caller);
      passed_over = 0;
    }
  }

  void take_back(const libp2p::PeerId& caller, const WaiterPtr& waiter, std::size_t request_bytes) {
    auto& account = accounts.at(caller);
    std::erase(account.waiting, waiter);
    --waiting;
    if (account.waiting.empty()) std::erase(turns, caller);
    forget(caller, request_bytes);
  }
  void release(const libp2p::PeerId& caller) {
    --accounts.at(caller).running;
    --running;
    forget(caller, 0);
    grant();
  }
  void forget(const libp2p::PeerId& caller, std::size_t request_bytes) {
    auto& account = accounts.at(caller);
    account.bytes -= request_bytes;
    bytes -= request_bytes;
    if (account.waiting.empty() && account.running == 0 && account.bytes == 0) accounts.erase(caller);
  }
};

RunQueue::Place::Place(std::shared_ptr<State> state, libp2p::PeerId caller, std::size_t bytes)
    : state_(std::move(state)), caller_(std::move(caller)), bytes_(bytes) {}

RunQueue::Place::~Place() {
  if (!state_) return;
  request_sent();
  state_->release(caller_);
}

void RunQueue::Place::request_sent() {
  if (bytes_ > 0) state_->forget(caller_, std::exchange(bytes_, 0));
}

RunQueue::RunQueue(async::Executor executor, Limits limits)
    : state_(std::make_shared<State>(std::move(executor), limits)) {}

async::Awaitable<Result<RunQueue::Place>> RunQueue::take(libp2p::PeerId caller, std::size_t bytes, Instant deadline) {
  auto state = state_;
  {
    auto& account = state->accounts[caller];
    if (state->full(account, bytes)) {
      state->forget(caller, 0);
      co_return fail(Errc::exhausted, "runs that wait");
    }
    account.bytes += bytes;
    state->bytes += bytes;
  }
  auto waiter = std::make_shared<Waiter>(state->executor);
  auto& account = state->accounts.at(caller);
  account.waiting.push_back(waiter);
  ++state->waiting;
  if (account.waiting.size() == 1) state->turns.push_back(caller);
  state->grant();
  Result<void> waited;
  while (!waiter->granted && waited) waited = co_await waiter->changed.wait(deadline);
  if (waiter->granted) co_return Place(state, caller, bytes);
  state->take_back(caller, waiter, bytes);
  co_return fail(std::move(waited).error());
}

std::size_t RunQueue::running() const { return state_->running; }
std::size_t RunQueue::waiting() const { return state_->waiting; }

}  // namespace nmp::server
