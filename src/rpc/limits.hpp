#pragma once

#include <chrono>
#include <cstddef>

#include "base/time.hpp"

/// What a peer can make a connection hold or do.
namespace nmp::rpc {

/// One message after decompression, unless the method says otherwise: a module and its inputs fit.
inline constexpr std::size_t kMessageBytesMax = 64UZ << 20;
/// Window of a call before its method is known and its first bytes are accepted (security.md, "Privacy, side channels,
/// exhaustion"). Also RFC 9113 section 6.9.2's default.
inline constexpr std::size_t kInitialWindowBytes = 65'535;
/// Window of an accepted call: what a caller may have in flight to a handler that does not read.
inline constexpr std::size_t kOpenWindowBytes = 256UZ << 10;
/// Received bytes of an accepted call after which its window opens: small calls need no WINDOW_UPDATE.
inline constexpr std::size_t kOpenWindowAfterBytes = 16UZ << 10;
/// Window of the connection, which is credited as bytes arrive, so that a stalled call does not stall others. What they
/// hold together is bounded by kConnectionHeldBytesMax.
inline constexpr std::size_t kConnectionWindowBytes = 4UZ << 20;
/// Bytes of all calls of a connection that have arrived and have not been read, finished or not: past it, the calls
/// that want more end with resource_exhausted. One message of the largest size, and windows of many stalled calls.
inline constexpr std::size_t kConnectionHeldBytesMax = 192UZ << 20;
/// Unsent bytes of a call above which write() waits.
inline constexpr std::size_t kSendQueueBytes = 128UZ << 10;
/// Concurrent calls of a connection (SETTINGS_MAX_CONCURRENT_STREAMS).
inline constexpr std::size_t kCallsMax = 1'024;
/// Handlers of a connection that run, those of cancelled calls included: rapid resets do not start more.
inline constexpr std::size_t kHandlersMax = 2 * kCallsMax;
/// Before the first accepted intent: 4 streams, 64 KiB, 10 s (security.md, as above).
inline constexpr std::size_t kProbationCallsMax = 4;
inline constexpr Duration kProbationTime = std::chrono::seconds(10);
/// An admitted connection without a call under way may lose its place to a newcomer after this: an agent that
/// negotiates and runs is done with one step and at the next within seconds, and dials again if it was not.
inline constexpr Duration kIdleTime = std::chrono::seconds(30);
/// How long a connection that ends may take to send its GOAWAY, and then to see the peer's end.
inline constexpr Duration kLingerTime = std::chrono::seconds(1);
/// Pings on a quiet connection, and how long an answer may take.
inline constexpr Duration kKeepaliveInterval = std::chrono::seconds(60);
inline constexpr Duration kKeepaliveTimeout = std::chrono::seconds(20);

}  // namespace nmp::rpc
