#pragma once

#include <cstring>
#include <deque>
#include <memory>

#include "base/bytes.hpp"

namespace nmp::libp2p::quic {

/// Written bytes until they are acknowledged. They stay at their address meanwhile: ngtcp2 points at them.
class SendBuffer {
 public:
  [[nodiscard]] std::uint64_t end() const { return end_; }
  [[nodiscard]] std::uint64_t sent() const { return sent_; }
  [[nodiscard]] std::size_t held() const { return static_cast<std::size_t>(end_ - base_); }
  [[nodiscard]] std::size_t unsent() const { return static_cast<std::size_t>(end_ - sent_); }

  void append(ByteView data) {
    while (!data.empty()) {
      if (chunks_.empty() || chunks_.back().size == chunks_.back().capacity) {
        auto capacity = std::clamp<std::size_t>(data.size(), kChunkMin, kChunkMax);
        chunks_.push_back({std::make_unique_for_overwrite<std::byte[]>(capacity), 0, capacity});
      }
      auto& chunk = chunks_.back();
      auto size = std::min(data.size(), chunk.capacity - chunk.size);
      std::memcpy(chunk.span().subspan(chunk.size).data(), data.data(), size);
      chunk.size += size;
      end_ += size;
      data = data.subspan(size);
    }
  }

  /// Calls `sink(view)` for unsent pieces until it says false.
  template <class Sink>
  void unsent_pieces(Sink sink) const {
    std::uint64_t at = base_;
    for (const auto& chunk : chunks_) {
      if (at + chunk.size > sent_) {
        auto skip = sent_ > at ? static_cast<std::size_t>(sent_ - at) : 0;
        if (!sink(ByteView(chunk.bytes.get(), chunk.size).subspan(skip))) return;
      }
      at += chunk.size;
    }
  }
  void mark_sent(std::size_t size) { sent_ += size; }
  /// Everything before `offset` has arrived.
  void acknowledge(std::uint64_t offset) {
    while (!chunks_.empty() && base_ + chunks_.front().size <= offset) {
      base_ += chunks_.front().size;
      chunks_.pop_front();
    }
  }
  void clear() {
    chunks_.clear();
    base_ = sent_ = end_;
  }

 private:
  static constexpr std::size_t kChunkMin = 2048;
  static constexpr std::size_t kChunkMax = 64UZ * 1024;
  struct Chunk {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t size = 0;
    std::size_t capacity = 0;
    [[nodiscard]] std::span<std::byte> span() { return {bytes.get(), capacity}; }
  };
  std::deque<Chunk> chunks_;
  std::uint64_t base_ = 0;  ///< offset of the first byte held
  std::uint64_t sent_ = 0;
  std::uint64_t end_ = 0;
};

/// Received bytes in order until they are read.
class ReceiveBuffer {
 public:
  [[nodiscard]] std::size_t size() const { return size_; }

  void append(ByteView data) {
    if (data.empty()) return;  // a FIN alone
    size_ += data.size();
    if (!chunks_.empty() && chunks_.back().size() + data.size() <= chunks_.back().capacity()) {
      nmp::append(chunks_.back(), data);
      return;
    }
    // A first small message gets what it needs; a flow of them shares larger chunks.
    Bytes chunk;
    chunk.reserve(chunks_.empty() ? data.size() : std::max(data.size(), kChunkSize));
    nmp::append(chunk, data);
    chunks_.push_back(std::move(chunk));
  }
  std::size_t take(std::span<std::byte> out) {
    std::size_t taken = 0;
    while (taken < out.size() && !chunks_.empty()) {
      auto& front = chunks_.front();
      auto size = std::min(out.size() - taken, front.size() - front_read_);
      std::memcpy(out.subspan(taken).data(), ByteView(front).subspan(front_read_).data(), size);
      taken += size;
      front_read_ += size;
      if (front_read_ == front.size()) {
        chunks_.pop_front();
        front_read_ = 0;
      }
    }
    size_ -= taken;
    return taken;
  }
  void clear() {
    chunks_.clear();
    front_read_ = size_ = 0;
  }

 private:
  static constexpr std::size_t kChunkSize = 32UZ * 1024;
  std::deque<Bytes> chunks_;
  std::size_t front_read_ = 0;
  std::size_t size_ = 0;
};

}  // namespace nmp::libp2p::quic
