#pragma once

#include <algorithm>
#include <cstddef>

namespace nmp::libp2p {

/// How large a buffer to read into next: small while little comes, so that an idle connection holds little, up to
/// `most` while reads fill it.
class ReadSize {
 public:
  static constexpr std::size_t kLeast = 1024;
  /// Reads in a row that would have fitted a quarter, after which it is halved.
  static constexpr std::size_t kSmallReads = 8;

  explicit ReadSize(std::size_t most) : most_(most) {}

  [[nodiscard]] std::size_t size() const { return size_; }
  /// So many bytes came.
  void note(std::size_t bytes) {
    if (bytes >= size_) {
      size_ = std::min(size_ * 4, most_);
      small_ = 0;
    } else if (bytes > size_ / 4) {
      small_ = 0;
    } else if (++small_ == kSmallReads) {
      size_ = std::max(size_ / 2, kLeast);
      small_ = 0;
    }
  }

 private:
  std::size_t most_;
  std::size_t size_ = kLeast;
  std::size_t small_ = 0;
};

}  // namespace nmp::libp2p
