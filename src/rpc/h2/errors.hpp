#pragma once

#include "base/result.hpp"

namespace nmp::h2 {

enum class Errc {
  protocol = 1,            ///< The peer breaks HTTP/2; GOAWAY is in the output.
  flooded,                 ///< A ceiling of limits.hpp; GOAWAY with ENHANCE_YOUR_CALM is in the output.
  ended,                   ///< The session has ended: nothing more is taken.
  no_stream,               ///< The stream is closed or never was.
  refused,                 ///< No more streams: GOAWAY was seen, or stream numbers are used up.
  message_too_large,       ///< A message, or what it inflates to, is over its cap.
  bad_frame,               ///< gRPC's five-byte message header is not one.
  unexpected_compression,  ///< A compressed message without grpc-encoding.
  bad_compression,         ///< gzip data that is not.
  bad_timeout,
  bad_metadata,
};
std::error_code make_error_code(Errc code);

}  // namespace nmp::h2

template <>
struct std::is_error_code_enum<nmp::h2::Errc> : std::true_type {};
