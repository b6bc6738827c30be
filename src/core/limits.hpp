#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

/// What a peer may make this room hold or compute. Sources: security.md ("Who calls", "Mesh and bridges").
namespace nmp::core {

/// A whole intent (COSE). Checked before anything is parsed.
inline constexpr std::size_t kIntentBytesMax = 8 * 1024;
/// A whole answer; its largest part is a signed tree head.
inline constexpr std::size_t kAnswerBytesMax = 8 * 1024;
/// Suites offered in one intent; suite 1 is the only one in use.
inline constexpr std::size_t kSuitesMax = 16;
/// A signed manifest: fits one DHT record and one manifest stream.
inline constexpr std::size_t kManifestBytesMax = 256 * 1024;
inline constexpr std::size_t kManifestCapabilitiesMax = 64;
inline constexpr std::size_t kManifestDatasetsMax = 64;
/// JSON-Schema text of one capability's inputs or evidence.
inline constexpr std::size_t kSchemaBytesMax = 32 * 1024;
/// Descriptions, software names, messages: shown to people.
inline constexpr std::size_t kTextBytesMax = 4 * 1024;
/// A receipt statement (COSE): up to kReceiptDatasetsMax commitments.
inline constexpr std::size_t kReceiptBytesMax = 16 * 1024;
inline constexpr std::size_t kReceiptDatasetsMax = 64;
/// cryptographic_proof: receipt, tree head, and 64 hashes of a path.
inline constexpr std::size_t kProofBytesMax = kReceiptBytesMax + 8 * 1024;
inline constexpr std::size_t kPathHashesMax = 64;
/// Names of capabilities, datasets, inputs: one letter or digit and up to 62 more.
inline constexpr std::size_t kNameBytesMax = 63;
/// Inputs of one call: how many, and their bytes in all.
inline constexpr std::size_t kInputsMax = 256;
inline constexpr std::size_t kInputsBytesMax = 64 * 1024 * 1024;
/// Watchdogs that one answer lists.
inline constexpr std::size_t kWatchListMax = 1024;
/// One box: the message ceiling of the wire (64 MiB) and nothing more.
inline constexpr std::size_t kBoxBytesMax = 64 * 1024 * 1024;
/// Boxes per key, far below AES-GCM's bound for 96-bit counter nonces (NIST SP 800-38D section 8.3).
inline constexpr std::uint64_t kBoxesMax = 1ULL << 32;
/// A trust file: some thousands of pinned peers.
inline constexpr std::size_t kTrustFileBytesMax = 1024 * 1024;

/// Clock rules of an intent.
inline constexpr std::chrono::seconds kIntentLifeMax{120};
inline constexpr std::chrono::seconds kClockSkewMax{30};
/// A session token lives no longer.
inline constexpr std::chrono::seconds kSessionLifeMax{60};
inline constexpr std::chrono::hours kManifestLifeMax{24};

}  // namespace nmp::core
