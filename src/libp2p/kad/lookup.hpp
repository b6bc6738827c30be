#pragma once

#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/time.hpp"
#include "libp2p/kad/ip_group.hpp"
#include "libp2p/kad/key.hpp"
#include "libp2p/kad/limits.hpp"
#include "libp2p/kad/policy.hpp"
#include "libp2p/peer/multiaddr.hpp"

namespace nmp::libp2p::kad {

struct LookupOptions {
  std::size_t k = kK;
  std::size_t alpha = kAlpha;
  std::size_t beta = kBeta;
  /// Disjoint paths, at most alpha of them; 1 is a lookup without.
  std::size_t paths = kPaths;
  /// Whether a path asks only so many peers of one IP group. `wide_max` has to be well below k, or one provider's
  /// machines fill a whole result.
  bool diversity = true;
  std::size_t narrow_max = kGroupPathMax;
  std::size_t wide_max = kWideGroupPathMax;
  std::size_t peers_max = kPeersPerLookupMax;
  Duration request_timeout = kRequestTimeout;
  Instant deadline = kNever;
};

struct LookupStats {
  /// Requests on the path to the deepest peer that gave what was asked for: 1 if a peer of the own table did.
  std::size_t hops = 0;
  std::size_t messages = 0;       ///< requests sent
  std::size_t peers_queried = 0;  ///< of these, answered
  std::size_t peers_failed = 0;
  Duration duration{};
};

/// One iterative lookup: asks ever closer peers for those closest to a key. The owner sends what next() names and
/// reports back; the machine remembers states (heard, waiting, queried, unreachable) and decides when it has come to an
/// end: when the beta closest reachable peers have answered or nobody is left, the rest of the k closest are asked once
/// (follow-up). Source: go-libp2p-kad-dht query.go; bounds in limits.hpp.
///
/// It walks `paths` disjoint paths at once (Baumgart and Mies, "S/Kademlia", 2007, section 4.4). The seeds are dealt
/// out among them. Whom a peer names becomes a candidate on that peer's path only, and each peer is asked once, by the
/// path that comes to it first; so a liar steers its own path and takes its own share of the ceilings, and the other
/// paths end among honest peers even if all that it invents is closer. Where paths meet, in the neighbourhood of the
/// key, an answer counts for every path that knows the peer. closest() takes turns among the paths, so that no path
/// fills the result alone. With fewer seeds than paths (a first bootstrap) there are as many paths as seeds.
class Lookup {
 public:
  /// `policy` outlives the lookup.
  Lookup(const Key& target,
         const PeerId& self,
         const std::vector<PeerInfo>& seeds,
         RoutingPolicy& policy,
         LookupOptions options,
         Instant now);

  /// Whom to ask now; each is waiting from here on. Empty: wait for a report or for deadline().
  [[nodiscard]] std::vector<PeerInfo> next(Instant now);
  /// `peer` answered and named `closer`. Ignored unless it is waiting or timed out. Of `closer`, peers without an
  /// address, ourselves, the known, and those behind the ceilings are left out.
  void on_answer(const PeerId& peer, std::span<const PeerInfo> closer, Instant now);
  /// It could not be reached, or broke the protocol. Ignored unless it is waiting.
  void on_failure(const PeerId& peer, Instant now);
  /// Requests past their time become unreachable; past the lookup's deadline it is done.
  void on_timer(Instant now);
  [[nodiscard]] Instant deadline() const;
  /// Enough was found: no more requests.
  void stop(Instant now);

  [[nodiscard]] bool done() const { return done_; }
  /// True if it ended by itself, not by stop() or its deadline.
  [[nodiscard]] bool complete() const { return done_ && !cut_short_; }
  /// Up to `count` (0: k) peers that answered, closest first: of each path its closest, in turns.
  [[nodiscard]] std::vector<PeerInfo> closest(std::size_t count = 0) const;
  /// Requests on the path to `peer`: 1 for one of the seeds; 0 if it is unknown here.
  [[nodiscard]] std::size_t depth(const PeerId& peer) const;
  /// The path that heard of it first.
  [[nodiscard]] std::optional<std::size_t> path(const PeerId& peer) const;
  [[nodiscard]] std::size_t paths() const { return paths_.size(); }
  [[nodiscard]] LookupStats stats(Instant now) const;
  [[nodiscard]] const Key& target() const { return target_; }

 private:
  enum class State : std::uint8_t { heard, waiting, queried, unreachable };
  /// Where a peer stands; the key tells peers apart that a policy's distance does not.
  struct Place {
    Distance distance;
    Key key;
    friend auto operator<=>(const Place&, const Place&) = default;
  };
  struct Candidate {
    PeerInfo info;
    Place place;
    std::vector<IpGroup> groups;
    State state = State::heard;
    std::size_t path = 0;  ///< on which it was heard of first, then on which it is asked
    std::size_t known_by = 0;
    std::size_t depth = 1;
    Instant timeout = kNever;
  };
  struct Path {
    std::map<Place, Candidate*> known;
    std::size_t waiting = 0;
    bool following_up = false;
    bool done = false;
  };

  void add(std::size_t path, const PeerInfo& peer, std::size_t depth);
  [[nodiscard]] bool make_room(Path& path, const Candidate& newcomer);
  [[nodiscard]] bool make_group_room(Path& path, const Candidate& newcomer);
  void drop(Path& path, std::map<Place, Candidate*>::iterator known);
  [[nodiscard]] Candidate* choose(Path& path);
  [[nodiscard]] Candidate* find(const PeerId& peer);
  void give_up(Candidate& candidate);
  void settle(Instant now);
  void finish(Instant now, bool cut_short);

  Key target_;
  PeerId self_;
  RoutingPolicy& policy_;
  LookupOptions options_;
  std::unordered_map<PeerId, Candidate> candidates_;
  std::vector<Path> paths_;
  std::size_t waiting_ = 0;
  bool done_ = false;
  bool cut_short_ = false;
  Instant started_;
  Instant ended_{};
  LookupStats stats_;
};

}  // namespace nmp::libp2p::kad
