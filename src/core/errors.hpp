#pragma once

#include <span>
#include <string>
#include <string_view>
#include <system_error>

namespace nmp::core {

/// Who has to act.
enum class Cause { agent, node, filter, network };
[[nodiscard]] std::string_view to_text(Cause cause);

/// Exit codes of the command line (design.md, "Command line").
namespace exit_code {
inline constexpr int kDone = 0, kFilterFailed = 1, kUsage = 2, kRefused = 3, kNobody = 4, kVerification = 5,
                     kInterrupted = 130;
}

/// One row of docs/errors.md: ErrorInfo.reason with domain `nmp`.
struct Reason {
  std::string_view reason;
  int grpc_code;  ///< google.rpc.Code
  int exit;       ///< exit code of `nmp`
  Cause cause;
  std::string_view meaning;
  std::string_view advice;
};

/// Sorted by reason.
[[nodiscard]] std::span<const Reason> reasons();
/// Null if nobody knows it.
[[nodiscard]] const Reason* find_reason(std::string_view reason);
/// The row that stands for a code of this room, of crypto, pq or base; `internal` for all others. Other rooms map their
/// own codes with find_reason.
[[nodiscard]] const Reason& reason_of(const std::error_code& code);
/// The text of docs/errors.md.
[[nodiscard]] std::string errors_markdown();

}  // namespace nmp::core
