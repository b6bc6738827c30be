#pragma once

#include <chrono>
#include <cstddef>

/// What a peer can make this room hold or believe. Sources: go-libp2p v0.48 p2p/protocol/identify, unless stated.
namespace nmp::libp2p::identify {

/// One message as we send it: rust-libp2p reads no more than one message of this size.
inline constexpr std::size_t kMessageBytesMaxSent = 4096;
/// Above this size the signed peer record goes into a second message, and the first stands alone.
inline constexpr std::size_t kRecordApartAbove = 2048;
/// One message as we read it, and how many of them are merged: go sends several, never more than this.
inline constexpr std::size_t kMessageBytesMax = 8192;
inline constexpr std::size_t kMessagesMax = 10;
/// What is kept of one peer; the rest is dropped, not refused.
inline constexpr std::size_t kProtocolsMax = 1024;
inline constexpr std::size_t kAddressesMax = 500;
/// Our own: the longest protocol id that multistream-select can carry is 1024 bytes with its framing.
inline constexpr std::size_t kProtocolBytesMax = 1024;
/// Our own: agent and protocol versions are shown to people.
inline constexpr std::size_t kVersionBytesMax = 256;
/// One exchange, opened or served.
inline constexpr std::chrono::seconds kTimeout{5};
/// How long addresses outlive the connection.
inline constexpr std::chrono::minutes kAddressTtl{30};

/// Pushes taken from one connection: a burst, then one per interval; others are read and ignored.
inline constexpr std::size_t kPushBurst = 10;
inline constexpr std::chrono::seconds kPushInterval{5};

/// Observed addresses: agreeing observers before one is believed, how long each counts, how many are given out for one
/// local address.
inline constexpr std::size_t kObserversNeeded = 4;
inline constexpr std::chrono::minutes kObservationTtl{30};
inline constexpr std::size_t kExternalAddressesMax = 3;
/// Our own: observations held in all, the oldest going first.
inline constexpr std::size_t kObservationsMax = 1024;

}  // namespace nmp::libp2p::identify
