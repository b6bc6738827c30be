#pragma once

#include <deque>
#include <vector>

#include "libp2p/peer/multiaddr.hpp"

namespace nmp::libp2p::dial {

/// Whether a network lets one kind of packet through, judged by how dials ended: blocked once kHoleWindow dials are
/// known of which fewer than kHoleSuccessesMin succeeded. Then one dial in kHoleProbeEvery looks again, and a success
/// opens.
class BlackHole {
 public:
  /// Counts the asking.
  [[nodiscard]] bool allows();
  void record(bool success);
  [[nodiscard]] bool blocked() const;

 private:
  std::deque<bool> window_;
  std::size_t successes_ = 0;
  std::size_t asked_ = 0;  ///< while blocked
};

/// UDP and IPv6, the two that networks swallow without a word (libp2p.md section 17). Addresses of private networks are
/// neither judged nor counted.
class BlackHoles {
 public:
  /// `addresses` without those that lead into a black hole; all of them if nothing else is left, since addresses come
  /// from strangers, who could have filled the window with dead ones.
  [[nodiscard]] std::vector<Multiaddr> keep(const std::vector<Multiaddr>& addresses);
  /// A dial ended. One that was given up because another was faster counts as a failure: a network that swallows QUIC
  /// shows in no other way while TCP works, and the threshold is low.
  void record(const Multiaddr& address, bool success);

  [[nodiscard]] const BlackHole& udp() const { return udp_; }
  [[nodiscard]] const BlackHole& ip6() const { return ip6_; }

 private:
  BlackHole udp_;
  BlackHole ip6_;
};

}  // namespace nmp::libp2p::dial
