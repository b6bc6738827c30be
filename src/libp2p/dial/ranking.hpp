#pragma once

#include <vector>

#include "base/time.hpp"
#include "libp2p/peer/multiaddr.hpp"

namespace nmp::libp2p::dial {

/// An address, and how long after the first one it is tried unless all before it have failed.
struct Attempt {
  Duration delay{};
  Multiaddr address;
  friend bool operator==(const Attempt&, const Attempt&) = default;
};

/// The order in which addresses without names are dialled, earliest first (libp2p.md section 17, "Dial policy"; RFC
/// 8305 section 5): those of private and of public networks beside each other, a relay's after both. In each, QUIC goes
/// before TCP, and that before anything else; of a transport one IPv6 address begins, one IPv4 address follows a step
/// later, all others another step later. Of equals the lower port goes first.
[[nodiscard]] std::vector<Attempt> rank(const std::vector<Multiaddr>& addresses);

/// At most `most` of `addresses`, which stand in order of preference: from QUIC, TCP and the rest in turn, so that many
/// of one kind do not leave out another.
[[nodiscard]] std::vector<Multiaddr> choose(const std::vector<Multiaddr>& addresses, std::size_t most);

}  // namespace nmp::libp2p::dial
