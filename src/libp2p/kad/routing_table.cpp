#include "libp2p/kad/routing_table.hpp"

#include <algorithm>

namespace nmp::libp2p::kad {
namespace {

/// The /24 or /48 of each public address, each once. The length tells the families apart.
std::vector<Bytes> groups_of(const PeerInfo& peer) {
  std::vector<Bytes> groups;
  for (const auto& address : peer.addresses) {
    auto ip = address.ip();
    if (!ip || !ip->is_public()) continue;
    auto group = to_bytes(ip->view().first(ip->v6 ? 6 : 3));
    if (std::ranges::find(groups, group) == groups.end()) groups.push_back(std::move(group));
  }
  return groups;
}

}  // namespace

RoutingTable::RoutingTable(const PeerId& self, TableOptions options, Observer& observer)
    : self_(self), self_key_(Key::of(self)), options_(options), observer_(observer) {}

RoutingTable::Insert RoutingTable::insert(PeerInfo peer, Instant now) {
  if (peer.id == self_ || peer.addresses.empty()) return Insert::refused;
  if (peer.addresses.size() > kAddressesPeerMax)
    peer.addresses.erase(peer.addresses.begin() + kAddressesPeerMax, peer.addresses.end());
  auto key = Key::of(peer.id);
  auto& bucket = buckets_[common_prefix_length(self_key_, key)];
  auto groups = groups_of(peer);

  if (auto* member = locate(peer.id)) {
    if (crowded(groups, bucket, member)) return Insert::crowded;
    for (const auto& group : member->groups) groups_.erase(groups_.find(group));
    groups_.insert(groups.begin(), groups.end());
    member->info = std::move(peer);
    member->groups = std::move(groups);
    return Insert::updated;
  }

  auto outcome = Insert::added;
  std::optional<std::size_t> leaving;
  if (bucket.size() >= options_.k) {
    auto worst = std::ranges::max_element(bucket, [](const Member& a, const Member& b) {
      return a.failures != b.failures ? a.failures < b.failures : a.useful_at > b.useful_at;
    });
    if (worst == bucket.end() || !is_stale(*worst, now)) return Insert::full;
    leaving = static_cast<std::size_t>(worst - bucket.begin());
    outcome = Insert::replaced;
  }
  if (crowded(groups, bucket, leaving ? &bucket[*leaving] : nullptr)) return Insert::crowded;
  if (leaving) erase(bucket, *leaving);
  groups_.insert(groups.begin(), groups.end());
  bucket.push_back(Member{std::move(peer), key, now, 0, std::move(groups)});
  ++size_;
  observer_.on_member_added(bucket.back().info.id);
  return outcome;
}

bool RoutingTable::remove(const PeerId& peer) {
  auto& bucket = buckets_[std::min<std::size_t>(common_prefix_length(self_key_, Key::of(peer)), 255)];
  auto found = std::ranges::find(bucket, peer, [](const Member& member) -> const PeerId& { return member.info.id; });
  if (found == bucket.end()) return false;
  erase(bucket, static_cast<std::size_t>(found - bucket.begin()));
  return true;
}

void RoutingTable::on_answer(const PeerId& peer, Instant now) {
  if (auto* member = locate(peer)) {
    member->failures = 0;
    member->useful_at = now;
  }
}

void RoutingTable::on_failure(const PeerId& peer) {
  auto* member = locate(peer);
  if (member != nullptr && ++member->failures >= options_.failures_max) remove(PeerId(peer));
}

std::vector<PeerInfo> RoutingTable::closest(const Key& target, std::size_t count) const {
  std::vector<std::pair<Distance, const Member*>> ranked;
  ranked.reserve(size_);
  for (const auto& bucket : buckets_)
    for (const auto& member : bucket) ranked.emplace_back(distance(target, member.key), &member);
  count = std::min(count, ranked.size());
  std::ranges::partial_sort(ranked, ranked.begin() + static_cast<std::ptrdiff_t>(count), {},
                            [](const auto& pair) { return pair.first; });
  std::vector<PeerInfo> peers;
  peers.reserve(count);
  for (std::size_t i = 0; i < count; ++i) peers.push_back(ranked[i].second->info);
  return peers;
}

std::optional<PeerInfo> RoutingTable::find(const PeerId& peer) const {
  const auto* member = locate(peer);
  return member == nullptr ? std::nullopt : std::optional(member->info);
}

std::vector<PeerInfo> RoutingTable::members() const {
  std::vector<PeerInfo> peers;
  peers.reserve(size_);
  for (const auto& bucket : buckets_)
    for (const auto& member : bucket) peers.push_back(member.info);
  return peers;
}

std::vector<PeerInfo> RoutingTable::stale(Instant now) const {
  std::vector<PeerInfo> peers;
  for (const auto& bucket : buckets_)
    for (const auto& member : bucket)
      if (is_stale(member, now)) peers.push_back(member.info);
  return peers;
}

std::size_t RoutingTable::refresh_depth() const {
  std::size_t deepest = 0;
  for (std::size_t prefix = 0; prefix <= kRefreshPrefixMax; ++prefix)
    if (!buckets_[prefix].empty()) deepest = prefix;
  return deepest;
}

const RoutingTable::Member* RoutingTable::locate(const PeerId& peer) const {
  if (peer == self_) return nullptr;
  const auto& bucket = buckets_[common_prefix_length(self_key_, Key::of(peer))];
  auto found = std::ranges::find(bucket, peer, [](const Member& member) -> const PeerId& { return member.info.id; });
  return found == bucket.end() ? nullptr : &*found;
}

RoutingTable::Member* RoutingTable::locate(const PeerId& peer) {
  return const_cast<Member*>(std::as_const(*this).locate(peer));
}

bool RoutingTable::is_stale(const Member& member, Instant now) const {
  return member.failures > 0 || now - member.useful_at > options_.useful_within;
}

bool RoutingTable::crowded(const std::vector<Bytes>& groups, const Bucket& bucket, const Member* leaving) const {
  if (!options_.diversity) return false;
  return std::ranges::any_of(groups, [&](const Bytes& group) {
    auto holds = [&](const Member& member) { return std::ranges::find(member.groups, group) != member.groups.end(); };
    std::size_t freed = leaving != nullptr && holds(*leaving) ? 1 : 0;
    auto in_bucket = static_cast<std::size_t>(std::ranges::count_if(bucket, holds));
    return groups_.count(group) - freed >= options_.group_table_max || in_bucket - freed >= options_.group_bucket_max;
  });
}

void RoutingTable::erase(Bucket& bucket, std::size_t index) {
  auto member = std::move(bucket[index]);
  bucket.erase(bucket.begin() + static_cast<std::ptrdiff_t>(index));
  for (const auto& group : member.groups) groups_.erase(groups_.find(group));
  --size_;
  observer_.on_member_removed(member.info.id);
}

}  // namespace nmp::libp2p::kad
