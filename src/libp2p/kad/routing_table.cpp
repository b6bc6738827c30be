#include "libp2p/kad/routing_table.hpp"

#include <algorithm>

namespace nmp::libp2p::kad {
RoutingTable::RoutingTable(const PeerId& self, TableOptions options, RoutingPolicy& policy, Observer& observer)
    : self_(self), self_key_(Key::of(self)), options_(options), policy_(policy), observer_(observer) {}

RoutingTable::Insert RoutingTable::insert(PeerInfo peer, Instant now) {
  if (peer.id == self_ || peer.addresses.empty()) return Insert::refused;
  if (peer.addresses.size() > kAddressesPeerMax)
    peer.addresses.erase(peer.addresses.begin() + kAddressesPeerMax, peer.addresses.end());
  auto key = Key::of(peer.id);
  auto prefix = bucket_of(key);
  auto& bucket = buckets_[prefix];
  auto groups = groups_of(peer.addresses);

  if (auto* member = locate(peer.id)) {
    if (crowded(groups, bucket, member)) return Insert::crowded;
    discount(member->groups);
    count(groups);
    member->info = std::move(peer);
    member->groups = std::move(groups);
    return Insert::updated;
  }

  Contact newcomer{peer, key, now};
  if (!policy_.admit(newcomer, prefix)) return Insert::refused;
  auto outcome = Insert::added;
  std::optional<std::size_t> leaving;
  if (bucket.size() >= options_.k) {
    std::vector<Contact> contacts;
    contacts.reserve(bucket.size());
    for (const auto& member : bucket) contacts.push_back(contact(member, now));
    leaving = policy_.evict(contacts, newcomer, prefix);
    if (!leaving || *leaving >= bucket.size()) return Insert::full;
    outcome = Insert::replaced;
  }
  if (crowded(groups, bucket, leaving ? &bucket[*leaving] : nullptr)) return Insert::crowded;
  if (leaving) erase(bucket, *leaving);
  count(groups);
  bucket.push_back(Member{std::move(peer), key, now, 0, std::move(groups)});
  ++size_;
  observer_.on_member_added(bucket.back().info.id);
  return outcome;
}

bool RoutingTable::wants(const PeerInfo& peer, Instant now) const {
  if (peer.id == self_ || peer.addresses.empty() || contains(peer.id)) return false;
  const auto& bucket = buckets_[bucket_of(Key::of(peer.id))];
  if (crowded(groups_of(peer.addresses), bucket, nullptr)) return false;
  return bucket.size() < options_.k ||
         std::ranges::any_of(bucket, [&](const Member& member) { return is_stale(member, now); });
}

bool RoutingTable::remove(const PeerId& peer) {
  auto& bucket = buckets_[bucket_of(Key::of(peer))];
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
  // By the first eight bytes of the distance; all of it only where they are equal, which is next to never.
  struct Ranked {
    std::uint64_t head;
    const Member* member;
  };
  std::vector<Ranked> ranked;
  ranked.reserve(size_);
  for (const auto& bucket : buckets_) {
    for (const auto& member : bucket) {
      auto bytes = policy_.distance(target, member.key).bytes;
      std::uint64_t head = 0;
      for (std::size_t i = 0; i < sizeof(head); ++i) head = head << 8 | std::to_integer<std::uint64_t>(bytes[i]);
      ranked.push_back({head, &member});
    }
  }
  count = std::min(count, ranked.size());
  std::ranges::partial_sort(ranked, ranked.begin() + static_cast<std::ptrdiff_t>(count),
                            [&](const Ranked& a, const Ranked& b) {
                              if (a.head != b.head) return a.head < b.head;
                              return policy_.distance(target, a.member->key) < policy_.distance(target, b.member->key);
                            });
  std::vector<PeerInfo> peers;
  peers.reserve(count);
  for (std::size_t i = 0; i < count; ++i) peers.push_back(ranked[i].member->info);
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

Bytes RoutingTable::key_in_bucket(std::size_t prefix, Random& random) const {
  NMP_ASSERT(prefix <= kRefreshPrefixMax);
  Bytes raw{std::byte{0x12}, std::byte{0x20}};  // sha2-256, 32 bytes: what a hashed peer ID looks like
  raw.resize(34);
  // Each trial hits with chance 2^-(prefix + 1): sixteen times as many miss once in nine million.
  for (std::size_t trials = std::size_t{16} << (prefix + 1); trials > 0; --trials) {
    random.fill(std::span(raw).subspan(2));
    if (bucket_of(Key::of(raw)) == prefix) break;
  }
  return raw;
}

const RoutingTable::Member* RoutingTable::locate(const PeerId& peer) const {
  if (peer == self_) return nullptr;
  const auto& bucket = buckets_[bucket_of(Key::of(peer))];
  auto found = std::ranges::find(bucket, peer, [](const Member& member) -> const PeerId& { return member.info.id; });
  return found == bucket.end() ? nullptr : &*found;
}

RoutingTable::Member* RoutingTable::locate(const PeerId& peer) {
  return const_cast<Member*>(std::as_const(*this).locate(peer));
}

bool RoutingTable::is_stale(const Member& member, Instant now) const {
  return member.failures > 0 || now - member.useful_at > options_.useful_within;
}

std::size_t RoutingTable::bucket_of(const Key& key) const {
  return std::min<std::size_t>(leading_zeros(policy_.distance(self_key_, key)), buckets_.size() - 1);
}

Contact RoutingTable::contact(const Member& member, Instant now) const {
  return Contact{member.info, member.key, member.useful_at, member.failures, is_stale(member, now)};
}

bool RoutingTable::crowded(const std::vector<IpGroup>& groups, const Bucket& bucket, const Member* leaving) const {
  if (!options_.diversity) return false;
  return std::ranges::any_of(groups, [&](IpGroup group) {
    const auto& limits = group.width() == IpGroup::Width::wide ? options_.wide : options_.narrow;
    auto holds = [&](const Member& member) { return std::ranges::find(member.groups, group) != member.groups.end(); };
    std::size_t freed = leaving != nullptr && holds(*leaving) ? 1 : 0;
    auto in_bucket = static_cast<std::size_t>(std::ranges::count_if(bucket, holds));
    auto counted = groups_.find(group);
    auto in_table = counted == groups_.end() ? 0 : counted->second;
    return in_table - freed >= limits.table_max || in_bucket - freed >= limits.bucket_max;
  });
}

void RoutingTable::count(const std::vector<IpGroup>& groups) {
  for (auto group : groups) ++groups_[group];
}

void RoutingTable::discount(const std::vector<IpGroup>& groups) {
  for (auto group : groups)
    if (auto counted = groups_.find(group); --counted->second == 0) groups_.erase(counted);
}

void RoutingTable::erase(Bucket& bucket, std::size_t index) {
  auto member = std::move(bucket[index]);
  bucket.erase(bucket.begin() + static_cast<std::ptrdiff_t>(index));
  discount(member.groups);
  --size_;
  observer_.on_member_removed(member.info.id);
}

}  // namespace nmp::libp2p::kad
