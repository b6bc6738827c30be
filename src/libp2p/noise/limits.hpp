#pragma once

#include <cstddef>

/// What a Noise peer can make us hold.
namespace nmp::libp2p::noise {

/// Noise revision 34, section 3: a Noise message, whose length libp2p writes in two bytes.
inline constexpr std::size_t kFrameBytesMax = 65'535;
/// What fits into a frame beside its tag.
inline constexpr std::size_t kPlaintextBytesMax = kFrameBytesMax - 16;
/// Messages 2 and 3, from a stranger. An RSA host key of 8192 bits and its signature take 2.1 KiB, both lists the rest.
inline constexpr std::size_t kHandshakeMessageBytesMax = 8UZ * 1024;
/// Entries of a peer's list of muxers: two exist. One more is refused, since a cut list could choose differently.
inline constexpr std::size_t kMuxersMax = 32;
/// No frame is opened while this much plaintext is unread: at most this and one frame are held.
inline constexpr std::size_t kUnreadBytesMax = 64UZ * 1024;
/// No frame is sealed while this much is unsent: at most this and one frame are held.
inline constexpr std::size_t kUnsentBytesMax = 256UZ * 1024;

}  // namespace nmp::libp2p::noise
