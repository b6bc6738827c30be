#pragma once

#include <array>
#include <optional>
#include <set>
#include <vector>

#include "base/time.hpp"
#include "libp2p/kad/key.hpp"
#include "libp2p/kad/limits.hpp"
#include "libp2p/kad/observer.hpp"
#include "libp2p/peer/multiaddr.hpp"

namespace nmp::libp2p::kad {

struct TableOptions {
  std::size_t k = kK;
  /// Members per IPv4 /24 and IPv6 /48; false for meshes that live in one subnet. Private and loopback are exempt
  /// anyway.
  bool diversity = true;
  std::size_t group_table_max = kGroupTableMax;
  std::size_t group_bucket_max = kGroupBucketMax;
  Duration useful_within = kUsefulWithin;
  std::size_t failures_max = kFailuresMax;
};

/// Who is known to serve the protocol, in buckets of k by common prefix length with our own key.
/// A member that answers is never displaced: a newcomer gets a full bucket's place only from one that is stale (an
/// unanswered request, or of no use within `useful_within`). That is the defence against eclipse by fresh identities.
/// Departs from go-libp2p-kbucket: all 256 buckets exist from the start, and a group is a /24 or /48.
class RoutingTable {
 public:
  enum class Insert : std::uint8_t {
    added,
    updated,   ///< was a member; addresses are refreshed
    replaced,  ///< added in the place of a stale member
    full,
    crowded,  ///< the diversity limit of its address group
    refused,  ///< ourselves, or no address
  };

  RoutingTable(const PeerId& self, TableOptions options, Observer& observer = silent_observer());

  /// A peer that is connected and advertises the protocol, or has just answered a request of it.
  Insert insert(PeerInfo peer, Instant now);
  bool remove(const PeerId& peer);
  /// It answered a request.
  void on_answer(const PeerId& peer, Instant now);
  /// It did not. The member is stale from now until it answers, and leaves after `failures_max` in a row.
  void on_failure(const PeerId& peer);

  /// Up to `count` members, closest to `target` first.
  [[nodiscard]] std::vector<PeerInfo> closest(const Key& target, std::size_t count) const;
  [[nodiscard]] std::optional<PeerInfo> find(const PeerId& peer) const;
  [[nodiscard]] bool contains(const PeerId& peer) const { return locate(peer) != nullptr; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t bucket_size(std::size_t prefix) const { return buckets_[prefix].size(); }
  [[nodiscard]] std::vector<PeerInfo> members() const;
  /// Members to ping before somebody else asks for their place.
  [[nodiscard]] std::vector<PeerInfo> stale(Instant now) const;
  /// The deepest common prefix length that a refresh reaches: that of the closest member, at most kRefreshPrefixMax.
  [[nodiscard]] std::size_t refresh_depth() const;

  [[nodiscard]] const PeerId& self() const { return self_; }
  [[nodiscard]] const Key& self_key() const { return self_key_; }

 private:
  struct Member {
    PeerInfo info;
    Key key;
    Instant useful_at;
    std::size_t failures = 0;
    std::vector<Bytes> groups;  ///< of its public addresses, each once
  };
  using Bucket = std::vector<Member>;

  [[nodiscard]] const Member* locate(const PeerId& peer) const;
  [[nodiscard]] Member* locate(const PeerId& peer);
  [[nodiscard]] bool is_stale(const Member& member, Instant now) const;
  [[nodiscard]] bool crowded(const std::vector<Bytes>& groups, const Bucket& bucket, const Member* leaving) const;
  void erase(Bucket& bucket, std::size_t index);

  PeerId self_;
  Key self_key_;
  TableOptions options_;
  Observer& observer_;
  std::array<Bucket, 256> buckets_;
  std::multiset<Bytes> groups_;
  std::size_t size_ = 0;
};

}  // namespace nmp::libp2p::kad
