#pragma once

#include <cstddef>

#include "base/time.hpp"

/// What the addresses of strangers can make us do.
namespace nmp::libp2p::dial {

/// libp2p.md section 3, "dnsaddr": names that lead to names, as deep as go-libp2p follows them.
inline constexpr std::size_t kNameDepthMax = 4;
/// Questions about one peer's addresses: each of them may be a stranger's way to make us ask a server of his choice.
inline constexpr std::size_t kQuestionsMax = 32;
/// Addresses that all names of a peer give (libp2p.md section 3: js takes 32, go 100).
inline constexpr std::size_t kResolvedMax = 32;
/// TXT records of one name.
inline constexpr std::size_t kTextsPerNameMax = 64;
/// Addresses of one name; more only stand for the same machines.
inline constexpr std::size_t kAddressesPerNameMax = 8;

/// libp2p.md section 17: how long the next address waits for the one before it. RFC 8305 section 5 recommends 250 ms.
inline constexpr Duration kStep = std::chrono::milliseconds(250);
inline constexpr Duration kStepPrivate = std::chrono::milliseconds(30);
/// Above kStep, for what is neither QUIC nor plain TCP.
inline constexpr Duration kOthersLater = std::chrono::seconds(1);
inline constexpr Duration kOthersLaterPrivate = std::chrono::milliseconds(100);
/// A relay's addresses wait for the direct ones.
inline constexpr Duration kRelayedLater = std::chrono::milliseconds(500);

/// libp2p.md section 17: min(5 s + 1 s * tries^2, 5 min).
inline constexpr Duration kBackoffBase = std::chrono::seconds(5);
inline constexpr Duration kBackoffStep = std::chrono::seconds(1);
inline constexpr Duration kBackoffMax = std::chrono::minutes(5);
/// (peer, address) pairs that are remembered; about 300 bytes each.
inline constexpr std::size_t kBackoffEntriesMax = 4096;

/// libp2p.md section 17: fewer than 5 successes among 100 dials are a black hole; then 1 dial in 100 looks again.
inline constexpr std::size_t kHoleWindow = 100;
inline constexpr std::size_t kHoleSuccessesMin = 5;
inline constexpr std::size_t kHoleProbeEvery = 100;

}  // namespace nmp::libp2p::dial
