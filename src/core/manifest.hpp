#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "core/authorization.hpp"
#include "core/receipt_kind.hpp"
#include "crypto/ed25519.hpp"
#include "crypto/hash.hpp"
#include "libp2p/peer/peer_id.hpp"

namespace nmp::core {

inline constexpr std::string_view kManifestTyp = "application/nmp-manifest-v1+cose";
/// Asked over this libp2p protocol: the answer is the COSE bytes and the stream's end.
inline constexpr std::string_view kManifestProtocol = "/nmp/manifest/1.0.0";

/// One capability that a node offers. Texts are data to be shown, never to be trusted.
struct ManifestCapability {
  std::string name;
  std::string description;
  std::string input_schema;     ///< JSON-Schema text; empty: not described.
  std::string evidence_schema;  ///< JSON-Schema text; empty: not described.
  Authorization limits;         ///< Ceilings; complete.
  bool open = false;            ///< Runs without a grant.
  std::vector<std::string> datasets;
  std::vector<ReceiptKind> receipt_kinds;
  friend bool operator==(const ManifestCapability&, const ManifestCapability&) = default;
};

/// Public description of a dataset.
struct ManifestDataset {
  std::string name;
  std::string description;
  std::optional<crypto::Digest> commitment;  ///< Where the owner publishes it.
  friend bool operator==(const ManifestDataset&, const ManifestDataset&) = default;
};

/// What a node says of itself; manifest.cddl. Lists are sorted by name, each name once.
struct Manifest {
  libp2p::PeerId node;
  std::uint64_t seq = 0;  ///< Rises with each manifest of this node.
  UnixSeconds issued = 0;
  UnixSeconds expires = 0;  ///< At most 24 h after `issued`.
  std::string software;     ///< "nmp/0.1.0"
  std::vector<ManifestCapability> capabilities;
  std::vector<ManifestDataset> datasets;
  std::vector<std::uint64_t> suites;
  std::optional<crypto::Digest> enclave_evidence;

  [[nodiscard]] const ManifestCapability* find(std::string_view capability) const;
};

/// Sorts the lists. Errors: bad_statement, bad_name, life_too_long, wrong_kid, nmp::Errc::too_large.
Result<Bytes> sign_manifest(Manifest manifest, const crypto::Ed25519KeyPair& node_key);

struct ReceivedManifest {
  Manifest manifest;
  Bytes cose;
  crypto::Digest hash{};  ///< H(cose): what an answer names, and what the store remembers beside seq.
};
/// Size, encoding, schema; kid = node. Errors: too_large, malformed, bad_statement, bad_name, wrong_kid, crypto's
/// codes.
Result<ReceivedManifest> parse_manifest(ByteView cose);
/// parse_manifest, then signer = `node`, its signature, its times. Whether seq may stand is store::PeerRecords' to say.
/// Errors: also wrong_kid, bad_signature, expired, not_yet, life_too_long.
Result<ReceivedManifest> verify_manifest(ByteView cose, const libp2p::PeerId& node, UnixSeconds now);

/// The DHT key of a node's manifest: "/nmp/manifest/" and the 38 bytes of its peer ID.
[[nodiscard]] Bytes manifest_record_key(const libp2p::PeerId& node);
/// For the DHT's validator of namespace `nmp`: on put and on get. Errors: bad_key, and those of verify_manifest.
Result<void> validate_record(ByteView key, ByteView value, UnixSeconds now);
/// Index of the value with the highest seq; the first of equals. Errors: nmp::Errc::not_found if none is valid.
Result<std::size_t> select_record(ByteView key, const std::vector<Bytes>& values, UnixSeconds now);

}  // namespace nmp::core
