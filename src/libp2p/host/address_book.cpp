#include "libp2p/host/address_book.hpp"

#include <algorithm>

namespace nmp::libp2p {

void AddressBook::make_room(Instant now) {
  for (auto it = peers_.begin(); it != peers_.end();) {
    std::erase_if(it->second, [&](const Entry& entry) { return entry.until <= now; });
    it = it->second.empty() ? peers_.erase(it) : std::next(it);
  }
  if (peers_.size() < kAddressBookPeersMax) return;
  auto last_end = [](const auto& item) { return std::ranges::max_element(item.second, {}, &Entry::until)->until; };
  auto first = peers_.begin();
  for (auto it = peers_.begin(); it != peers_.end(); ++it) {
    if (last_end(*it) < last_end(*first)) first = it;
  }
  peers_.erase(first);
}

void AddressBook::add(const PeerId& peer, const std::vector<Multiaddr>& addresses, Instant now, Duration ttl) {
  if (addresses.empty() || ttl <= Duration::zero()) return;
  if (!peers_.contains(peer) && peers_.size() >= kAddressBookPeersMax) make_room(now);
  auto until = ttl > kNever - now ? kNever : now + ttl;
  auto& list = peers_[peer];
  for (const auto& given : addresses) {
    auto address = given.without_peer();
    if (!address || !(address->is_transport() || address->is_dnsaddr())) continue;
    auto known = std::ranges::find(list, *address, &Entry::address);
    if (known != list.end()) {
      known->until = std::max(known->until, until);
      continue;
    }
    if (list.size() >= kAddressesPerPeerMax) list.erase(std::ranges::min_element(list, {}, &Entry::until));
    list.push_back({*std::move(address), until});
  }
  if (list.empty()) peers_.erase(peer);
}

std::vector<Multiaddr> AddressBook::find(const PeerId& peer, Instant now) const {
  std::vector<Multiaddr> found;
  auto it = peers_.find(peer);
  if (it == peers_.end()) return found;
  for (const auto& entry : it->second) {
    if (entry.until > now) found.push_back(entry.address);
  }
  return found;
}

}  // namespace nmp::libp2p
