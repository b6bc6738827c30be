#pragma once

#include <string>
#include <vector>

#include "base/async/byte_stream.hpp"
#include "libp2p/multistream/multistream.hpp"

/// multistream-select on a whole connection: which security, which muxer (libp2p.md section 9).
namespace nmp::libp2p {

struct Negotiated {
  std::string protocol;
  Bytes early;  ///< what the peer has sent behind its last token
};

/// `early`: read already. Errors: the stream's, multistream::Errc, truncated.
async::Awaitable<Result<Negotiated>> propose(async::ByteStream& stream,
                                             std::vector<std::string> protocols,
                                             Bytes early);
async::Awaitable<Result<Negotiated>> answer(async::ByteStream& stream, std::vector<std::string> known, Bytes early);

}  // namespace nmp::libp2p
