#pragma once

#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "libp2p/kad/limits.hpp"
#include "libp2p/kad/message.hpp"

namespace nmp::libp2p::kad {

/// What a node keeps across a restart: the provider records that others gave it, so that a mesh whose nodes restart one
/// after the other forgets nothing, and some members, so that it finds back without its bootstrap peers.
struct Snapshot {
  struct Provider {
    Bytes key;
    PeerInfo provider;
    UnixSeconds expires = 0;
  };
  UnixSeconds saved = 0;
  std::vector<PeerInfo> peers;      ///< at most kSnapshotPeersMax
  std::vector<Provider> providers;  ///< at most kProvidersMax
};

/// A protobuf of our own: 1 version (1), 2 saved, 3 repeated peer, 4 repeated {1 key, 2 expires, 3 peer}; a peer is as
/// in kad-dht messages. What passes the ceilings, and what would pass kSnapshotBytesMax, is left out.
[[nodiscard]] Bytes encode(const Snapshot& snapshot);

/// Entries with a broken peer ID are left out. Errors: too_large, malformed, truncated; unsupported for another
/// version.
Result<Snapshot> decode_snapshot(ByteView bytes);

}  // namespace nmp::libp2p::kad
