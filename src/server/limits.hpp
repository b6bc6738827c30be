#pragma once

#include <chrono>
#include <cstddef>

/// What peers can make a data node hold. Security rules, "Privacy, side channels, exhaustion"; configuration may lower
/// them.
namespace nmp::server {

/// Open sessions of one caller: enough for a fan-out from one agent, little enough that a flood is one agent's own
/// problem.
inline constexpr std::size_t kSessionsPerCallerMax = 16;
/// Open sessions in all: each holds KEM secrets in the engine (about 4 KiB).
inline constexpr std::size_t kSessionsMax = 1024;
/// Of those, a quarter is kept for callers with a grant: strangers on `open` capabilities cannot lock out whom the
/// owner knows.
inline constexpr std::size_t kSessionsKeptForGrants = kSessionsMax / 4;
/// A session that is not used by then is gone, with its keys.
inline constexpr std::chrono::seconds kSessionLife{60};
/// Wrong boxes from a session's own caller before the session is erased.
inline constexpr int kFailedOpensMax = 3;

/// IntentRequest: an intent of 8 KiB, a grant of 16 KiB, names.
inline constexpr std::size_t kIntentRequestBytesMax = 32 * 1024;
/// LogicRequest with module and inputs, unless configured otherwise.
inline constexpr std::size_t kLogicRequestBytesMax = 64 * 1024 * 1024;
/// A LogicRequest shows its session token within this many bytes, or gets no window.
inline constexpr std::size_t kTokenPrefixBytes = 4 * 1024;
/// Requests that wait for a run to end (half of them of one caller): a whole fan-out of small ones on one connection.
inline constexpr std::size_t kRunsWaitingMax = 2048;
/// Their bytes, and those of requests on their way to the engine; half of them of one caller: two of the largest size.
inline constexpr std::size_t kRunsWaitingBytesMax = 4 * kLogicRequestBytesMax;
/// A LogicRequest arrives within this time: its token lives no longer.
inline constexpr std::chrono::seconds kUploadTime = kSessionLife;
/// What a run may take beyond its wall time: compiling, committing to datasets, and handing on what it has left. Then a
/// reader that takes nothing has lost it.
inline constexpr std::chrono::minutes kRunOverhead{5};
/// Connections of the plain listener at a time, about 150 KiB each. All come from one address, so none is counted
/// apart: a newcomer takes the place of one that has begun no call, else of a stranger's, else of one with an accepted
/// intent that has had no call under way for half a minute.
inline constexpr std::size_t kTcpConnectionsMax = 256;
/// Streams of /nmp/grpc/1.0.0 at a time, about 150 KiB each with what they may hold unread before an accepted intent: a
/// newcomer takes a place as above. An agent uses one; eight peers can come from one address.
inline constexpr std::size_t kGrpcStreamsMax = 512;
inline constexpr std::size_t kGrpcStreamsPerPeerMax = 16;

/// Watchdogs of all callers, unless configured otherwise: 1,000 that sleep take some tens of MiB.
inline constexpr std::uint32_t kWatchdogsDefault = 1000;
/// Streams of watchdogs' events at a time, and requests for one that wait: a quarter is one caller's at most.
inline constexpr std::size_t kWatchStreamsMax = 512;
inline constexpr std::size_t kWatchRequestsWaitingMax = 64;
/// What is asked about a watchdog: a ciphertext, a token, a small box.
inline constexpr std::size_t kWatchRequestBytesMax = 16 * 1024;
/// Such a stream ends after this; whoever wants more asks again, from where he was.
inline constexpr std::chrono::hours kWatchStreamLife{1};
/// A request that is no stream is answered within this.
inline constexpr std::chrono::seconds kWatchRequestTime{30};
/// The list of an agent's watchdogs, or a log.
inline constexpr std::size_t kWatchAnswerBytesMax = 1024 * 1024;

/// How long a manifest is valid, and how often it is made anew (security rules: life <= 24 h).
inline constexpr std::chrono::hours kManifestLife{12};
inline constexpr std::chrono::hours kManifestRefresh{6};
/// A peer reads one manifest a stream; it is sent at once.
inline constexpr std::chrono::seconds kManifestDeadline{10};

}  // namespace nmp::server
