#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.hpp"

/// What a QUIC peer can make us hold or do.
namespace nmp::libp2p::quic {

/// libp2p.md section 6: 256 bidirectional streams opened by the peer, no unidirectional ones; a slot comes back when
/// the stream is closed and its owner has let go of it.
inline constexpr std::uint64_t kPeerStreamsMax = 256;

/// Receive windows start here and grow with what the reader takes, up to the caps: at most kConnectionWindowMax unread
/// bytes per connection, however many streams.
inline constexpr std::uint64_t kStreamWindowInitial = 512UZ * 1024;
inline constexpr std::uint64_t kStreamWindowMax = 4UZ * 1024 * 1024;
inline constexpr std::uint64_t kConnectionWindowInitial = 768UZ * 1024;
inline constexpr std::uint64_t kConnectionWindowMax = 6UZ * 1024 * 1024;

/// Bytes written and not yet acknowledged: twice the congestion window, within these, per stream.
inline constexpr std::size_t kSendBufferMin = 128UZ * 1024;
inline constexpr std::size_t kSendBufferMax = 2UZ * 1024 * 1024;
/// Of all streams of a connection; each stream may always hold kSendBufferFloor, so that stalled streams do not stop
/// others.
inline constexpr std::size_t kConnectionSendBufferMax = 4UZ * 1024 * 1024;
inline constexpr std::size_t kSendBufferFloor = 16UZ * 1024;

/// Ours; the smaller of both sides' holds (RFC 9000 section 10.1).
inline constexpr Duration kIdleTimeout = std::chrono::seconds(30);
/// libp2p.md section 6.
inline constexpr Duration kHandshakeTimeout = std::chrono::seconds(10);
/// Connection IDs that a peer may hold ready; each brings a stateless reset token to route by.
inline constexpr std::uint64_t kActiveConnectionIds = 4;

/// Streams that a peer may reset within a second (HTTP/2-style rapid reset) before the connection is closed as rate
/// limited.
inline constexpr std::size_t kResetsPerSecondMax = 1024;

/// Initial datagrams are padded to this by honest clients; smaller ones are dropped (RFC 9000 section 14.1).
inline constexpr std::size_t kInitialDatagramMin = 1200;
/// libp2p.md section 6: about 10 s for Retry.
inline constexpr Duration kRetryTokenLifetime = std::chrono::seconds(10);
/// Answers to strangers (version negotiation, reset, refusal) waiting for the socket, and per second.
inline constexpr std::size_t kStatelessQueueMax = 64;
inline constexpr std::size_t kStatelessPerSecondMax = 2000;
/// Retry has its own share, so that bait for other answers does not use up the one that lets newcomers in. A queue for
/// all that one read of the socket can bring; a second's worth takes about a quarter of a core, and is smaller than
/// what asked for it, so that it is no amplifier.
inline constexpr std::size_t kRetryQueueMax = 1024;
inline constexpr std::size_t kRetriesPerSecondMax = 20'000;
/// A stranger whose first packet was noise holds nothing, but counts as unvalidated for this long: making a connection
/// to find out costs four times a Retry.
inline constexpr Duration kStrayTime = std::chrono::seconds(1);

/// Defaults of EndpointLimits.
inline constexpr std::size_t kConnectionsMax = 1024;
inline constexpr std::size_t kConnectionsPerIpMax = 8;
inline constexpr std::size_t kHandshakesMax = 128;  ///< About 100 KiB each. The oldest gives way to a newcomer.
inline constexpr std::size_t kRetryThreshold = 32;
/// Connections that are over and only repeat their last word, for three PTO; above it, or when there is no place left,
/// the oldest is forgotten for a newcomer.
inline constexpr std::size_t kLingeringMax = 128;

}  // namespace nmp::libp2p::quic
