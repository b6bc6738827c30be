#pragma once

#include <deque>

#include "base/async/byte_stream.hpp"
#include "base/async/event.hpp"

namespace nmp::sandbox {

/// Frames on their way into a stream, one writer for many senders. Boxes keep to their run's credit; senders of large
/// frames await room(); small ones (credit, cancel) are as many as what they answer. Network thread only.
class FrameWriter {
 public:
  FrameWriter(const async::Executor& executor, async::ByteStream& stream) : stream_(stream), changed_(executor) {}

  /// Until less than `bytes_max` wait in the queue, or the stream is closed. Errors: cancelled.
  async::Awaitable<Result<void>> room(std::size_t bytes_max) {
    while (!closed_ && bytes_ >= bytes_max) NMP_CO_CHECK(co_await changed_.wait());
    co_return Result<void>();
  }
  void push(Bytes frame) {
    if (closed_) return;
    bytes_ += frame.size();
    queue_.push_back(std::move(frame));
    changed_.notify_all();
  }
  /// Writes until close(), the stream's end or cancellation.
  async::Awaitable<void> run() {
    while (!closed_) {
      if (queue_.empty()) {
        auto waited = co_await changed_.wait();
        if (!waited) break;
        continue;
      }
      const Bytes frame = std::move(queue_.front());
      queue_.pop_front();
      auto written = co_await stream_.write(frame);
      bytes_ -= frame.size();
      changed_.notify_all();
      if (!written) break;
    }
    closed_ = true;
    queue_.clear();
    changed_.notify_all();
  }

 private:
  async::ByteStream& stream_;
  async::Event changed_;
  std::deque<Bytes> queue_;
  std::size_t bytes_ = 0;  // of the queue and of the frame that is being written
  bool closed_ = false;
};

}  // namespace nmp::sandbox
