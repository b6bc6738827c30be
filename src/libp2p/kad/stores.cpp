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
  auto expires = own ? kNever : std::min(until, now + limits_.ttl);
  auto known = entries_.find(owned(key));
  if (known != entries_.end()) {
    auto& list = known->second;
    auto held = std::ranges::find(list, provider.id, [](const Entry& e) -> const PeerId& { return e.provider.id; });
    if (held != list.end()) {
      *held = Entry{std::move(provider), expires};
      std::rotate(list.begin(), held, held + 1);
      return {};
    }
  }
  if (!own) {
    auto charged = per_peer_.find(provider.id);
    if (charged != per_peer_.end() && charged->second >= limits_.keys_per_peer_max)
      return fail(Errc::exhausted, "kad: keys of one provider");
    bool key_full = known != entries_.end() && known->second.size() >= limits_.per_key_max;
    if (size_ >= limits_.records_max || key_full) {
      expire(now);
      known = entries_.find(owned(key));
    }
    if (size_ >= limits_.records_max) return fail(Errc::exhausted, "kad: provider records");
    if (known != entries_.end() && known->second.size() >= limits_.per_key_max)
      return fail(Errc::exhausted, "kad: providers of one key");
  }
  if (known == entries_.end()) known = entries_.emplace(owned(key), std::vector<Entry>()).first;
  ++per_peer_[provider.id];
  ++size_;
  known->second.insert(known->second.begin(), Entry{std::move(provider), expires});
  return {};
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
  std::vector<PeerInfo> providers;
  auto known = entries_.find(owned(key));
  if (known == entries_.end()) return providers;
  for (const auto& entry : known->second)
    if (entry.expires > now) providers.push_back(entry.provider);
  auto own = std::ranges::find(providers, self_, &PeerInfo::id);
  if (own != providers.end()) std::rotate(providers.begin(), own, own + 1);
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
