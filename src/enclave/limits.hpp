#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

/// What evidence and images may make this room hold or walk.
namespace nmp::enclave {

/// A Nitro document; a genuine one has some 4.7 KB, the largest that its parts allow 14 KB.
inline constexpr std::size_t kNitroDocumentBytesMax = 16 * 1024;
/// Nesting of its payload: the map, `pcrs` or `cabundle`, their entries. One more than is used.
inline constexpr std::size_t kNitroDepthMax = 4;
/// Nine fields, 32 registers and a bundle, with room for fields to come.
inline constexpr std::size_t kNitroItemsMax = 256;
/// AWS's own bounds ("Verifying the root of trust", syntactical validation).
inline constexpr std::size_t kNitroCertificateBytesMax = 1024;
inline constexpr std::size_t kNitroPublicKeyBytesMax = 1024;
inline constexpr std::size_t kNitroUserDataBytesMax = 512;
inline constexpr std::size_t kNitroNonceBytesMax = 512;
inline constexpr std::size_t kPcrsMax = 32;
/// A genuine bundle has four; more are not a chain but work.
inline constexpr std::size_t kNitroBundleMax = 8;

/// AMD SEV-SNP attestation report, table "ATTESTATION_REPORT structure": a fixed size.
inline constexpr std::size_t kSnpReportBytes = 1184;

/// How far a document's own time may lie from the verifier's: a leaf lives 3 h, far too long against replays.
inline constexpr std::chrono::seconds kDocumentAgeMax{300};

/// Certificates that come beside evidence: a folder with the chains of all of AMD's products has nine.
inline constexpr std::size_t kCertificatesMax = 64;

}  // namespace nmp::enclave
