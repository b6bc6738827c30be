#pragma once

#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace nmp::libp2p::tls {

/// The certificates of a TLS 1.3 Certificate message without its header (RFC 8446 section 4.4.2), at most the first
/// two: the chain has to be of one. Its extensions are skipped. Errors: base truncated, malformed.
Result<std::vector<Bytes>> certificates_of(ByteView message);

}  // namespace nmp::libp2p::tls
