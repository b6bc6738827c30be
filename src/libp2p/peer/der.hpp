#pragma once

#include "base/bytes.hpp"
#include "base/codec.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

/// Strict DER (ITU-T X.690) as far as a certificate needs it, for certificate.cpp only.
namespace nmp::libp2p::der {

/// Identifier octets, X.690 section 8.1.2.
inline constexpr std::uint8_t kBoolean = 0x01;
inline constexpr std::uint8_t kInteger = 0x02;
inline constexpr std::uint8_t kBitString = 0x03;
inline constexpr std::uint8_t kOctetString = 0x04;
inline constexpr std::uint8_t kObjectId = 0x06;
inline constexpr std::uint8_t kUtcTime = 0x17;
inline constexpr std::uint8_t kGeneralizedTime = 0x18;
inline constexpr std::uint8_t kSequence = 0x30;
inline constexpr std::uint8_t kSet = 0x31;

struct Element {
  std::uint8_t tag = 0;
  ByteView value;
  ByteView whole;  ///< with tag and length
};

/// One element at the front: one-byte tag, definite length in its shortest form. Errors:
/// PeerErrc::certificate_malformed.
Result<Element> read(Reader& reader);
/// The same, of that tag; its contents.
Result<ByteView> read(Reader& reader, std::uint8_t tag);

/// Every element in `bytes`, through all levels: shortest lengths, primitive strings, minimal integers, booleans 00 or
/// FF, zero spare bits, times in whole seconds UTC (X.690 sections 10 and 11). Nested at most 16 deep.
Result<void> check(ByteView bytes);

/// UTCTime or GeneralizedTime (RFC 5280 section 4.1.2.5).
Result<UnixSeconds> read_time(Reader& reader);

/// Writes one element.
[[nodiscard]] Bytes element(std::uint8_t tag, std::initializer_list<ByteView> parts);

}  // namespace nmp::libp2p::der
