#pragma once

#include <chrono>
#include <cstddef>

/// What peers can make a data node hold. Security rules, "Privacy, side channels, exhaustion"; configuration may lower them.
namespace nmp::server {

/// Open sessions of one caller: enough for a fan-out from one agent, little enough that a flood is one agent's own problem.
inline constexpr std::size_t kSessionsPerCallerMax = 16;
/// Open sessions in all: each holds KEM secrets in the engine (about 4 KiB).
inline constexpr std::size_t kSessionsMax = 1024;
/// Of those, a quarter is kept for callers with a grant: strangers on `open` capabilities cannot lock out whom the owner knows.
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
/// Bytes of sealed boxes that may wait between the engine and a slow reader.
inline constexpr std::size_t kBoxesInFlightBytes = 256 * 1024;

/// How long a manifest is valid, and how often it is made anew (security rules: life <= 24 h).
inline constexpr std::chrono::hours kManifestLife{12};
inline constexpr std::chrono::hours kManifestRefresh{6};
/// A peer reads one manifest a stream; it is sent at once.
inline constexpr std::chrono::seconds kManifestDeadline{10};

}  // namespace nmp::server
