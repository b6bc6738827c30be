#pragma once

#include <map>

#include "base/time.hpp"
#include "libp2p/kad/limits.hpp"
#include "libp2p/peer/multiaddr.hpp"

namespace nmp::libp2p::kad {

/// A client asks and is in nobody's table; a server also answers. Peers that cannot be reached must be clients, else
/// every lookup that meets them waits for a timeout.
enum class Mode : std::uint8_t { client, server, automatic };

/// What a reachability test (AutoNAT) found.
enum class Reachability : std::uint8_t { unknown, reachable, unreachable };

/// Decides whether a node serves. client and server stay what they are. automatic starts as a client and serves
/// * while a reachability test says `reachable`, and not while it says `unreachable`;
/// * without a verdict, once kInboundEvidence different peers have opened a connection to us that we could not have
///   caused (no relay, from their side), within kInboundEvidenceTtl; it goes back when that evidence has aged.
class ModeSwitch {
 public:
  explicit ModeSwitch(Mode mode) : mode_(mode) {}

  void on_reachability(Reachability verdict) { verdict_ = verdict; }
  /// A peer that we had no connection to opened one to us, from `address`.
  void on_inbound(const PeerId& peer, const Multiaddr& address, Instant now);
  [[nodiscard]] bool serves(Instant now) const;

 private:
  Mode mode_;
  Reachability verdict_ = Reachability::unknown;
  std::map<PeerId, Instant> inbound_;  ///< at most kInboundEvidence: the newest
};

}  // namespace nmp::libp2p::kad
