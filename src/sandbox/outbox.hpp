#pragma once

#include <deque>
#include <functional>
#include <mutex>
#include <optional>

#include "sandbox/limits.hpp"
#include "sandbox/output.hpp"

namespace nmp::sandbox {

/// What a guest has written and nobody has taken yet: a bounded queue between a worker thread and the network thread.
/// The guest's side asks before it waits: a refused put remembers that somebody wants room, and a take that makes
/// enough of it calls `on_room`.
class Outbox {
 public:
  /// `on_output` and `on_room` are called without the lock held, from the putting and the taking thread.
  Outbox(std::function<void()> on_output, std::function<void()> on_room)
      : on_output_(std::move(on_output)), on_room_(std::move(on_room)) {}

  /// Takes all of `bytes`, or nothing for want of room. Evidence and diagnostics join the piece before them.
  [[nodiscard]] bool put(OutputKind kind, ByteView bytes);
  /// Bytes that put would take now. 0 remembers that somebody wants room.
  [[nodiscard]] std::size_t room();
  /// No more comes.
  void finish();

  [[nodiscard]] std::optional<Output> take();
  /// Finished, and nothing left.
  [[nodiscard]] bool ended() const;

 private:
  [[nodiscard]] std::size_t room_locked() const;

  mutable std::mutex mutex_;
  std::deque<Output> items_;
  std::size_t bytes_ = 0;
  bool wants_room_ = false;
  bool finished_ = false;
  std::function<void()> on_output_;
  std::function<void()> on_room_;
};

}  // namespace nmp::sandbox
