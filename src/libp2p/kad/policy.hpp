#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/time.hpp"
#include "libp2p/kad/key.hpp"
#include "libp2p/kad/limits.hpp"
#include "libp2p/kad/validator.hpp"
#include "libp2p/peer/multiaddr.hpp"

namespace nmp::libp2p::kad {

/// A network of its own: tables never mix with those of IPFS (`/ipfs/kad/1.0.0`).
inline constexpr std::string_view kProtocol = "/nmp/kad/1.0.0";

/// A peer that is in a bucket, or wants to be. Borrowed: valid until the policy's function returns.
struct Contact {
  const PeerInfo& info;
  const Key& key;
  Instant useful_at{};       ///< when it last answered
  std::size_t failures = 0;  ///< requests in a row that it left unanswered
  bool stale = false;        ///< failures, or of no use for longer than kUsefulWithin
};

/// A peer that a lookup may ask next. Borrowed likewise.
struct Hop {
  const PeerInfo& info;
  const Distance& distance;  ///< to what is looked up
  std::size_t depth = 1;     ///< requests on the path to it, its own included
};

/// Everything about routing that a network may want otherwise, in one place. This class is standard Kademlia as
/// libp2p's kad-dht has it; derive from it and override what your network does differently, then hand it to
/// DhtOptions::policy (a real node) or sim::MeshOptions::policy (the simulator). Two whole examples, each under 150
/// lines: examples/policy_low_latency and examples/policy_organisation.
///
/// What a policy decides, and what no policy can undo:
/// * `distance` says who is close to what; buckets, answers and lookups all go by it. All peers of one network must
///   agree on it, so a network with another distance needs another protocol id.
/// * `admit` and `evict` say who is in the routing table. Before them stand the checks that keep a table honest: a
///   member has answered us, has an address, and its IP groups are not crowded (routing_table.hpp).
/// * `next_hop` says in which order a lookup asks the peers that it would ask anyway. The lookup's end (the k closest
///   have answered), its disjoint paths and its ceilings stay (lookup.hpp): an order can cost time, not correctness.
/// * `validate` and `select` say which values a key may have, on their way in and out.
/// * `on_answer` and `on_failure` tell what a policy may learn from. A stranger can make up identities without end:
///   whatever a policy remembers of peers, it has to bound.
///
/// Called on the thread of the machine it belongs to, never concurrently, and from within a machine's call: a policy
/// does not call back. Not copied; one policy serves one node.
class RoutingPolicy {
 public:
  /// `protocol` is the libp2p protocol id under which this network's peers talk. `validators` are what validate() and
  /// select() of this class ask: with none, no value is valid (provider records need no validator).
  explicit RoutingPolicy(std::string protocol = std::string(kProtocol), Validators validators = {});
  RoutingPolicy(const RoutingPolicy&) = delete;
  RoutingPolicy& operator=(const RoutingPolicy&) = delete;
  virtual ~RoutingPolicy() = default;

  [[nodiscard]] const std::string& protocol() const { return protocol_; }

  /// How far two places of the keyspace are from each other; zero for equal keys only, the same both ways, and a pure
  /// function. Leading zero bits choose the bucket. Standard: XOR.
  [[nodiscard]] virtual Distance distance(const Key& a, const Key& b) const;

  /// Whether a peer that passed the table's own checks may become a member. `prefix`: leading bits it shares with us.
  /// Standard: yes.
  [[nodiscard]] virtual bool admit(const Contact& newcomer, std::size_t prefix);

  /// `bucket` is full: the index of the member that leaves for the newcomer; nothing keeps them all. The index is
  /// checked. Standard: a stale member, the one with most failures, then the longest unused; a member that answers is
  /// never displaced, so that fresh identities cannot take over a table (eclipse). A policy that displaces live members
  /// weakens that: do it by what an attacker cannot choose freely, and in a part of the table only.
  [[nodiscard]] virtual std::optional<std::size_t> evict(std::span<const Contact> bucket,
                                                         const Contact& newcomer,
                                                         std::size_t prefix);

  /// Which of `candidates` (at least one, closest first, at most k) a lookup asks next; an index outside counts as 0.
  /// Standard: the closest.
  [[nodiscard]] virtual std::size_t next_hop(std::span<const Hop> candidates);

  /// Whether `value` may stand for `key` now; pure. Standard: the validator of the key's namespace.
  /// Errors: the validator's; unsupported (no validator for the key).
  [[nodiscard]] virtual Result<void> validate(ByteView key, ByteView value, UnixSeconds now) const;
  /// The index of the best of several valid values; pure. Errors: unsupported, malformed (no value, or no such index).
  [[nodiscard]] virtual Result<std::size_t> select(ByteView key, std::span<const Bytes> values) const;

  /// `peer` answered a request of ours after this time, dialling included.
  virtual void on_answer(const PeerInfo& /*peer*/, Duration /*round_trip*/) {}
  /// It did not.
  virtual void on_failure(const PeerId& /*peer*/) {}

 private:
  std::string protocol_;
  Validators validators_;
};

/// Leading bits that a distance has in common with zero: 0 to 256. Which bucket, of a distance to ourselves.
[[nodiscard]] std::size_t leading_zeros(const Distance& distance);

}  // namespace nmp::libp2p::kad
