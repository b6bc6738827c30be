#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.hpp"

/// What a peer can make a router hold or do. libp2p.md section 16 where go-libp2p-pubsub has a number.
namespace nmp::libp2p::gossipsub {

/// One RPC on the wire, and one message's data: the rest of an RPC fits beside it.
inline constexpr std::size_t kRpcBytesMax = 1UZ << 20;
inline constexpr std::size_t kDataBytesMax = kRpcBytesMax - (16UZ << 10);
/// A topic's name; go has no bound.
inline constexpr std::size_t kTopicBytesMax = 256;
/// A message id: `from` of at most 44 bytes and 8 of seqno.
inline constexpr std::size_t kMessageIdBytesMax = 64;
inline constexpr std::size_t kSeqnoBytes = 8;

/// Of one RPC; what is more makes it malformed. An RPC of many tiny entries costs more than its bytes.
inline constexpr std::size_t kSubscriptionsPerRpcMax = 512;
inline constexpr std::size_t kMessagesPerRpcMax = 1024;
inline constexpr std::size_t kControlsPerRpcMax = 512;
/// Ids of all IHAVE, IWANT and IDONTWANT lists of one RPC together: go's 5000, and as many again.
inline constexpr std::size_t kIdsPerRpcMax = 10'000;

/// Topics remembered of one peer (CVE-2026-46679, subscription flood): further ones are not.
inline constexpr std::size_t kTopicsPerPeerMax = 128;
/// Topics that we subscribe to ourselves.
inline constexpr std::size_t kOwnTopicsMax = 256;
/// Topics that we publish to without a subscription.
inline constexpr std::size_t kFanoutTopicsMax = 64;
/// Peers that a router talks to.
inline constexpr std::size_t kPeersMax = 1024;

/// RPCs with IHAVE that a peer may send between two heartbeats, and ids that we ask of it then (go: 10, 5000).
inline constexpr std::size_t kIhavesPerHeartbeatMax = 10;
inline constexpr std::size_t kIdsAskedPerHeartbeatMax = 5000;
/// How often one peer gets one message for the asking (go: 3).
inline constexpr std::size_t kRetransmissionsMax = 3;
/// IDONTWANT: lists a heartbeat and ids of each list that count (go: 1000, 10).
inline constexpr std::size_t kDontWantListsMax = 1000;
inline constexpr std::size_t kDontWantIdsPerListMax = 10;
inline constexpr std::size_t kDontWantIdsPerPeerMax = 1024;
/// IWANT promises that are watched; more are not.
inline constexpr std::size_t kPromisesMax = 4096;

/// Messages that wait for their owner's verdict: more are dropped, unseen, so that they may come again.
inline constexpr std::size_t kValidationsMax = 512;
/// Bytes of messages kept for gossip, all topics together; the oldest go first.
inline constexpr std::size_t kCacheBytesMax = 32UZ << 20;
/// Ids that are known to have been seen. At 120 s, more than 500 messages a second.
inline constexpr std::size_t kSeenMax = 65'536;
/// Peers that must not be grafted yet, of all topics.
inline constexpr std::size_t kBackoffsMax = 16'384;
/// Gone peers whose bad score is remembered.
inline constexpr std::size_t kRetainedScoresMax = 4096;

/// Longest backoff that a PRUNE from the wire can ask for. Added unclamped to a clock it wraps (GHSA-gc42-3jg7-rxr2,
/// CVE-2026-34219).
inline constexpr std::uint64_t kBackoffSecondsMax = 3600;

}  // namespace nmp::libp2p::gossipsub
