#pragma once

#include <optional>
#include <string>
#include <vector>

#include "crypto/x25519.hpp"
#include "libp2p/noise/errors.hpp"
#include "libp2p/peer/keys.hpp"

namespace nmp::libp2p::noise {

/// NoiseHandshakePayload of libp2p/specs noise/README.md, which messages 2 and 3 carry. `webtransport_certhashes` and
/// the reserved field 3 are not read.
struct HandshakePayload {
  Bytes identity_key;                      ///< PublicKey protobuf
  Bytes identity_sig;                      ///< over static_key_message()
  std::vector<std::string> stream_muxers;  ///< in order of preference; empty: none, the muxer is yet to be negotiated

  [[nodiscard]] Bytes encode() const;
  /// Errors: bad_payload.
  static Result<HandshakePayload> decode(ByteView bytes);
  friend bool operator==(const HandshakePayload&, const HandshakePayload&) = default;
};

/// What the host key signs: a prefix, then the static public key.
[[nodiscard]] Bytes static_key_message(const crypto::X25519PublicKey& static_key);

/// The host key, once it is known to have signed the static key. Errors: bad_identity.
Result<PublicKey> verify_identity(const HandshakePayload& payload, const crypto::X25519PublicKey& static_key);

/// libp2p/specs connections/inlined-muxer-negotiation.md: the first of the initiator's list that the responder lists
/// too; nothing if either list is empty. Errors: no_common_muxer.
Result<std::optional<std::string>> choose_muxer(const std::vector<std::string>& initiator,
                                                const std::vector<std::string>& responder);

}  // namespace nmp::libp2p::noise
