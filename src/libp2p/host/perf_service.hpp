#pragma once

#include "libp2p/host/host.hpp"
#include "libp2p/perf/perf.hpp"

/// `/perf/1.0.0` on a Host: how fast one stream is. Off unless it is served: it makes a node send what a stranger asks.
namespace nmp::libp2p {

struct PerfServiceLimits {
  perf::Limits stream;
  std::size_t streams_max = perf::kStreamsMax;  ///< served at a time; more are reset as `rate limited`
  Duration time_max = perf::kExchangeTimeMax;   ///< of one stream
};

/// Serves it until host.unhandle(perf::kProtocol).
void serve_perf(Host& host, PerfServiceLimits limits = {});

struct PerfReport {
  Duration upload{};    ///< from the first byte sent until the peer, having read all, has begun to answer or ended
  Duration download{};  ///< the rest
};

/// Sends `upload_bytes`, then takes `download_bytes`, on a stream of its own. Errors: as Host::open_stream; malformed
/// or truncated if the peer sends more or less.
async::Awaitable<Result<PerfReport>> measure_perf(
    Host& host, PeerId peer, std::uint64_t upload_bytes, std::uint64_t download_bytes, Instant deadline);

}  // namespace nmp::libp2p
