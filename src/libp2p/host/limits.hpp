#pragma once

#include <cstddef>

#include "base/time.hpp"

/// What strangers may make a Host hold: the attack budget of this room, beside the counts of libp2p/resources.
namespace nmp::libp2p {

/// Inbound handshakes in flight: each costs a third of a millisecond of signature work and 100 kB. The oldest gives way
/// to a newcomer.
inline constexpr std::size_t kHandshakesMax = 128;
/// Handshakes from unvalidated addresses in flight before Retry proves the sender's address.
inline constexpr std::size_t kRetryThreshold = 32;

/// Unread bytes of a TCP connection that a stranger opened; over QUIC it is the connection's window, 6 MiB. Yamux has
/// no such window: the stream that overfills it is reset.
inline constexpr std::size_t kInboundUnreadBytesMax = 8UZ * 1024 * 1024;

/// security.md "Session token" ff.: before the first accepted intent a connection has 4 streams, 64 KiB, 10 s.
inline constexpr std::size_t kUntrustedStreamsMax = 4;
inline constexpr std::size_t kUntrustedBytesMax = 64UZ * 1024;
inline constexpr Duration kUntrustedTimeMax = std::chrono::seconds(10);

/// libp2p.md section 17: at most 64 addresses per unconnected peer.
inline constexpr std::size_t kAddressesPerPeerMax = 64;
/// Peers with remembered addresses; beyond it the one that expires first is forgotten.
inline constexpr std::size_t kAddressBookPeersMax = 4096;
/// Addresses tried in one dial, so that a record full of addresses does not turn the host into a flooder.
inline constexpr std::size_t kDialAddressesMax = 8;
/// Longest wait for one peer, whoever asks (libp2p.md section 17: per address 15 s).
inline constexpr Duration kDialTimeMax = std::chrono::seconds(15);
/// Of that, for the names among its addresses.
inline constexpr Duration kResolveTimeMax = std::chrono::seconds(5);
/// Questions to name servers under way at once, for all dials; more wait for their turn. Each has a socket of its own,
/// and strangers' addresses say how many there are.
inline constexpr std::size_t kLookupsMax = 32;
/// Distinct peers being dialled at once.
inline constexpr std::size_t kDialsMax = 160;
/// Connect, security and muxer of a TCP connection (libp2p.md section 17, per address).
inline constexpr Duration kUpgradeTimeMax = std::chrono::seconds(15);
/// One deadline for a whole multistream negotiation (libp2p.md section 4).
inline constexpr Duration kNegotiationTimeMax = std::chrono::seconds(10);
/// Protocols with a handler.
inline constexpr std::size_t kProtocolsMax = 256;
/// Streams that were let go while the peer's negotiation answer was still under way, and what each may still send.
inline constexpr std::size_t kDrainingStreamsMax = 256;
inline constexpr std::size_t kDrainBytesMax = 64UZ * 1024;

}  // namespace nmp::libp2p
