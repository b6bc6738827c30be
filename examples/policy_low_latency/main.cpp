// Prefers peers that answer quickly, and shows in a simulated mesh what that changes.
//
// In a bucket far from ourselves any member is as good as another: it only has to lead closer. So there the policy lets
// a quick newcomer have the place of a much slower member (proximity neighbour selection), and asks the quickest of the
// closest candidates first. Near ourselves, where the right peers are few, and for the end of a lookup, it is standard
// Kademlia. An attacker can be quick, but in far buckets only, and only in half of each.
#include <algorithm>
#include <cstdio>
#include <unordered_map>

#include "libp2p/sim/mesh.hpp"

using namespace nmp;
using namespace nmp::libp2p;

namespace {

class PreferQuick final : public kad::RoutingPolicy {
 public:
  std::optional<std::size_t> evict(std::span<const kad::Contact> bucket,
                                   const kad::Contact& newcomer,
                                   std::size_t prefix) override {
    auto standard = kad::RoutingPolicy::evict(bucket, newcomer, prefix);
    if (standard || prefix >= kFarBuckets) return standard;
    // The older half of the bucket stays, however slow it is: it was there before an attacker came.
    auto younger = bucket.subspan(bucket.size() / 2);
    auto slowest =
        std::ranges::max_element(younger, {}, [&](const kad::Contact& member) { return round_trip(member.info.id); });
    if (2 * round_trip(newcomer.info.id) > round_trip(slowest->info.id)) return std::nullopt;
    return static_cast<std::size_t>(slowest - younger.begin()) + bucket.size() / 2;
  }

  std::size_t next_hop(std::span<const kad::Hop> candidates) override {
    auto near = candidates.first(std::min(candidates.size(), kNear));
    auto quickest = std::ranges::min_element(near, {}, [&](const kad::Hop& hop) { return round_trip(hop.info.id); });
    return static_cast<std::size_t>(quickest - near.begin());
  }

  void on_answer(const PeerInfo& peer, Duration time) override {
    // Identities are free for an attacker: what is remembered of them is bounded.
    if (times_.size() >= kPeersMax && !times_.contains(peer.id)) times_.erase(times_.begin());
    times_.insert_or_assign(peer.id, time);
  }
  void on_failure(const PeerId& peer) override { times_.erase(peer); }

 private:
  static constexpr std::size_t kFarBuckets = 6;  // of 63 peers in 64
  static constexpr std::size_t kNear = 5;
  static constexpr std::size_t kPeersMax = 1024;

  // Who is unknown counts as one of middling speed.
  [[nodiscard]] Duration round_trip(const PeerId& peer) const {
    auto known = times_.find(peer);
    return known == times_.end() ? std::chrono::milliseconds(120) : known->second;
  }
  std::unordered_map<PeerId, Duration> times_;
};

struct Measured {
  double way_ms = 0;     // from the asker to those it asks, one way
  double lookup_ms = 0;  // until the provider is found
  double found = 0;
};

Measured measure(bool prefer) {
  sim::MeshOptions options;
  options.nodes = 200;
  options.node.lookup.k = options.node.table.k = 8;  // a small mesh, but nobody knows all of it
  if (prefer) options.policy = [](const sim::Seat&) { return std::make_unique<PreferQuick>(); };
  sim::Mesh mesh(options);
  Measured measured;
  constexpr int kLookups = 60;
  double asked = 0;
  double way = 0;
  for (int i = 0; i < kLookups; ++i) {
    auto key = to_bytes("capability " + std::to_string(i));
    mesh.provide(mesh.any_server(), key);
    auto seeker = mesh.any_server();
    auto report = mesh.find_providers(seeker, key, 1);
    measured.found += report.ok ? 1.0 / kLookups : 0;
    measured.lookup_ms += std::chrono::duration<double, std::milli>(report.stats.duration).count() / kLookups;
    for (auto number : report.asked) {
      asked += 1;
      way += std::chrono::duration<double, std::milli>(sim::latency(mesh.seat(seeker), mesh.seat(number))).count();
    }
  }
  measured.way_ms = way / asked;
  return measured;
}

}  // namespace

int main() {
  auto standard = measure(false);
  auto preferring = measure(true);
  std::printf("policy       one way to a hop  lookup  found\n");
  for (auto [name, row] : {std::pair("standard", standard), std::pair("low latency", preferring)})
    std::printf("%-11s  %13.1f ms  %3.0f ms  %3.0f %%\n", name, row.way_ms, row.lookup_ms, 100 * row.found);
  // The peers asked are a tenth nearer at least, and nothing is lost.
  return preferring.way_ms < 0.9 * standard.way_ms && preferring.found >= standard.found - 0.02 ? 0 : 1;
}
