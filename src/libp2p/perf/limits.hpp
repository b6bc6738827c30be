#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

/// What a peer can make this room, and the host on its behalf, spend. The specification leaves all of it to policy.
namespace nmp::libp2p::perf {

/// Bytes that one stream may bring, and may ask back: half a minute of a fast loopback, so that a measurement is long
/// enough and a stranger who finds the protocol on cannot make the node send for ever.
inline constexpr std::uint64_t kUploadBytesMax = 16ULL << 30;
inline constexpr std::uint64_t kDownloadBytesMax = 16ULL << 30;
/// Measurements served at a time: more would measure each other.
inline constexpr std::size_t kStreamsMax = 4;
/// One measurement, whichever way its bytes go; then its stream is reset.
inline constexpr std::chrono::minutes kExchangeTimeMax{5};

}  // namespace nmp::libp2p::perf
