#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "base/time.hpp"
#include "libp2p/resources/usage.hpp"

/// What peers may take of a host: the attack budget of all its transports together. The shape and the peer, protocol
/// and stream numbers follow go-libp2p's resource manager (libp2p.md section 17); a departure says why.
namespace nmp::libp2p::resources {

/// What the machine has, as values: whoever starts the host asks for them.
struct Machine {
  std::uint64_t memory_bytes = 1ULL << 30;
  std::size_t descriptors = 1024;
};

/// An idle connection of ours takes 45 KiB (docs/PERFORMANCE.md), and what ngtcp2, GnuTLS or Noise keep of it cannot be
/// counted one by one: each is charged this.
inline constexpr std::uint64_t kConnectionBytes = 64UZ << 10;
/// A stream with its coroutine and empty buffers.
inline constexpr std::uint64_t kStreamBytes = 4UZ << 10;

/// Connections per GiB of the budget, and without any. go has 128 and 128, where a connection costs twice as much.
inline constexpr std::size_t kConnectionsBase = 256;
inline constexpr std::size_t kConnectionsPerGib = 512;
/// However large the machine is, unless its owner says otherwise: 64 MiB of idle connections.
inline constexpr std::size_t kConnectionsMax = 1024;
/// Streams of the whole host: 32 MiB of idle ones. A peer may have 512, so it takes many peers to use them up.
inline constexpr std::size_t kStreamsMax = 8192;

/// Connections whose peer is not known yet. Each transport lets the oldest of its own 128 inbound handshakes give way
/// to a newcomer (kHandshakesMax of libp2p/host), which is kinder than a refusal: this is above what two of them hold.
inline constexpr std::size_t kTransientConnectionsMax = 512;
/// Inbound streams that have not named their protocol. A connection may bring 256 at once, eight connections come from
/// one address: two such addresses do not fill it.
inline constexpr std::size_t kTransientStreamsMax = 6144;
inline constexpr std::uint64_t kTransientBytesMax = 64ULL << 20;

/// go has 8; one agent may be as many processes as it may have sessions at a node, and as many again that wait.
inline constexpr std::size_t kPeerConnectionsMax = 32;
inline constexpr std::size_t kPeerStreamsMax = 512;
inline constexpr std::uint64_t kPeerBytesMax = 64ULL << 20;
/// Above what a transport's windows let a connection hold unread, 6 MiB over QUIC and 8 MiB over TCP, and unsent, 4
/// MiB.
inline constexpr std::uint64_t kConnectionBytesMax = 32ULL << 20;
inline constexpr std::uint64_t kStreamBytesMax = 16ULL << 20;

inline constexpr std::size_t kProtocolStreamsMax = 2048;
inline constexpr std::uint64_t kProtocolBytesMax = 164ULL << 20;
inline constexpr std::size_t kProtocolPeerStreamsMax = 256;
inline constexpr std::uint64_t kProtocolPeerBytesMax = 32ULL << 20;

/// Connections of one owner of addresses at a time: IPv4 /32 and IPv6 /56, and IPv6 /48.
inline constexpr std::size_t kConnectionsPerAddressMax = 8;
inline constexpr std::size_t kConnectionsPerSiteMax = 64;
/// New ones a second in the long run, and at once. go has 0.2 and 16, which refuses an agent that runs a filter a
/// second; this is half a per cent of a core's handshakes.
inline constexpr std::size_t kRatePerAddress = 4;
inline constexpr std::size_t kBurstPerAddress = 32;
inline constexpr std::size_t kRatePerSite = 16;
inline constexpr std::size_t kBurstPerSite = 128;
/// Subnets remembered for their rate alone. Only proven addresses are, so that nobody fills this with forged ones;
/// beyond it a subnet is forgotten with its last connection.
inline constexpr std::size_t kSubnetsMax = 8192;

/// A connection with nothing open may be closed for newcomers this long after its last stream was opened.
inline constexpr Duration kTrimGrace = std::chrono::seconds(20);

struct SubnetLimits {
  std::size_t per_address_max = kConnectionsPerAddressMax;  ///< inbound; loopback is free
  std::size_t per_site_max = kConnectionsPerSiteMax;
  std::size_t rate_per_address = kRatePerAddress;  ///< a second
  std::size_t burst_per_address = kBurstPerAddress;
  std::size_t rate_per_site = kRatePerSite;
  std::size_t burst_per_site = kBurstPerSite;
};

struct TrimLimits {
  std::size_t low = kConnectionsMax * 3 / 4;   ///< down to here
  std::size_t high = kConnectionsMax * 7 / 8;  ///< once there are more
  Duration grace = kTrimGrace;
};

struct ProtocolLimits {
  Limit all;
  Limit peer;  ///< of any one peer
};

struct Limits {
  Limit system;
  Limit transient;
  Limit peer;
  Limit connection;
  Limit stream;
  ProtocolLimits protocol;                                   ///< of each that is not named below
  std::map<std::string, ProtocolLimits, std::less<>> named;  ///< by protocol id
  SubnetLimits subnets;
  TrimLimits trim;

  /// For a budget of an eighth of the memory and half of the descriptors.
  [[nodiscard]] static Limits scaled(const Machine& machine);
  /// So many connections, either direction; trimming starts below.
  void set_connections(std::size_t count);
};

}  // namespace nmp::libp2p::resources
