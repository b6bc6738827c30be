#include "libp2p/dial/black_holes.hpp"

#include <algorithm>

#include "libp2p/dial/limits.hpp"

namespace nmp::libp2p::dial {

namespace {

struct Means {
  bool udp, ip6;
};
/// Neither, if the address is not public.
Means means_of(const Multiaddr& address) {
  const auto ip = address.ip();
  if (!ip || ip->is_private() || address.is_circuit()) return {};
  return {.udp = address.has(Protocol::udp), .ip6 = ip->v6};
}

}  // namespace

bool BlackHole::blocked() const { return window_.size() == kHoleWindow && successes_ < kHoleSuccessesMin; }

bool BlackHole::allows() {
  if (!blocked()) return true;
  return ++asked_ % kHoleProbeEvery == 0;
}

void BlackHole::record(bool success) {
  if (success && blocked()) {
    // The network has changed: what was before says nothing.
    window_.clear();
    successes_ = asked_ = 0;
  }
  if (window_.size() == kHoleWindow) {
    successes_ -= window_.front() ? 1 : 0;
    window_.pop_front();
  }
  window_.push_back(success);
  successes_ += success ? 1 : 0;
}

std::vector<Multiaddr> BlackHoles::keep(const std::vector<Multiaddr>& addresses) {
  const bool any_udp = std::ranges::any_of(addresses, [](const auto& address) { return means_of(address).udp; });
  const bool any_ip6 = std::ranges::any_of(addresses, [](const auto& address) { return means_of(address).ip6; });
  const bool no_udp = any_udp && !udp_.allows();
  const bool no_ip6 = any_ip6 && !ip6_.allows();
  auto kept = addresses;
  std::erase_if(kept, [&](const auto& address) {
    const auto means = means_of(address);
    return (no_udp && means.udp) || (no_ip6 && means.ip6);
  });
  return kept.empty() ? addresses : kept;
}

void BlackHoles::record(const Multiaddr& address, bool success) {
  const auto means = means_of(address);
  if (means.udp) udp_.record(success);
  if (means.ip6) ip6_.record(success);
}

}  // namespace nmp::libp2p::dial
