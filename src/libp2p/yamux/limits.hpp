#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.hpp"

/// What a Yamux peer can make us hold or do.
namespace nmp::libp2p::yamux {

/// A token bucket: `burst` at once, `per_second` in the long run.
struct Rate {
  std::uint32_t burst;
  std::uint32_t per_second;
};

/// Streams opened by the peer that are not closed on both sides and released; the next is answered with RST. As over
/// QUIC (libp2p.md section 6); go's accept backlog has the same size.
inline constexpr std::size_t kPeerStreamsMax = 256;
/// We open none beyond this number of streams of both sides: rust-yamux ends the session at its 513th.
inline constexpr std::size_t kStreamsMax = 512;
/// Streams of ours that wait for the peer's ACK (yamux/README.md, "ACK backlog"): the peer may reset what is above.
inline constexpr std::size_t kAckBacklogMax = 256;
/// Streams opened in a row: handlers of a service that gets a stream for each call see at most this many.
inline constexpr Rate kOpenRate{.burst = 16'384, .per_second = 8'192};
/// Streams that the peer resets, or makes us refuse ("rapid reset"). Cancelling a full connection passes.
inline constexpr Rate kResetRate{.burst = 1'024, .per_second = 128};
/// Ping requests, and replies that nobody waits for. go and rust ask once in 10 to 30 s.
inline constexpr Rate kPingRate{.burst = 64, .per_second = 16};
/// Frames without effect: no data, no credit, no news in the flags, or of a stream that is gone. A stream that was
/// large may be followed by a handful of late window updates.
inline constexpr Rate kIdleFrameRate{.burst = 4'096, .per_second = 1'024};
/// Answers to refused streams that wait because the peer does not read; the only queue of control frames that is not
/// a flag of a living stream.
inline constexpr std::size_t kRefusalsMax = 256;
/// Ids of streams whose use is remembered, counted back from the highest: a SYN that reuses one is a protocol error.
/// One that is older, and not alive, is refused: rust may open late, but hardly by a thousand streams.
inline constexpr std::size_t kIdsRemembered = 1'024;

/// yamux/README.md, "Flow Control": both sides start here.
inline constexpr std::uint32_t kStreamWindowInitial = 256U * 1024;
/// A window that is the bottleneck doubles up to this, as over QUIC.
inline constexpr std::uint32_t kStreamWindowMax = 4U * 1024 * 1024;
/// All windows of a connection together grow by this above where they start, and by half of what may be unread: two
/// streams at full size, or many that are a little larger.
inline constexpr std::size_t kWindowGrowthMax = 8UZ * 1024 * 1024;
/// Unread bytes of all streams, unless the owner says less: 128 streams that nobody reads, at their first window, as
/// much as go's resource manager gives a connection. Beyond it the stream that gets data is reset, unless it holds less
/// than the floor: small conversations go on beside stalled ones.
inline constexpr std::size_t kConnectionUnreadMax = 32UZ * 1024 * 1024;
inline constexpr std::size_t kUnreadFloor = 16UZ * 1024;

/// Written bytes that have not been asked for, per stream: the transport below has a buffer of its own.
inline constexpr std::size_t kSendBufferMax = 256UZ * 1024;
/// Of all streams of a connection; each may always hold the floor, so that stalled streams do not stop others.
inline constexpr std::size_t kConnectionSendBufferMax = 4UZ * 1024 * 1024;
inline constexpr std::size_t kSendBufferFloor = 16UZ * 1024;

/// Accepted data frames; larger ones are refused by rust too, and go sends 64 KiB (libp2p.md section 8).
inline constexpr std::uint32_t kFrameBytesMax = 1024U * 1024;
/// One stream's turn while others wait; a stream alone fills what the owner offers, up to the second.
inline constexpr std::size_t kTurnBytes = 16UZ * 1024;
inline constexpr std::size_t kSentFrameBytesMax = 64UZ * 1024;

/// Keep-alive and round-trip time; go's interval.
inline constexpr Duration kPingInterval = std::chrono::seconds(30);
/// A peer that has sent nothing at all for so long after a ping became due is gone.
inline constexpr Duration kPongTimeout = std::chrono::seconds(20);
/// A stream that we have finished and read no more is reset if the peer does not finish within this.
inline constexpr Duration kLingerTimeout = std::chrono::seconds(10);
/// A released stream whose last bytes get no credit: a slow reader returns it by the half window only, at 2 KiB/s or
/// more.
inline constexpr Duration kStallTimeout = std::chrono::seconds(60);

}  // namespace nmp::libp2p::yamux
