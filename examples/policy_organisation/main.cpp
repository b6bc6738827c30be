// Prefers peers of one organisation, and shows in a simulated mesh what that changes.
//
// An organisation that runs many nodes of a mesh may want its lookups to stay inside as long as that costs nothing: its
// own machines are near, and it trusts them more. So the policy fills up to half of each bucket with them, and asks
// them before others that are about as close to the key. The other half, the order beyond the first few candidates and
// the end of a lookup are standard Kademlia's: no key is out of reach, and whoever takes over the organisation has half
// of a table.
#include <algorithm>
#include <cstdio>

#include "libp2p/sim/mesh.hpp"

using namespace nmp;
using namespace nmp::libp2p;

namespace {

class PreferOrganisation final : public kad::RoutingPolicy {
 public:
  // Here an organisation is an IPv4 /8. A real one would ask a list of peer IDs, or prefixes from its own inventory.
  explicit PreferOrganisation(std::size_t first_octet) : first_octet_(first_octet) {}

  std::optional<std::size_t> evict(std::span<const kad::Contact> bucket,
                                   const kad::Contact& newcomer,
                                   std::size_t prefix) override {
    auto standard = kad::RoutingPolicy::evict(bucket, newcomer, prefix);
    if (standard || !is_ours(newcomer.info)) return standard;
    auto ours = std::ranges::count_if(bucket, [&](const kad::Contact& member) { return is_ours(member.info); });
    if (2 * static_cast<std::size_t>(ours) >= bucket.size()) return std::nullopt;
    auto other = std::ranges::find_if(bucket, [&](const kad::Contact& member) { return !is_ours(member.info); });
    return static_cast<std::size_t>(other - bucket.begin());
  }

  std::size_t next_hop(std::span<const kad::Hop> candidates) override {
    auto near = candidates.first(std::min(candidates.size(), kNear));
    auto found = std::ranges::find_if(near, [&](const kad::Hop& hop) { return is_ours(hop.info); });
    return found == near.end() ? 0 : static_cast<std::size_t>(found - near.begin());
  }

 private:
  // Among how many of the closest candidates one of ours is preferred: a few, so that a lookup goes on getting closer.
  static constexpr std::size_t kNear = 8;

  [[nodiscard]] bool is_ours(const PeerInfo& peer) const {
    return std::ranges::any_of(peer.addresses, [&](const Multiaddr& address) {
      auto ip = address.ip();
      return ip && !ip->v6 && std::to_integer<std::size_t>(ip->view()[0]) == first_octet_;
    });
  }
  std::size_t first_octet_;
};

struct Measured {
  double ours = 0;  // share of the peers asked that are of the asker's organisation
  double found = 0;
  double hops = 0;
};

Measured measure(bool prefer) {
  sim::MeshOptions options;
  options.nodes = 200;
  options.node.lookup.k = options.node.table.k = 8;  // a small mesh, but nobody knows all of it
  options.organisations = 8;
  if (prefer)
    options.policy = [](const sim::Seat& seat) { return std::make_unique<PreferOrganisation>(seat.organisation); };
  sim::Mesh mesh(options);
  Measured measured;
  constexpr int kLookups = 60;
  double asked = 0;
  double ours = 0;
  for (int i = 0; i < kLookups; ++i) {
    auto key = to_bytes("capability " + std::to_string(i));
    mesh.provide(mesh.any_server(), key);
    auto seeker = mesh.any_server();
    auto report = mesh.find_providers(seeker, key, 1);
    measured.found += report.ok ? 1.0 / kLookups : 0;
    measured.hops += static_cast<double>(report.stats.hops) / kLookups;
    for (auto number : report.asked) {
      asked += 1;
      ours += mesh.seat(number).organisation == mesh.seat(seeker).organisation ? 1 : 0;
    }
  }
  measured.ours = ours / asked;
  return measured;
}

}  // namespace

int main() {
  auto standard = measure(false);
  auto preferring = measure(true);
  std::printf("policy        own organisation  found  hops\n");
  for (auto [name, row] : {std::pair("standard", standard), std::pair("organisation", preferring)})
    std::printf("%-12s  %15.1f %%  %3.0f %%  %.2f\n", name, 100 * row.ours, 100 * row.found, row.hops);
  // Half as many again of the hops stay inside, and nothing is lost.
  return preferring.ours > 1.5 * standard.ours && preferring.found >= standard.found - 0.02 ? 0 : 1;
}
