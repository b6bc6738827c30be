#pragma once

#include <cstddef>

namespace nmp::libp2p::multistream {

/// A token with its newline, libp2p.md section 4 (go's limit).
inline constexpr std::size_t kTokenBytesMax = 1024;
/// Proposals that a listener answers on one stream, libp2p.md section 4.
inline constexpr std::size_t kProposalsMax = 64;

}  // namespace nmp::libp2p::multistream
