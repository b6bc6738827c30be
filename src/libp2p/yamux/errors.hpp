#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace nmp::libp2p::yamux {

enum class Errc {
  local_close = 1,   ///< We closed it.
  peer_close,        ///< The peer said go-away with a reason; the close code tells which.
  transport_closed,  ///< The bytes below ended.
  ping_timeout,      ///< The peer is silent.

  // What a peer did against the protocol; it is told "protocol error".
  bad_version,
  bad_type,
  bad_flags,
  bad_stream_id,         ///< A stream's frame with id 0, or the session's with another.
  wrong_parity,          ///< It opened a stream with an id of ours.
  stream_reused,         ///< It opened a stream twice.
  unknown_stream,        ///< A frame of a stream of ours that we have not opened yet.
  opened_after_go_away,  ///< It said that it would open none.
  frame_too_large,
  window_exceeded,  ///< Data beyond the credit that it has.
  window_overflow,  ///< Credit beyond 2^32 - 1.
  data_after_end,   ///< Data after FIN.

  // What a peer did too often; it is told "rate limited".
  open_flood,
  reset_flood,
  ping_flood,
  idle_flood,
  refusal_flood,  ///< Refused streams, whose answers it does not read.

  // Answers to open_stream().
  stream_limit,   ///< Not now.
  going_away,     ///< Never again: either side has said go-away.
  ids_exhausted,  ///< Never again: 2^31 streams were opened.
};
std::error_code make_error_code(Errc code);

/// Why a session ended.
struct CloseReason {
  Errc error = Errc::local_close;
  std::uint32_t code = 0;  ///< of the go-away frame that was received or sent, if there was one
  std::string text;        ///< for operators
};

}  // namespace nmp::libp2p::yamux

template <>
struct std::is_error_code_enum<nmp::libp2p::yamux::Errc> : std::true_type {};
