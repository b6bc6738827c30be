#pragma once

#include <cstddef>

/// What a WebSocket peer can make us hold.
namespace nmp::libp2p::websocket {

/// The head of the upgrade request or its answer: browsers send under 1 KiB, with cookies up to 4.
inline constexpr std::size_t kHeadBytesMax = 8UZ * 1024;
/// RFC 6455 section 5.5: the payload of a control frame.
inline constexpr std::size_t kControlBytesMax = 125;
/// Payload of the frames that we send.
inline constexpr std::size_t kFrameBytesMax = 16UZ * 1024;
/// Nothing is taken while this much payload is unread.
inline constexpr std::size_t kUnreadBytesMax = 64UZ * 1024;
/// No data is framed while this much is unsent; a ping that comes then gets no answer, which section 5.5.3 allows when
/// a later one gets it.
inline constexpr std::size_t kUnsentBytesMax = 256UZ * 1024;

}  // namespace nmp::libp2p::websocket
