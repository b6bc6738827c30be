#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "libp2p/peer/peer_id.hpp"

namespace nmp::core {

/// The trust file: one pinned peer a line, `PEER_ID [name]`; `#` begins a comment. A peer ID may also be written as its
/// DID.
struct TrustedPeer {
  libp2p::PeerId peer;
  std::string name;  ///< What its owner calls it; may be empty.
};
class TrustFile {
 public:
  /// Errors: bad_trust_file with the line's number; nmp::Errc::too_large.
  static Result<TrustFile> parse(std::string_view text);
  [[nodiscard]] const TrustedPeer* find(const libp2p::PeerId& peer) const;
  [[nodiscard]] const std::vector<TrustedPeer>& peers() const { return peers_; }

 private:
  std::vector<TrustedPeer> peers_;
};

}  // namespace nmp::core
