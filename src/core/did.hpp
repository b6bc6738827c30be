#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "crypto/ed25519.hpp"
#include "libp2p/peer/peer_id.hpp"

namespace nmp::core {

/// `did:key:z6Mk...`: base58btc of 0xed 0x01 and the 32-byte key (W3C CCG did:key, section 3.1.2; multicodec
/// ed25519-pub).
[[nodiscard]] std::string did_of(const crypto::Ed25519PublicKey& key);
/// Errors: Errc::bad_did unless the peer ID holds an Ed25519 key.
Result<std::string> did_of(const libp2p::PeerId& peer);

/// The text is re-encoded and compared, so that one key has one DID. Errors: Errc::bad_did.
Result<crypto::Ed25519PublicKey> parse_did(std::string_view text);
Result<libp2p::PeerId> peer_of_did(std::string_view text);

/// The identity multihash (38 bytes) that stands for an Ed25519 key in every statement.
[[nodiscard]] libp2p::PeerId peer_of(const crypto::Ed25519PublicKey& key);

}  // namespace nmp::core
