#pragma once

#include "base/async/byte_stream.hpp"
#include "libp2p/host/read_size.hpp"

namespace nmp::libp2p {

/// What was read below a session that takes only as much as it has room for. As large as what comes (ReadSize).
class ReadBuffer {
 public:
  /// Reads `most` bytes at once, at most.
  explicit ReadBuffer(std::size_t most) : size_(most) {}

  /// Begins with what was read already.
  void start_with(Bytes early) {
    bytes_ = std::move(early);
    at_ = 0;
    end_ = bytes_.size();
  }
  /// Not consumed yet. Until the next call.
  [[nodiscard]] ByteView unread() const { return ByteView(bytes_).subspan(at_, end_ - at_); }
  void consume(std::size_t count) { at_ += count; }
  /// Reads from `below`, once all is consumed. 0: it has ended. Errors: the stream's.
  async::Awaitable<Result<std::size_t>> fill(async::ByteStream& below) {
    NMP_ASSERT(at_ == end_);
    if (bytes_.size() != size_.size()) Bytes(size_.size()).swap(bytes_);
    at_ = end_ = 0;
    NMP_CO_TRY(const auto size, co_await below.read_some(bytes_));
    end_ = size;
    if (size > 0) size_.note(size);
    co_return size;
  }

 private:
  ReadSize size_;
  Bytes bytes_;  ///< a buffer, of which at_ to end_ is unread
  std::size_t at_ = 0;
  std::size_t end_ = 0;
};

}  // namespace nmp::libp2p
