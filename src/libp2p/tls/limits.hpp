#pragma once

#include <cstddef>
#include <cstdint>

/// What a TLS peer can make us hold or do.
namespace nmp::libp2p::tls {

/// One handshake message: a certificate with an RSA host key of 8192 bits is under 4 KiB.
inline constexpr std::size_t kHandshakeMessageMax = 16UZ * 1024;
/// All that is read of a stranger until the handshake is over; an honest one takes under 8 KiB.
inline constexpr std::size_t kHandshakeBytesMax = 64UZ * 1024;
/// RFC 8446 section 5.1: plaintext of a record.
inline constexpr std::size_t kRecordBytesMax = 16UZ * 1024;
/// No record is opened while this much plaintext is unread: at most this and one record are held.
inline constexpr std::size_t kUnreadBytesMax = 64UZ * 1024;
/// No record is sealed while this much is unsent: at most this and one record are held.
inline constexpr std::size_t kUnsentBytesMax = 256UZ * 1024;
/// RFC 8446 section 5.5: 2^24.5 full records under one AES-GCM key; then it is changed.
inline constexpr std::uint64_t kRecordsPerKeyMax = 1ULL << 24;
/// Muxers that we may offer: GnuTLS holds 8 protocols, of which one is `libp2p`.
inline constexpr std::size_t kMuxersMax = 7;
/// A protocol's name in GnuTLS.
inline constexpr std::size_t kMuxerBytesMax = 31;

}  // namespace nmp::libp2p::tls
