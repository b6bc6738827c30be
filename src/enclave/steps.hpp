#pragma once

#include "enclave/errors.hpp"
#include "enclave/verifier.hpp"

/// Steps that every kind takes; for the verify_*.cpp only.
namespace nmp::enclave {

/// Adds `error` as the step that failed, and hands it on.
std::unexpected<Error> stop(Report& report, const char* step, Error error);

struct ChainQuestion {
  const crypto::Certificate& leaf;
  const std::vector<crypto::Certificate>& others;
  const std::vector<crypto::Certificate>& roots;
  UnixSeconds now;
};
/// The chain, leaf first. RFC 5280 and: every certificate but the leaf is a CA that may sign certificates, the leaf is
/// none. Errors (Errc): certificate_missing, bad_chain, certificate_expired, certificate_not_yet_valid.
Result<std::vector<crypto::Certificate>> check_chain(const ChainQuestion& question);

/// Refuses a policy that names unknown registers or demands too little. `known` lists the registers of the evidence.
/// Errors (Errc): weak_policy.
Result<void> check_pins(const Policy& policy, const std::map<std::string, Bytes>& known);
/// Errors (Errc): measurement_mismatch.
Result<void> check_measurements(const Policy& policy, const std::map<std::string, Bytes>& found, Report& report);

/// What must be there, byte for byte, in constant time. Errors: `code`.
Result<void> check_equal(const std::optional<Bytes>& wanted,
                         const std::optional<Bytes>& found,
                         Errc code,
                         const char* what);

[[nodiscard]] bool all_zero(ByteView bytes);

}  // namespace nmp::enclave
