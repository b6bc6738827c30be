#pragma once

#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/time.hpp"
#include "rpc/h2/errors.hpp"

/// gRPC's forms on HTTP/2. Source: grpc/grpc doc/PROTOCOL-HTTP2.md, doc/compression.md.
namespace nmp::h2 {

/// `100m`, `1S`: digits and a unit of H M S m u n. What is longer than a century is a century. Errors: bad_timeout.
Result<Duration> parse_timeout(std::string_view text);
/// At most eight digits in the finest unit that fits, rounded up. Nothing left is `0n`.
[[nodiscard]] std::string format_timeout(Duration left);

/// `grpc-message`: printable ASCII except `%` stands for itself. Cut to kStatusMessageBytesMax at a UTF-8 boundary
/// first.
[[nodiscard]] std::string percent_encode(std::string_view message);
/// Never fails: an escape that is none stays as it is ("Status-Message": decoders must not throw it away).
[[nodiscard]] std::string percent_decode(std::string_view text);

[[nodiscard]] bool is_binary(std::string_view name);
/// Lower-case letters, digits, `_`, `-`, `.`; not empty; not a name of the protocol's own (`grpc-`, `:`, te, ...).
[[nodiscard]] bool is_custom_name(std::string_view name);
/// Printable ASCII and spaces inside.
[[nodiscard]] bool is_ascii_value(std::string_view value);
/// Base64 without padding.
[[nodiscard]] std::string encode_binary(std::string_view raw);
/// A comma-separated list of base64 values, each with or without padding. Errors: bad_metadata.
Result<std::vector<std::string>> decode_binary(std::string_view text);

enum class Encoding : std::uint8_t { identity, gzip };
/// Whether a `grpc-accept-encoding` list has gzip.
[[nodiscard]] bool accepts_gzip(std::string_view list);

/// The five bytes before a message.
[[nodiscard]] Bytes message_header(bool compressed, std::size_t size);
[[nodiscard]] Bytes gzip(ByteView data);

/// The gRPC code that an HTTP/2 error stands for when no grpc-status came ("HTTP2 Transport Mapping").
[[nodiscard]] int grpc_code_of_h2_error(std::uint32_t error_code);
/// doc/http-grpc-status-mapping.md.
[[nodiscard]] int grpc_code_of_http_status(std::string_view status);

}  // namespace nmp::h2
