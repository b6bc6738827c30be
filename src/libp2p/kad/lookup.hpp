#pragma once

#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/time.hpp"
#include "libp2p/kad/key.hpp"
#include "libp2p/kad/limits.hpp"
#include "libp2p/peer/multiaddr.hpp"

namespace nmp::libp2p::kad {

struct LookupOptions {
  std::size_t k = kK;
  std::size_t alpha = kAlpha;
  std::size_t beta = kBeta;
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
class Lookup {
 public:
  Lookup(const Key& target, const PeerId& self, const std::vector<PeerInfo>& seeds, LookupOptions options, Instant now);

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
  /// Up to k peers that answered, closest first.
  [[nodiscard]] std::vector<PeerInfo> closest() const;
  /// Requests on the path to `peer`: 1 for one of the seeds; 0 if it is unknown here.
  [[nodiscard]] std::size_t depth(const PeerId& peer) const;
  [[nodiscard]] LookupStats stats(Instant now) const;
  [[nodiscard]] const Key& target() const { return target_; }

 private:
  enum class State : std::uint8_t { heard, waiting, queried, unreachable };
  struct Candidate {
    PeerInfo info;
    State state = State::heard;
    std::size_t depth = 1;
    Instant timeout = kNever;
  };

  void add(const PeerInfo& peer, std::size_t depth);
  [[nodiscard]] Candidate* find(const PeerId& peer);
  void settle(Instant now);
  void finish(Instant now, bool cut_short);

  Key target_;
  PeerId self_;
  LookupOptions options_;
  std::map<Distance, Candidate> candidates_;
  std::size_t waiting_ = 0;
  bool following_up_ = false;
  bool done_ = false;
  bool cut_short_ = false;
  Instant started_;
  Instant ended_{};
  LookupStats stats_;
};

}  // namespace nmp::libp2p::kad
