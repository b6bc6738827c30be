#pragma once

#include <array>
#include <map>
#include <optional>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "libp2p/kad/ip_group.hpp"
#include "libp2p/kad/key.hpp"
#include "libp2p/kad/limits.hpp"
#include "libp2p/kad/observer.hpp"
#include "libp2p/kad/policy.hpp"
#include "libp2p/peer/multiaddr.hpp"

namespace nmp::libp2p::kad {

/// Members of one IpGroup, in the whole table and in one bucket.
struct GroupLimits {
  std::size_t table_max;
  std::size_t bucket_max;
};

struct TableOptions {
  std::size_t k = kK;
  /// Limits members per IpGroup; false for meshes that live in one public subnet. Private and loopback are exempt
  /// anyway.
  bool diversity = true;
  GroupLimits narrow{kGroupTableMax, kGroupBucketMax};
  GroupLimits wide{kWideGroupTableMax, kWideGroupBucketMax};
  Duration useful_within = kUsefulWithin;
  std::size_t failures_max = kFailuresMax;
};

/// Who is known to serve the protocol, in buckets of k by common prefix length with our own key.
/// Who gets in and who leaves for whom is the policy's to say, after the checks that stand here: an address, and room
/// in its IP groups. With the standard policy a member that answers is never displaced: a newcomer gets a full bucket's
/// place only from one that is stale (an unanswered request, or of no use within `useful_within`). That is the defence
/// against eclipse by fresh identities.
/// Departs from go-libp2p-kbucket: all 256 buckets exist from the start, and groups are those of ip_group.hpp.
class RoutingTable {
 public:
  enum class Insert : std::uint8_t {
    added,
    updated,   ///< was a member; addresses are refreshed
    replaced,  ///< added in the place of a stale member
    full,
    crowded,  ///< the diversity limit of its address group
    refused,  ///< ourselves, no address, or the policy said no
  };

  /// `policy` and `observer` outlive the table.
  RoutingTable(const PeerId& self, TableOptions options, RoutingPolicy& policy, Observer& observer = silent_observer());

  /// A peer that is connected and advertises the protocol, or has just answered a request of it.
  Insert insert(PeerInfo peer, Instant now);
  /// Whether insert() could take it, as far as is known before the policy is asked: not a member, and its bucket has
  /// room or a stale member. Worth a request to find out whether it answers.
  [[nodiscard]] bool wants(const PeerInfo& peer, Instant now) const;
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

  /// Raw bytes, shaped like a peer ID, whose place falls into bucket `prefix`: what a refresh looks up. Found by trial,
  /// so the time doubles with each bit; `prefix` <= kRefreshPrefixMax. Another place if the policy's distance has none
  /// there.
  [[nodiscard]] Bytes key_in_bucket(std::size_t prefix, Random& random) const;

  [[nodiscard]] const PeerId& self() const { return self_; }
  [[nodiscard]] const Key& self_key() const { return self_key_; }

 private:
  struct Member {
    PeerInfo info;
    Key key;
    Instant useful_at;
    std::size_t failures = 0;
    std::vector<IpGroup> groups;  ///< of its public addresses, each once
  };
  using Bucket = std::vector<Member>;

  [[nodiscard]] const Member* locate(const PeerId& peer) const;
  [[nodiscard]] Member* locate(const PeerId& peer);
  [[nodiscard]] bool is_stale(const Member& member, Instant now) const;
  [[nodiscard]] std::size_t bucket_of(const Key& key) const;
  [[nodiscard]] Contact contact(const Member& member, Instant now) const;
  [[nodiscard]] bool crowded(const std::vector<IpGroup>& groups, const Bucket& bucket, const Member* leaving) const;
  void count(const std::vector<IpGroup>& groups);
  void discount(const std::vector<IpGroup>& groups);
  void erase(Bucket& bucket, std::size_t index);

  PeerId self_;
  Key self_key_;
  TableOptions options_;
  RoutingPolicy& policy_;
  Observer& observer_;
  std::array<Bucket, 256> buckets_;
  std::map<IpGroup, std::size_t> groups_;
  std::size_t size_ = 0;
};

}  // namespace nmp::libp2p::kad
