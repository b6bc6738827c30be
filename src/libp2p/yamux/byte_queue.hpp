#pragma once

#include <cstring>
#include <deque>
#include <memory>

#include "base/bytes.hpp"

namespace nmp::libp2p::yamux {

/// Bytes in order. Chunks grow with what is held, so that many tiny appends cost at most twice their size.
class ByteQueue {
 public:
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

  void append(ByteView data) {
    while (!data.empty()) {
      if (chunks_.empty() || chunks_.back().end == chunks_.back().capacity) {
        const auto capacity = std::clamp(std::max(data.size(), size_), kChunkMin, kChunkMax);
        chunks_.push_back({std::make_unique_for_overwrite<std::byte[]>(capacity), 0, capacity});
      }
      auto& chunk = chunks_.back();
      const auto taken = std::min(data.size(), chunk.capacity - chunk.end);
      std::memcpy(chunk.all().subspan(chunk.end).data(), data.data(), taken);
      chunk.end += taken;
      size_ += taken;
      data = data.subspan(taken);
    }
  }
  /// Moves from the front into `out`: all that is there, or as much as fits.
  std::size_t take(std::span<std::byte> out) {
    std::size_t taken = 0;
    while (taken < out.size() && size_ > 0) {
      auto& front = chunks_.front();
      const auto piece = std::min(out.size() - taken, front.end - begin_);
      std::memcpy(out.subspan(taken).data(), front.all().subspan(begin_).data(), piece);
      taken += piece;
      begin_ += piece;
      size_ -= piece;
      if (begin_ < front.end) continue;
      chunks_.pop_front();
      begin_ = 0;
    }
    return taken;
  }
  void clear() {
    chunks_.clear();
    begin_ = size_ = 0;
  }

 private:
  static constexpr std::size_t kChunkMin = 64;
  static constexpr std::size_t kChunkMax = 64UZ * 1024;
  struct Chunk {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t end = 0;  ///< of what is written
    std::size_t capacity = 0;
    [[nodiscard]] std::span<std::byte> all() { return {bytes.get(), capacity}; }
  };
  std::deque<Chunk> chunks_;  ///< none is empty
  std::size_t begin_ = 0;     ///< of what is unread in the first
  std::size_t size_ = 0;
};

}  // namespace nmp::libp2p::yamux
