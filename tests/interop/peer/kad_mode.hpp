#pragma once

#include <memory>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "base/bytes.hpp"
#include "libp2p/host/dht.hpp"

namespace nmp::interop {

/// A DHT in which every value under /nmp/ is valid and the last of several wins, as in rust-libp2p.
std::unique_ptr<libp2p::Dht> make_dht(libp2p::Host& host,
                                      std::string protocol,
                                      bool server,
                                      std::vector<libp2p::PeerInfo> join);

struct KadTask {
  std::string what;  ///< kad-find, kad-provide, kad-put, kad-get
  Bytes key;
  Bytes value;
};

/// Joins through the peers given to make_dht, then does the task. The value is members for the result line.
/// Errors: those of the Dht; unsupported for another word.
async::Awaitable<Result<nlohmann::json>> run_kad(libp2p::Dht& dht, KadTask task, Instant deadline);

}  // namespace nmp::interop
