#pragma once

#include <cstddef>

namespace nmp::crypto {

/// Nesting of one CBOR object. security.md, "Encoding and keys"; also bounds the decoder's recursion.
inline constexpr std::size_t kCborDepthMax = 8;
/// Items in one CBOR object: a one-byte item costs about 60 bytes once decoded, so this caps the growth at 4 MiB.
inline constexpr std::size_t kCborItemsMax = 65'536;
/// One CBOR object: the largest message that a service takes (64 MiB), whose sealed body is one object.
inline constexpr std::size_t kCborBytesMax = std::size_t{64} << 20;
/// A COSE_Sign1 object: receipts and manifests are a few KiB; callers set less where they know better.
inline constexpr std::size_t kCoseBytesMax = std::size_t{1} << 20;
/// `typ` and `kid` of a COSE header: "application/nmp-revocation-v1+cose" and a 38-byte peer ID fit.
inline constexpr std::size_t kCoseTypBytesMax = 64;
inline constexpr std::size_t kCoseKidBytesMax = 64;

/// One certificate: AMD's with its RSA-4096 keys and signatures have some 1.7 KB.
inline constexpr std::size_t kCertificateBytesMax = 8 * 1024;
/// A PEM text of a chain; the longest known has three certificates.
inline constexpr std::size_t kPemBytesMax = 64 * 1024;
inline constexpr std::size_t kPemCertificatesMax = 16;

}  // namespace nmp::crypto
