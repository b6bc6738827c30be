#include "libp2p/sim/world.hpp"

#include <algorithm>
#include <cmath>

#include "base/result.hpp"

namespace nmp::libp2p::sim {
namespace {

double unit(Random& random) { return static_cast<double>(random.u64() >> 11) * 0x1p-53; }

Multiaddr at(std::size_t first, std::size_t second, std::size_t third, std::size_t fourth) {
  IpEndpoint endpoint;
  std::size_t i = 0;
  for (auto octet : {first, second, third, fourth}) endpoint.ip.bytes[i++] = static_cast<std::byte>(octet);
  endpoint.port = 4001;
  return Multiaddr::quic_v1(endpoint);
}

}  // namespace

PeerId random_peer(Random& random) {
  Bytes raw{std::byte{0x12}, std::byte{0x20}};
  append(raw, random.bytes<32>());
  auto id = PeerId::from_bytes(raw);
  NMP_ASSERT(id.has_value());
  return *id;
}

Seat random_seat(
    std::size_t number, Kind kind, std::size_t organisations, std::size_t attacker_networks, Random& random) {
  NMP_ASSERT(organisations >= 1 && organisations <= kOrganisationsMax && attacker_networks >= 1);
  Seat seat{.number = number, .info = PeerInfo{random_peer(random), {}}, .kind = kind};
  seat.x = unit(random);
  seat.y = unit(random);
  if (kind == Kind::attacker) {
    auto network = random.below(attacker_networks);
    seat.organisation = kAttackerOctet;
    seat.info.addresses = {at(kAttackerOctet, network / 256 % 256, network % 256, 1 + random.below(254))};
  } else {
    seat.organisation = kOrganisationFirst + random.below(organisations);
    seat.info.addresses = {at(seat.organisation, random.below(256), random.below(256), 1 + random.below(254))};
  }
  return seat;
}

Duration latency(const Seat& from, const Seat& to) {
  auto apart = [](double a, double b) { return std::min(std::abs(a - b), 1 - std::abs(a - b)); };
  auto distance = std::hypot(apart(from.x, to.x), apart(from.y, to.y)) / std::hypot(0.5, 0.5);
  return kLatencyLeast + std::chrono::duration_cast<Duration>(kLatencyAcross * distance);
}

}  // namespace nmp::libp2p::sim
