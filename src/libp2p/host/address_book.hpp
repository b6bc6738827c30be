#pragma once

#include <map>
#include <vector>

#include "base/time.hpp"
#include "libp2p/host/limits.hpp"
#include "libp2p/peer/multiaddr.hpp"
#include "libp2p/peer/peer_id.hpp"

namespace nmp::libp2p {

/// Where peers may be found, each address for a while. Bounded per peer and in all.
class AddressBook {
 public:
  /// Keeps the later of both ends for a known address. A full list forgets what expires first.
  void add(const PeerId& peer, const std::vector<Multiaddr>& addresses, Instant now, Duration ttl);
  [[nodiscard]] std::vector<Multiaddr> find(const PeerId& peer, Instant now) const;
  [[nodiscard]] std::size_t size() const { return peers_.size(); }

 private:
  struct Entry {
    Multiaddr address;
    Instant until;
  };
  void make_room(Instant now);
  std::map<PeerId, std::vector<Entry>> peers_;
};

}  // namespace nmp::libp2p
