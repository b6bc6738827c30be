#include "libp2p/dial/backoff.hpp"

#include <algorithm>

#include "libp2p/dial/limits.hpp"

namespace nmp::libp2p::dial {

namespace {

Duration wait_after(std::size_t tries) {
  // Beyond 18 tries the ceiling holds; the square stays far from overflow.
  const auto capped = static_cast<std::int64_t>(std::min<std::size_t>(tries, 18));
  return std::min(kBackoffBase + kBackoffStep * (capped * capped), kBackoffMax);
}

}  // namespace

bool Backoff::holds(const PeerId& peer, const Multiaddr& address, Instant now) const {
  const auto of_peer = peers_.find(peer);
  if (of_peer == peers_.end()) return false;
  const auto it = of_peer->second.find(address);
  return it != of_peer->second.end() && now < it->second.until;
}

void Backoff::failed(const PeerId& peer, const Multiaddr& address, Instant now) {
  const auto of_peer = peers_.find(peer);
  const bool known = of_peer != peers_.end() && of_peer->second.contains(address);
  if (!known && size_ >= kBackoffEntriesMax) make_room(now);
  if (!known) ++size_;
  auto& entry = peers_[peer][address];
  // Failures of long ago say little.
  if (entry.until + kBackoffMax < now) entry.tries = 0;
  ++entry.tries;
  entry.until = now + wait_after(entry.tries);
}

void Backoff::forget(const PeerId& peer) {
  const auto it = peers_.find(peer);
  if (it == peers_.end()) return;
  size_ -= it->second.size();
  peers_.erase(it);
}

void Backoff::make_room(Instant now) {
  auto first = kNever;
  for (const auto& [peer, entries] : peers_)
    for (const auto& [address, entry] : entries) first = std::min(first, entry.until);
  // All that is over, or else what ends first.
  const auto until = std::max(first, now);
  for (auto it = peers_.begin(); it != peers_.end();) {
    size_ -= std::erase_if(it->second, [&](const auto& item) { return item.second.until <= until; });
    it = it->second.empty() ? peers_.erase(it) : std::next(it);
  }
}

}  // namespace nmp::libp2p::dial
