#include "libp2p/dial/ranking.hpp"

#include <algorithm>
#include <array>
#include <ranges>
#include <tuple>

#include "libp2p/dial/limits.hpp"

namespace nmp::libp2p::dial {
namespace {

enum class Kind : std::uint8_t { quic, tcp, other };
enum class Reach : std::uint8_t { in_private, in_public, relayed };

struct Candidate {
  Kind kind;
  bool v4;
  std::uint16_t port;
  const Multiaddr* address;
};

Kind kind_of(const Multiaddr& address) {
  if (address.is_quic_v1()) return Kind::quic;
  return address.is_tcp() ? Kind::tcp : Kind::other;
}

Reach reach_of(const Multiaddr& address) {
  if (address.is_circuit()) return Reach::relayed;
  const auto ip = address.ip();
  return ip && ip->is_private() ? Reach::in_private : Reach::in_public;
}

Candidate candidate_of(const Multiaddr& address) {
  const auto ip = address.ip();
  const auto tcp = address.tcp_endpoint();
  const auto endpoint = tcp ? tcp : address.udp_endpoint();
  return {.kind = kind_of(address),
          .v4 = ip && !ip->v6,
          .port = endpoint ? endpoint->port : std::uint16_t{0},
          .address = &address};
}

struct Pace {
  Duration begin, step, others_later;
};

/// Of one reach.
void schedule(std::vector<Candidate> candidates, const Pace& pace, std::vector<Attempt>& out) {
  std::ranges::stable_sort(candidates, {}, [](const Candidate& c) { return std::tuple(c.kind, c.v4, c.port); });
  auto at = pace.begin;
  bool first = true;
  for (const auto kind : {Kind::quic, Kind::tcp, Kind::other}) {
    const auto of_kind = std::ranges::equal_range(candidates, kind, {}, &Candidate::kind);
    if (of_kind.empty()) continue;
    if (!first) at += pace.step;
    if (kind == Kind::other && !first) at += pace.others_later;
    first = false;
    const auto* leader = of_kind.front().address;
    const auto v4 = std::ranges::find(of_kind, true, &Candidate::v4);
    const auto* second = v4 == of_kind.end() || v4->address == leader ? nullptr : v4->address;
    out.push_back({at, *leader});
    if (second != nullptr) out.push_back({at += pace.step, *second});
    bool rest = false;
    for (const auto& candidate : of_kind) {
      if (candidate.address == leader || candidate.address == second) continue;
      if (!rest) at += pace.step;
      rest = true;
      out.push_back({at, *candidate.address});
    }
  }
}

}  // namespace

std::vector<Attempt> rank(const std::vector<Multiaddr>& addresses) {
  std::array<std::vector<Candidate>, 3> by_reach;
  for (const auto& address : addresses)
    by_reach[std::to_underlying(reach_of(address))].push_back(candidate_of(address));
  auto& [in_private, in_public, relayed] = by_reach;
  const bool direct = !in_private.empty() || !in_public.empty();
  std::vector<Attempt> attempts;
  schedule(std::move(in_private), {{}, kStepPrivate, kOthersLaterPrivate}, attempts);
  schedule(std::move(in_public), {{}, kStep, kOthersLater}, attempts);
  schedule(std::move(relayed), {direct ? kRelayedLater : Duration(), kStep, kOthersLater}, attempts);
  std::ranges::stable_sort(attempts, {}, &Attempt::delay);
  return attempts;
}

std::vector<Multiaddr> choose(const std::vector<Multiaddr>& addresses, std::size_t most) {
  if (addresses.size() <= most) return addresses;
  std::array<std::vector<const Multiaddr*>, 3> by_kind;
  for (const auto& address : addresses) by_kind[std::to_underlying(kind_of(address))].push_back(&address);
  std::vector<Multiaddr> chosen;
  for (std::size_t round = 0; chosen.size() < most; ++round)
    for (const auto& of_kind : by_kind)
      if (round < of_kind.size() && chosen.size() < most) chosen.push_back(*of_kind[round]);
  return chosen;
}

}  // namespace nmp::libp2p::dial
