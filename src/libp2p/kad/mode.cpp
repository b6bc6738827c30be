#include "libp2p/kad/mode.hpp"

#include <algorithm>

namespace nmp::libp2p::kad {

void ModeSwitch::on_inbound(const PeerId& peer, const Multiaddr& address, Instant now) {
  if (mode_ != Mode::automatic || address.is_circuit()) return;
  inbound_.insert_or_assign(peer, now);
  if (inbound_.size() <= kInboundEvidence) return;
  inbound_.erase(std::ranges::min_element(inbound_, {}, [](const auto& entry) { return entry.second; }));
}

bool ModeSwitch::serves(Instant now) const {
  if (mode_ != Mode::automatic) return mode_ == Mode::server;
  if (verdict_ != Reachability::unknown) return verdict_ == Reachability::reachable;
  auto fresh =
      std::ranges::count_if(inbound_, [&](const auto& entry) { return now - entry.second < kInboundEvidenceTtl; });
  return static_cast<std::size_t>(fresh) >= kInboundEvidence;
}

}  // namespace nmp::libp2p::kad
