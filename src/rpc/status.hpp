#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace nmp::rpc {

/// gRPC status codes (grpc/grpc doc/statuscodes.md). As an error code they belong to category "rpc".
enum class Code : std::uint8_t {
  ok = 0,
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  already_exists = 6,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  aborted = 10,
  out_of_range = 11,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  data_loss = 15,
  unauthenticated = 16,
};
std::error_code make_error_code(Code code);
/// `UNAVAILABLE`, as the specification writes it.
[[nodiscard]] std::string_view name_of(Code code);
/// What is not a known number is `unknown` (doc/statuscodes.md).
[[nodiscard]] Code code_of(std::uint64_t number);

/// google.rpc.ErrorInfo: what a program acts on. `domain` is "nmp" for reasons of ours.
struct ErrorInfo {
  std::string reason;
  std::string domain = "nmp";
  std::vector<std::pair<std::string, std::string>> metadata;
  friend bool operator==(const ErrorInfo&, const ErrorInfo&) = default;
};

/// How a call ended.
struct Status {
  Status() = default;
  Status(Code c, std::string text) : code(c), message(std::move(text)) {}
  Status(Code c, std::string text, ErrorInfo why) : code(c), message(std::move(text)), info(std::move(why)) {}
  /// With ErrorInfo{reason, "nmp", {}}.
  static Status because(Code code, std::string reason, std::string message);

  [[nodiscard]] bool ok() const { return code == Code::ok; }
  /// The reason of domain "nmp", or nothing.
  [[nodiscard]] std::string_view reason() const;
  friend bool operator==(const Status&, const Status&) = default;

  Code code = Code::ok;
  std::string message;
  std::optional<ErrorInfo> info;
};

/// The bytes of google.rpc.Status for `grpc-status-details-bin`; empty when there is no ErrorInfo.
[[nodiscard]] Bytes encode_details(const Status& status);
/// Takes the first ErrorInfo of a google.rpc.Status; other details are passed over. Errors: malformed, truncated.
Result<std::optional<ErrorInfo>> decode_details(ByteView details);

/// A Status as an Error: code of category "rpc", context `[reason] message` (the bracket only with an ErrorInfo).
[[nodiscard]] Error to_error(const Status& status);
/// The inverse for errors of category "rpc" (metadata of the ErrorInfo is lost). Of other rooms' codes only
/// cancelled, deadline_exceeded and those of `nmp::Errc` are mapped; the rest are `unknown`. Their context stays here.
[[nodiscard]] Status to_status(const Error& error);

}  // namespace nmp::rpc

template <>
struct std::is_error_code_enum<nmp::rpc::Code> : std::true_type {};
