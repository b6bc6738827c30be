#pragma once

#include <chrono>
#include <cstddef>

/// What a peer can make this room, and the host on its behalf, spend. Values of go-libp2p v0.48, protocol/ping and
/// rcmgr.
namespace nmp::libp2p::ping {

/// Inbound ping streams of one peer at a time; more are reset.
inline constexpr std::size_t kInboundStreamsPerPeer = 2;
/// One exchange, seen from the responder: a peer that says nothing for this long is done.
inline constexpr std::chrono::seconds kExchangeTimeout{10};
/// The asking side waits longer: rust-libp2p may answer the second ping of a stream only after 15 s.
inline constexpr std::chrono::seconds kInitiatorTimeout{20};

}  // namespace nmp::libp2p::ping
