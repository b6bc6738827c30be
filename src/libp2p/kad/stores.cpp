#include "libp2p/kad/stores.hpp"

#include <algorithm>

namespace nmp::libp2p::kad {
namespace {

/// Bytes as keys of a map that is asked with views.
Bytes owned(ByteView key) { return to_bytes(key); }

void count_down(std::map<PeerId, std::size_t>& counts, const PeerId& peer) {
  auto count = counts.find(peer);
  if (count != counts.end() && --count->second == 0) counts.erase(count);
}

}  // namespace

Result<void> RecordStore::put(Record record, const PeerId& from, Instant now) {
  if (record.value.size() > limits_.value_bytes_max) return fail(Errc::too_large, "kad: value");
  auto held = entries_.find(record.key);
  if (held != entries_.end()) {
    held->second.record = std::move(record);
    held->second.expires = now + limits_.ttl;
    return {};
  }
  auto charged = per_peer_.find(from);
  if (from != self_ && charged != per_peer_.end() && charged->second >= limits_.records_per_peer_max)
    return fail(Errc::exhausted, "kad: values of one peer");
  if (entries_.size() >= limits_.records_max) expire(now);
  if (entries_.size() >= limits_.records_max) return fail(Errc::exhausted, "kad: values");
  ++per_peer_[from];
  auto key = record.key;
  entries_.emplace(std::move(key), Entry{std::move(record), from, now + limits_.ttl});
  return {};
}

const Record* RecordStore::get(ByteView key, Instant now) const {
  auto found = entries_.find(owned(key));
  return found == entries_.end() || found->second.expires <= now ? nullptr : &found->second.record;
}

void RecordStore::erase(std::map<Bytes, Entry, std::less<>>::iterator entry) {
  count_down(per_peer_, entry->second.from);
  entries_.erase(entry);
}

void RecordStore::expire(Instant now) {
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    auto current = entry++;
    if (current->second.expires <= now) erase(current);
  }
}

Result<void> ProviderStore::add(ByteView key, PeerInfo provider, Instant now, Instant until) {
  bool own = provider.id == self_;
  Entry entry{std::move(provider), own ? kNever : std::min(until, now + limits_.ttl), {}};
  entry.groups = groups_of(entry.provider.addresses);
  auto known = entries_.find(owned(key));
  if (known != entries_.end()) {
    auto& list = known->second;
    auto held =
        std::ranges::find(list, entry.provider.id, [](const Entry& e) -> const PeerId& { return e.provider.id; });
    if (held != list.end()) {
      *held = std::move(entry);
      std::rotate(list.begin(), held, held + 1);
      return {};
    }
  }
  if (!own) {
    auto charged = per_peer_.find(entry.provider.id);
    if (charged != per_peer_.end() && charged->second >= limits_.keys_per_peer_max)
      return fail(Errc::exhausted, "kad: keys of one provider");
    bool key_full = known != entries_.end() && known->second.size() >= limits_.per_key_max;
    if (size_ >= limits_.records_max || key_full) {
      expire(now);
      known = entries_.find(owned(key));
    }
    if (size_ >= limits_.records_max) return fail(Errc::exhausted, "kad: provider records");
    if (known != entries_.end() && known->second.size() >= limits_.per_key_max && !displace(known->second, entry))
      return fail(Errc::exhausted, "kad: providers of one key");
  }
  if (known == entries_.end()) known = entries_.emplace(owned(key), std::vector<Entry>()).first;
  ++per_peer_[entry.provider.id];
  ++size_;
  known->second.insert(known->second.begin(), std::move(entry));
  return {};
}

/// How many of `others` come from one of its networks: from that with the most.
std::size_t ProviderStore::sharing(const Entry& one, std::span<const Entry> others) {
  std::size_t most = 0;
  for (auto group : one.groups) {
    auto shared = std::ranges::count_if(
        others, [&](const Entry& other) { return std::ranges::find(other.groups, group) != other.groups.end(); });
    most = std::max(most, static_cast<std::size_t>(shared));
  }
  return most;
}

bool ProviderStore::displace(std::vector<Entry>& list, const Entry& newcomer) {
  std::size_t crowd = 0;
  auto leaving = list.end();
  for (auto at = list.begin(); at != list.end(); ++at) {
    auto size = sharing(*at, list);  // itself among them
    if (at->provider.id == self_ || size <= crowd) continue;
    crowd = size;
    leaving = at;
  }
  if (leaving == list.end() || sharing(newcomer, list) + 1 >= crowd) return false;
  forget(leaving->provider.id);
  list.erase(leaving);
  return true;
}

void ProviderStore::remove(ByteView key, const PeerId& provider) {
  auto known = entries_.find(owned(key));
  if (known == entries_.end()) return;
  auto& list = known->second;
  auto held = std::ranges::find(list, provider, [](const Entry& e) -> const PeerId& { return e.provider.id; });
  if (held == list.end()) return;
  forget(held->provider.id);
  list.erase(held);
  if (list.empty()) entries_.erase(known);
}

std::vector<PeerInfo> ProviderStore::get(ByteView key, Instant now) const {
  auto known = entries_.find(owned(key));
  if (known == entries_.end()) return {};
  const auto& list = known->second;
  struct Ranked {
    std::size_t rank;  ///< newer records of its networks
    const Entry* entry;
  };
  std::vector<Ranked> ranked;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i].expires <= now) continue;
    bool own = list[i].provider.id == self_;
    ranked.push_back({own ? 0 : 1 + sharing(list[i], std::span(list).first(i)), &list[i]});
  }
  std::ranges::stable_sort(ranked, {}, &Ranked::rank);
  std::vector<PeerInfo> providers;
  providers.reserve(ranked.size());
  for (const auto& [rank, entry] : ranked) providers.push_back(entry->provider);
  return providers;
}

std::vector<ProviderStore::Kept> ProviderStore::others(Instant now) const {
  std::vector<Kept> kept;
  for (const auto& [key, list] : entries_)
    for (const auto& entry : list)
      if (entry.provider.id != self_ && entry.expires > now) kept.push_back({key, entry.provider, entry.expires});
  return kept;
}

void ProviderStore::expire(Instant now) {
  for (auto known = entries_.begin(); known != entries_.end();) {
    auto& list = known->second;
    for (std::size_t i = 0; i < list.size();) {
      if (list[i].expires > now) {
        ++i;
        continue;
      }
      forget(list[i].provider.id);
      list.erase(list.begin() + static_cast<std::ptrdiff_t>(i));
    }
    known = list.empty() ? entries_.erase(known) : std::next(known);
  }
}

void ProviderStore::forget(const PeerId& provider) {
  count_down(per_peer_, provider);
  --size_;
}

}  // namespace nmp::libp2p::kad
