#pragma once

#include <algorithm>
#include <optional>

#include "libp2p/yamux/limits.hpp"

namespace nmp::libp2p::yamux {

/// How much a peer may send on a stream, and when it gets more.
class ReceiveWindow {
 public:
  explicit ReceiveWindow(Instant now) : since_(now) {}

  /// What the peer may still send.
  [[nodiscard]] std::uint32_t credit() const { return credit_; }
  /// By how much it is larger than at its start.
  [[nodiscard]] std::size_t growth() const { return size_ - kStreamWindowInitial; }
  /// `bytes` have come; no more than credit().
  void consume(std::size_t bytes) { credit_ -= static_cast<std::uint32_t>(bytes); }
  /// Half of the window has been read: small updates cost more than they move.
  [[nodiscard]] bool due(std::size_t unread) const { return read(unread) >= size_ / 2; }

  /// The credit to send, if due() and `rtt` is the round-trip time. A window of which half was read within two of them
  /// since the last time is what holds the sender up (libp2p.md section 8, rust): it doubles, within `growth_left`.
  [[nodiscard]] std::uint32_t grant(std::size_t unread,
                                    Instant now,
                                    std::optional<Duration> rtt,
                                    std::size_t growth_left) {
    if (rtt && now - since_ < 2 * *rtt) {
      const auto wanted = std::min(size_, kStreamWindowMax - size_);
      size_ += static_cast<std::uint32_t>(std::min<std::size_t>(wanted, growth_left));
    }
    since_ = now;
    const auto delta = read(unread);
    credit_ += delta;
    return delta;
  }

 private:
  [[nodiscard]] std::uint32_t read(std::size_t unread) const {
    return size_ - credit_ - static_cast<std::uint32_t>(unread);
  }
  std::uint32_t size_ = kStreamWindowInitial;  ///< credit and unread bytes, once all that was read is returned
  std::uint32_t credit_ = kStreamWindowInitial;
  Instant since_;
};

}  // namespace nmp::libp2p::yamux
