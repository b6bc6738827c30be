#pragma once

#include <optional>
#include <set>
#include <vector>

#include "libp2p/kad/lookup.hpp"
#include "libp2p/kad/message.hpp"
#include "libp2p/kad/observer.hpp"
#include "libp2p/kad/policy.hpp"

namespace nmp::libp2p::kad {

/// A lookup together with what it asks and what it collects: the client's side of FIND_NODE, GET_VALUE and
/// GET_PROVIDERS. The owner sends request() to whom next() names, and feeds the answers. Each path of the lookup has
/// its own share of kPeersPerLookupMax providers, so that one flood of made-up ones leaves room for the others' words.
class Query {
 public:
  struct Want {
    MessageType type = MessageType::find_node;  ///< find_node, get_value or get_providers
    Bytes key;
    /// find_node: stop when this peer is heard of with addresses, or answers.
    std::optional<PeerId> peer;
    /// get_value: stop after this many valid values (0: ask all); get_providers: stop after this many (0: all).
    std::size_t enough = 0;
  };

  /// `policy` and `observer` outlive the query.
  Query(Want want,
        const PeerId& self,
        const std::vector<PeerInfo>& seeds,
        RoutingPolicy& policy,
        LookupOptions options,
        Instant now,
        Observer& observer = silent_observer());

  [[nodiscard]] const Message& request() const { return request_; }
  [[nodiscard]] std::vector<PeerInfo> next(Instant now) { return lookup_.next(now); }
  void on_answer(const PeerId& peer, const Message& answer, Instant now, UnixSeconds unix_now);
  void on_failure(const PeerId& peer, Instant now) { lookup_.on_failure(peer, now); }
  void on_timer(Instant now) { lookup_.on_timer(now); }
  void stop(Instant now) { lookup_.stop(now); }
  [[nodiscard]] Instant deadline() const { return lookup_.deadline(); }
  [[nodiscard]] bool done() const { return lookup_.done(); }

  /// As Lookup::closest.
  [[nodiscard]] std::vector<PeerInfo> closest(std::size_t count = 0) const { return lookup_.closest(count); }
  [[nodiscard]] const std::optional<PeerInfo>& found_peer() const { return found_peer_; }
  /// Providers since the last call, each of the query once; those of whom no address is known come after done().
  [[nodiscard]] std::vector<PeerInfo> take_providers();
  [[nodiscard]] std::size_t providers_found() const { return providers_seen_.size(); }
  /// A value that is already here, for example the own store's.
  void offer_value(Bytes value);
  /// The selected one of the valid values.
  [[nodiscard]] const std::optional<Bytes>& value() const { return value_; }
  /// After done(): those of the k closest that answered without the selected value; PUT_VALUE it to them.
  [[nodiscard]] std::vector<PeerInfo> stale_holders() const;
  [[nodiscard]] LookupStats stats(Instant now) const;
  [[nodiscard]] const Lookup& lookup() const { return lookup_; }

 private:
  void on_value(const PeerId& peer, const Message& answer, UnixSeconds unix_now);
  bool select(Bytes value);

  Want want_;
  Message request_;
  RoutingPolicy& policy_;
  Observer& observer_;
  Lookup lookup_;
  std::optional<PeerInfo> found_peer_;
  std::vector<PeerInfo> fresh_providers_;
  std::set<PeerId> providers_seen_;         ///< with addresses
  std::set<PeerId> providers_unaddressed_;  ///< so far
  std::vector<std::size_t> providers_of_path_;
  std::optional<Bytes> value_;
  std::set<PeerId> holders_;  ///< peers that gave value_
  std::size_t values_ = 0;
  std::size_t hops_ = 0;
};

}  // namespace nmp::libp2p::kad
