#pragma once

#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "libp2p/peer/keys.hpp"
#include "libp2p/peer/multiaddr.hpp"
#include "libp2p/peer/peer_id.hpp"

/// Signed envelopes (libp2p RFC 0002) and the peer records in them (RFC 0003).
namespace nmp::libp2p {

struct SignedEnvelope {
  PublicKey signer;
  Bytes payload_type;
  Bytes payload;
  Bytes signature;

  /// Errors: PeerErrc::malformed, too_large, and those of PublicKey::decode. The signature is not judged.
  static Result<SignedEnvelope> decode(ByteView bytes);
  [[nodiscard]] Bytes encode() const;
  [[nodiscard]] bool verify(std::string_view domain) const;
};

/// What is signed: domain, payload type and payload, each after its length.
[[nodiscard]] Bytes envelope_signing_buffer(std::string_view domain, ByteView payload_type, ByteView payload);
[[nodiscard]] SignedEnvelope seal_envelope(const KeyPair& signer,
                                           std::string_view domain,
                                           ByteView payload_type,
                                           ByteView payload);

/// Where a peer says it is. Of two records the one with the higher `seq` holds.
struct PeerRecord {
  PeerId id;
  std::uint64_t seq = 0;
  std::vector<Multiaddr> addresses;

  [[nodiscard]] Bytes encode() const;
  /// Addresses that we cannot read are left out. Errors: PeerErrc::malformed, too_large (over kRecordAddressesMax).
  static Result<PeerRecord> decode(ByteView bytes);
  friend bool operator==(const PeerRecord&, const PeerRecord&) = default;
};

/// The envelope's bytes in the deployed form (domain `libp2p-peer-record`). `record.id` is the signer's (asserted).
[[nodiscard]] Bytes seal_peer_record(const KeyPair& signer, const PeerRecord& record);
/// Takes the deployed form and that of RFC 0003's text. The caller compares `seq` with what it has stored.
/// Errors: those of the decoders; PeerErrc::invalid_signature; wrong_signer if record and signer differ or the payload
/// type is another.
Result<PeerRecord> open_peer_record(ByteView envelope);

}  // namespace nmp::libp2p
