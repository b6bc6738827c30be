#pragma once

#include <cstdint>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "libp2p/peer/multiaddr.hpp"

/// Where the peers of a simulated mesh sit, and how long a message takes between them.
namespace nmp::libp2p::sim {

enum class Kind : std::uint8_t {
  server,       ///< public address, serves the protocol
  client,       ///< behind a NAT and knows it: asks, and is in nobody's table
  unreachable,  ///< behind a NAT and does not know it: claims to serve, cannot be dialled
  attacker,     ///< one of many identities of one adversary; see Mesh
};

/// One peer of the mesh.
struct Seat {
  std::size_t number = 0;
  PeerInfo info;
  Kind kind = Kind::server;
  /// Whose machine it is: the first octet of its IPv4 address, 11 to 98; attackers have kAttackerOctet.
  std::size_t organisation = 0;
  /// On a square of 1 by 1; the sides meet their opposites.
  double x = 0;
  double y = 0;
};

inline constexpr std::size_t kOrganisationFirst = 11;
inline constexpr std::size_t kOrganisationsMax = 88;
inline constexpr std::size_t kAttackerOctet = 150;
/// One way between neighbours, and what a whole diagonal adds: from a city to the other side of the earth.
inline constexpr Duration kLatencyLeast = std::chrono::milliseconds(2);
inline constexpr Duration kLatencyAcross = std::chrono::milliseconds(120);
/// A lost packet is sent again after a probe timeout, RFC 9002 section 6.2.1: about a round trip and this.
inline constexpr Duration kProbeExtra = std::chrono::milliseconds(50);

/// A hashed peer ID without a key behind it: a thousand times cheaper than one with.
[[nodiscard]] PeerId random_peer(Random& random);

/// A seat with a random place, organisation, and a public address in a network of its own or, for an attacker, in one
/// of `attacker_networks` /24s.
[[nodiscard]] Seat random_seat(
    std::size_t number, Kind kind, std::size_t organisations, std::size_t attacker_networks, Random& random);

/// One way, without chance.
[[nodiscard]] Duration latency(const Seat& from, const Seat& to);

}  // namespace nmp::libp2p::sim
