#pragma once

#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "libp2p/kad/ip_group.hpp"
#include "libp2p/kad/limits.hpp"
#include "libp2p/kad/message.hpp"

namespace nmp::libp2p::kad {

/// Values held for the mesh, in memory, each until its time is up. Whether a value is valid and better than the one
/// held is decided before put().
class RecordStore {
 public:
  struct Limits {
    std::size_t records_max = kRecordsMax;
    std::size_t records_per_peer_max = kRecordsPerPeerMax;
    std::size_t value_bytes_max = kValueBytesMax;
    Duration ttl = kRecordTtl;
  };
  explicit RecordStore(const PeerId& self) : RecordStore(self, Limits{}) {}
  RecordStore(const PeerId& self, Limits limits) : self_(self), limits_(limits) {}

  /// `from` is charged for a new key; our own are not counted per peer. A full store drops nobody's unexpired record.
  /// Errors: too_large; exhausted (the store, or the share of `from`, is full).
  Result<void> put(Record record, const PeerId& from, Instant now);
  [[nodiscard]] const Record* get(ByteView key, Instant now) const;
  void expire(Instant now);
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    Record record;
    PeerId from;
    Instant expires;
  };
  PeerId self_;
  Limits limits_;
  std::map<Bytes, Entry, std::less<>> entries_;
  std::map<PeerId, std::size_t> per_peer_;
  void erase(std::map<Bytes, Entry, std::less<>>::iterator entry);
};

/// Who provides what, in memory, each record until its time is up or it is provided anew.
///
/// Identities are free, networks are not: where a key is full, records compete by IP group (ip_group.hpp). A newcomer
/// whose group has fewer of the key's records than the most crowded one takes a place from that, from its newest
/// record; and get() names the newest of each group before the second of any. So whoever floods a key from a few
/// networks displaces and hides its own records. Private addresses have no group and are not displaced.
/// docs/DISCOVERY.md weighs this against other designs.
class ProviderStore {
 public:
  struct Limits {
    std::size_t per_key_max = kProvidersPerKeyMax;
    std::size_t keys_per_peer_max = kProviderKeysPerPeerMax;
    std::size_t records_max = kProvidersMax;
    Duration ttl = kProviderTtl;
  };
  explicit ProviderStore(const PeerId& self) : ProviderStore(self, Limits{}) {}
  ProviderStore(const PeerId& self, Limits limits) : self_(self), limits_(limits) {}

  /// Kept for the limits' ttl, not past `until`. Errors: exhausted (of this key, of this provider, or in all);
  /// ourselves excepted.
  Result<void> add(ByteView key, PeerInfo provider, Instant now, Instant until = kNever);
  void remove(ByteView key, const PeerId& provider);
  /// Ourselves before all, then the newest of each IP group, then the second of each, and so on.
  [[nodiscard]] std::vector<PeerInfo> get(ByteView key, Instant now) const;
  struct Kept {
    Bytes key;
    PeerInfo provider;
    Instant expires;
  };
  /// All records but our own, for a snapshot.
  [[nodiscard]] std::vector<Kept> others(Instant now) const;
  void expire(Instant now);
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Entry {
    PeerInfo provider;
    Instant expires;
    std::vector<IpGroup> groups;
  };
  PeerId self_;
  Limits limits_;
  std::map<Bytes, std::vector<Entry>, std::less<>> entries_;  ///< newest first
  std::map<PeerId, std::size_t> per_peer_;
  std::size_t size_ = 0;
  [[nodiscard]] static std::size_t sharing(const Entry& one, std::span<const Entry> others);
  bool displace(std::vector<Entry>& list, const Entry& newcomer);
  void forget(const PeerId& provider);
};

}  // namespace nmp::libp2p::kad
