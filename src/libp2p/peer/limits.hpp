#pragma once

#include <cstddef>

namespace nmp::libp2p {

/// libp2p.md section 2: RSA bounds. Unbounded keys let a peer burn CPU (CVE-2023-39533).
inline constexpr int kRsaBitsMin = 2048;
inline constexpr int kRsaBitsMax = 8192;
/// Of the public exponent, which is 65537 in practice: one as long as its modulus makes a check cost what a signature
/// does. OpenSSL has this bound for keys above 3072 bits.
inline constexpr int kRsaExponentBitsMax = 64;
/// A PublicKey protobuf: SubjectPublicKeyInfo of an 8192-bit RSA key is 1062 bytes.
inline constexpr std::size_t kPublicKeyBytesMax = 1200;
/// A signature: 8192-bit RSA.
inline constexpr std::size_t kSignatureBytesMax = 1024;
/// Largest digest of a multihash: sha2-512 with room; keeps base58 and base36 text, which are quadratic, cheap.
inline constexpr std::size_t kDigestBytesMax = 128;
/// Largest key protobuf that stands in a peer ID itself (peer-ids.md).
inline constexpr std::size_t kInlineKeyBytesMax = 42;
/// Text of a peer ID, CID or multihash: 140 bytes in hex, and the prefix.
inline constexpr std::size_t kCidTextMax = 300;
/// One multiaddr in binary: a relayed DNS address with two peer IDs takes about 350 bytes.
inline constexpr std::size_t kMultiaddrBytesMax = 1024;
inline constexpr std::size_t kMultiaddrTextMax = 3072;
inline constexpr std::size_t kMultiaddrComponentsMax = 32;
/// A DNS name (RFC 1035 section 2.3.4); also SNI, zone and path components.
inline constexpr std::size_t kMultiaddrValueBytesMax = 255;
/// A TLS certificate: an 8192-bit RSA certificate with an 8192-bit host key takes about 5 KiB.
inline constexpr std::size_t kCertificateBytesMax = 8 * 1024;
/// A signed envelope: go-libp2p's largest identify message.
inline constexpr std::size_t kEnvelopeBytesMax = 8 * 1024;
/// Addresses in one peer record, as in go-libp2p's address book.
inline constexpr std::size_t kRecordAddressesMax = 500;
/// A key file: one protobuf of 68 or 100 bytes.
inline constexpr std::size_t kKeyFileBytesMax = 4 * 1024;

}  // namespace nmp::libp2p
