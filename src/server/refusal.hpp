#pragma once

#include <string>

#include "core/errors.hpp"
#include "rpc/status.hpp"

namespace nmp::server {

/// Why a call is refused, in the words of docs/errors.md. `message` is ours: it may reach the wire.
struct Refusal {
  const core::Reason* reason = nullptr;
  std::string message;
};

/// A row of the table; an unknown name is a bug of ours and becomes `internal`.
[[nodiscard]] Refusal refusal(std::string_view reason, std::string message = {});
/// Maps every room's code; the error's context stays here.
[[nodiscard]] Refusal refusal_of(const Error& error);

/// The gRPC status with google.rpc.ErrorInfo{reason, domain "nmp"}.
[[nodiscard]] rpc::Status to_status(const Refusal& refusal);

}  // namespace nmp::server
