#pragma once

#include <deque>

#include "base/async/byte_stream.hpp"
#include "base/async/event.hpp"

namespace nmp::sandbox {

/// Frames on their way into a stream, one writer for many senders. Those who queue boxes keep to their run's credit, so
/// the queue has no ceiling of its own. Network thread only.
class FrameWriter {
 public:
  FrameWriter(const async::Executor& executor, async::ByteStream& stream) : stream_(stream), changed_(executor) {}

  void push(Bytes frame) {
    if (closed_) return;
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
      if (!written) break;
    }
    closed_ = true;
    queue_.clear();
  }

 private:
  async::ByteStream& stream_;
  async::Event changed_;
  std::deque<Bytes> queue_;
  bool closed_ = false;
};

}  // namespace nmp::sandbox
