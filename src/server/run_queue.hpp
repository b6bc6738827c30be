#pragma once

#include <memory>

#include "base/async/awaitable.hpp"
#include "libp2p/peer/peer_id.hpp"

namespace nmp::server {

/// Who may have a run in the engine now, and whose request waits in memory for it. Callers take turns; one caller's
/// requests keep their order; no caller has so many places that others find none. Network thread only.
class RunQueue {
 public:
  struct Limits {
    std::size_t places = 1;       ///< Runs at a time.
    std::size_t waiting_max = 0;  ///< Requests that wait, in all; of one caller half of that.
    std::size_t bytes_max = 0;    ///< Of requests that wait or are on their way to the engine; of one caller half.
  };
  struct State;

  /// A run's place, from take() until it is destroyed.
  class Place {
   public:
    Place(std::shared_ptr<State> state, libp2p::PeerId caller, std::size_t bytes);
    Place(Place&& other) noexcept = default;
    Place& operator=(Place&&) = delete;
    ~Place();
    /// The request is in memory no more.
    void request_sent();

   private:
    std::shared_ptr<State> state_;  // the queue and its places
    libp2p::PeerId caller_;
    std::size_t bytes_;
  };

  RunQueue(async::Executor executor, Limits limits);
  RunQueue(const RunQueue&) = delete;
  RunQueue& operator=(const RunQueue&) = delete;

  /// Waits for a place for a request of `bytes`. Errors: exhausted (too much waits), deadline_exceeded, cancelled.
  async::Awaitable<Result<Place>> take(libp2p::PeerId caller, std::size_t bytes, Instant deadline);

  [[nodiscard]] std::size_t running() const;
  [[nodiscard]] std::size_t waiting() const;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace nmp::server
