#pragma once

#include <chrono>
#include <cstddef>

/// What strangers can make a Kademlia node hold, send and do. Sources: github.com/libp2p/specs kad-dht/README.md
/// ("spec"), go-libp2p-kad-dht v0.36 ("go"), libp2p-kad 0.48 of rust-libp2p ("rust"); the rest is ours, with its
/// reason.
namespace nmp::libp2p::kad {

// ---- messages

/// A message as we send it. rust drops those above 16 KiB; the rest is room for its own framing.
inline constexpr std::size_t kMessageBytesMaxSent = 14 * 1024;
/// A message as we read it unless configured otherwise: a whole value of rust's ceiling fits.
inline constexpr std::size_t kMessageBytesMax = 64 * 1024;
/// A key in any message. go and nim refuse provider keys above 80 bytes; record keys carry a namespace and a name.
inline constexpr std::size_t kKeyBytesMax = 256;
inline constexpr std::size_t kProviderKeyBytesMax = 80;
/// Peers read from one list of one message: as many providers as an answer of ours may have; those behind are ignored.
inline constexpr std::size_t kPeersPerListMax = 64;
/// Room in an answer that fat provider entries cannot take from the closer peers: 20 of them with three addresses each.
inline constexpr std::size_t kCloserPeersReserve = 4 * 1024;
/// Addresses read, kept and sent per peer. A host with two families and a few interfaces has less.
inline constexpr std::size_t kAddressesPeerMax = 16;
/// A timeReceived text is RFC 3339 with nanoseconds: 35 bytes.
inline constexpr std::size_t kTimeReceivedBytesMax = 64;

// ---- lookups (spec "Kademlia Distance", "Alpha"; go)

/// Bucket size, answer size, replication. Spec: k = 20.
inline constexpr std::size_t kK = 20;
/// In-flight requests per lookup. Spec: alpha = 10.
inline constexpr std::size_t kAlpha = 10;
/// The closest peers that must have answered before a lookup ends. go: beta = 3.
inline constexpr std::size_t kBeta = 3;
/// New peers taken from one answer: what an honest one has. go: hard cap 2k.
inline constexpr std::size_t kPeersPerAnswerMax = kK;
/// Peers in one lookup in all: what an adversary with endless identities can make us remember and ask.
inline constexpr std::size_t kPeersPerLookupMax = 500;
/// Disjoint paths of one lookup. More of them share alpha, so that each is slower; bench/kad_simulation says what they
/// cost and what they hold off. S/Kademlia: 4 to 8; rust: alpha, off by default.
inline constexpr std::size_t kPaths = 4;
inline constexpr std::size_t kPathsMax = 16;
/// Peers of one IP group (ip_group.hpp) that one path asks: as many as one bucket may hold.
inline constexpr std::size_t kGroupPathMax = 3;
inline constexpr std::size_t kWideGroupPathMax = 8;
/// One request, dialling included. go and rust: 10 s.
inline constexpr std::chrono::seconds kRequestTimeout{10};
/// A whole lookup unless its caller says otherwise. rust and go: 60 s.
inline constexpr std::chrono::seconds kLookupTimeout{60};

// ---- routing table

/// Members per address group, in the table and in one bucket; a group is an IPv4 /24 or an IPv6 /48.
/// nim: 10 per /24; go: 3 and 2 per /16. Private and loopback addresses are not counted.
inline constexpr std::size_t kGroupTableMax = 10;
inline constexpr std::size_t kGroupBucketMax = 3;
/// The same for an IPv4 /16 or an IPv6 /32, so that whoever rents many small networks of one provider holds less than
/// half of a bucket of 20; more than go's, since a data centre's honest peers share a /16 too.
inline constexpr std::size_t kWideGroupTableMax = 40;
inline constexpr std::size_t kWideGroupBucketMax = 8;
/// Requests in a row that a member leaves unanswered before it goes.
inline constexpr std::size_t kFailuresMax = 3;
/// A member that has been of no use for this long may make room for a newcomer. go: twice the refresh period.
inline constexpr std::chrono::minutes kUsefulWithin{20};
/// Buckets up to this common prefix length are refreshed. go: 15.
inline constexpr std::size_t kRefreshPrefixMax = 15;
/// Spec: 10 min.
inline constexpr std::chrono::minutes kRefreshInterval{10};
/// Below this many members the node bootstraps anew. go: 10, checked each 2 min.
inline constexpr std::size_t kTableLow = 10;
inline constexpr std::chrono::minutes kTableCheckInterval{2};

/// Newcomers asked at once whether they answer before they become members, and stale members asked whether they still
/// do; more wait for the next occasion.
inline constexpr std::size_t kChecksMax = 32;
/// Own keys announced anew at once.
inline constexpr std::size_t kRepublishesMax = 4;
/// How often a node looks whether something periodic is due.
inline constexpr std::chrono::seconds kTick{15};
/// Peers remembered across restarts: more than enough to find the others again.
inline constexpr std::size_t kSnapshotPeersMax = 64;
/// A snapshot in all: 16 Ki provider records of 100 to 200 bytes, with room for fat ones.
inline constexpr std::size_t kSnapshotBytesMax = 8UZ * 1024 * 1024;

// ---- the network's size, and places that are too crowded

/// Closest peers that a lookup must have found to say something; lookups behind the first estimate; lookups kept.
inline constexpr std::size_t kSizePeersMin = 8;
inline constexpr std::size_t kSizeSamplesMin = 5;
inline constexpr std::size_t kSizeSamples = 50;
/// A place this much denser than the network is crowded. With 20 peers chance does that once in 3000 lookups (a Poisson
/// count of 20 where 8 are expected); sybils that own a key are 10 times denser and more.
inline constexpr double kCrowdedFactor = 2.5;
/// There a provider record goes to this many times k peers, so that some are not the sybils.
inline constexpr std::size_t kCrowdedSpread = 3;

// ---- client or server

/// Different peers that must have reached us by themselves before we call ourselves reachable, and how long it counts.
inline constexpr std::size_t kInboundEvidence = 3;
inline constexpr std::chrono::hours kInboundEvidenceTtl{1};

// ---- what is stored for others

/// Spec: 48 h for values and provider records, provided anew every 22 h.
inline constexpr std::chrono::hours kRecordTtl{48};
inline constexpr std::chrono::hours kProviderTtl{48};
inline constexpr std::chrono::hours kProvideInterval{22};
/// Values: rust keeps 1024. One value fits a message; in all 12 MiB at most.
inline constexpr std::size_t kRecordsMax = 1024;
inline constexpr std::size_t kValueBytesMax = 12 * 1024;
/// Values that one peer put: a quarter would let four peers fill the store.
inline constexpr std::size_t kRecordsPerPeerMax = 64;
/// Provider records: per key (an answer carries about as many in 14 KiB), per provider, and in all.
inline constexpr std::size_t kProvidersPerKeyMax = 64;
inline constexpr std::size_t kProviderKeysPerPeerMax = 1024;
inline constexpr std::size_t kProvidersMax = 16 * 1024;

// ---- requests of one peer

/// A lookup asks a peer once, and a busy agent in a small mesh makes some tens of lookups a second; all beyond is
/// refused, and the stream reset. 100 requests are about 5 ms of work.
inline constexpr double kRequestsPerSecond = 100;
inline constexpr double kRequestsBurst = 2000;
/// Of these, PUT_VALUE and ADD_PROVIDER, which make us keep something. In a mesh of no more than 20 peers each of them
/// gets every record of a provider at once: as many as it may have here.
inline constexpr double kStoresPerSecond = 20;
inline constexpr double kStoresBurst{kProviderKeysPerPeerMax};
/// Peers whose rate is remembered: all connections that a host has, and as many again that left a moment ago.
inline constexpr std::size_t kRatePeersMax = 4096;

// ---- streams and work, for the acting driver

/// Spec implementation notes of go, rust and js: 32 inbound streams per connection; 256 in all. More are reset.
inline constexpr std::size_t kInboundStreamsPerPeer = 32;
inline constexpr std::size_t kInboundStreamsMax = 256;
/// A stream that carries no request for this long is closed by the side that opened it; by the other after twice as
/// long, so that no request meets a closing stream.
inline constexpr std::chrono::seconds kStreamIdle{60};
/// Reading the rest of a request, and writing its answer.
inline constexpr std::chrono::seconds kServeTimeout{10};
/// Outbound streams kept open for reuse.
inline constexpr std::size_t kOutboundStreamsMax = 128;
/// A dial within a request: a live peer answers a QUIC handshake in a few round trips, and dead ones are common in
/// answers.
inline constexpr std::chrono::seconds kDialTimeout{3};
/// A peer that could not be dialled is not dialled again for this long: dead peers stay in others' answers for a while,
/// and each costs a lookup its whole request timeout. Peers remembered for it.
inline constexpr std::chrono::seconds kDialBackoff{30};
inline constexpr std::size_t kDialBackoffPeersMax = 1024;
/// Addresses heard of in answers are kept for a dial that may follow; those of found peers and providers longer.
/// go-libp2p peerstore: temporary 2 min, provider records' 30 min.
inline constexpr std::chrono::minutes kHeardAddressTtl{2};
inline constexpr std::chrono::minutes kFoundAddressTtl{30};

}  // namespace nmp::libp2p::kad
