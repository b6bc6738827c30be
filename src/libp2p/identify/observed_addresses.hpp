#pragma once

#include <compare>
#include <vector>

#include "base/time.hpp"
#include "libp2p/identify/limits.hpp"
#include "libp2p/peer/multiaddr.hpp"

namespace nmp::libp2p::identify {

/// Which of the addresses that others see us at may be ours. One observer is one IPv4 address or one IPv6 /56, so that
/// a single network cannot vote twice; loopback observers and sightings less public than the observer do not count. The
/// caller passes only connections whose local socket listens (inbound, or dialled from the listen port).
class ObservedAddresses {
 public:
  /// `local` is the connection's own end, `remote` the observer's.
  void observe(const Multiaddr& local, const Multiaddr& remote, const Multiaddr& observed, Instant now);
  /// Where at least kObserversNeeded agree; per local address at most kExternalAddressesMax, those with most observers.
  /// An observation counts for kObservationTtl, whether or not its connection lives on.
  [[nodiscard]] std::vector<Multiaddr> candidates(Instant now);
  [[nodiscard]] std::size_t size() const { return observations_.size(); }

 private:
  struct Observation {
    Bytes local, observed, observer;
    Instant at;
  };
  std::vector<Observation> observations_;
};

/// Identify pushes of one connection: kPushBurst at once, then one per kPushInterval.
class PushLimit {
 public:
  /// False: read the stream to its end and ignore it.
  [[nodiscard]] bool take(Instant now);

 private:
  std::size_t tokens_ = kPushBurst;
  Instant refilled_{};
};

}  // namespace nmp::libp2p::identify
