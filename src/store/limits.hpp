#pragma once

#include <chrono>
#include <cstddef>

/// What peers can make the file grow to.
namespace nmp::store {

/// Live intents of one agent; then only that agent is refused (security.md, "Who calls").
inline constexpr std::size_t kLiveIntentsPerAgentMax = 4096;
/// An intent is remembered this long after it expires.
inline constexpr std::chrono::seconds kReplayGrace{60};
/// How far the clock may be behind the greatest time ever stored.
inline constexpr std::chrono::minutes kClockBehindMax{5};
/// The stored wall time is written at most this often by `note_time`; a replay entry always writes it.
inline constexpr std::chrono::seconds kTimeGranularity{1};
/// How long a statement waits for another process that writes to the same file.
inline constexpr std::chrono::milliseconds kBusyTimeout{5000};
/// Run records kept; the oldest go first.
inline constexpr std::size_t kRunRecordsMax = 100'000;
/// Peers whose newest manifest is remembered; the least recently seen go first.
inline constexpr std::size_t kManifestPeersMax = 100'000;

}  // namespace nmp::store
