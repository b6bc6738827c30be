#pragma once

#include <map>

#include "base/time.hpp"
#include "libp2p/peer/multiaddr.hpp"
#include "libp2p/peer/peer_id.hpp"

namespace nmp::libp2p::dial {

/// Which addresses of which peers failed a moment ago and are let alone for a while, longer with every failure
/// (libp2p.md section 17, "backoff"). Holds kBackoffEntriesMax; a full one forgets what ends first.
class Backoff {
 public:
  [[nodiscard]] bool holds(const PeerId& peer, const Multiaddr& address, Instant now) const;
  void failed(const PeerId& peer, const Multiaddr& address, Instant now);
  /// The peer is there: it was reached, or came by itself.
  void forget(const PeerId& peer);
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Entry {
    std::size_t tries = 0;
    Instant until;
  };
  void make_room(Instant now);
  std::map<PeerId, std::map<Multiaddr, Entry>> peers_;
  std::size_t size_ = 0;
};

}  // namespace nmp::libp2p::dial
