#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"

/// Bytes as text. Decoders are strict: one text for one value (no padding where none is written, spare bits zero).
namespace nmp {

[[nodiscard]] std::string hex_encode(ByteView bytes);  ///< lower case
Result<Bytes> hex_decode(std::string_view text);       ///< either case

/// RFC 4648 section 5, no padding.
[[nodiscard]] std::string base64url_encode(ByteView bytes);
Result<Bytes> base64url_decode(std::string_view text);
/// RFC 4648 section 4, with padding.
[[nodiscard]] std::string base64_encode(ByteView bytes);
Result<Bytes> base64_decode(std::string_view text);
/// RFC 4648 section 6, lower case, no padding: multibase `b`.
[[nodiscard]] std::string base32_encode(ByteView bytes);
Result<Bytes> base32_decode(std::string_view text);
/// Bitcoin's alphabet: multibase `z`. Quadratic in the length, so capped at `kBaseNBytesMax`.
inline constexpr std::size_t kBaseNBytesMax = 256;
[[nodiscard]] std::string base58_encode(ByteView bytes);
Result<Bytes> base58_decode(std::string_view text);
/// Lower case: multibase `k`.
[[nodiscard]] std::string base36_encode(ByteView bytes);
Result<Bytes> base36_decode(std::string_view text);

/// Untrusted text made fit for a terminal or a log line: control characters and invalid UTF-8 become `\xNN`,
/// and what passes `size_max` bytes is cut, with `...` at the end.
[[nodiscard]] std::string escape_text(std::string_view text, std::size_t size_max = 256);
[[nodiscard]] bool is_utf8(std::string_view text);

}  // namespace nmp
