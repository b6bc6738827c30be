#pragma once

#include <span>

#include "base/result.hpp"

namespace nmp::enclave {

/// Why evidence, or an image, is refused: one reason for one cause. docs/enclaves.md lists them.
enum class Errc {
  malformed = 1,        ///< Not of its format: shape, a field's type or size, bytes after the end.
  too_large,            ///< Over a ceiling of limits.hpp.
  unsupported_version,  ///< A version of the format that is not known here.
  wrong_algorithm,      ///< Signed with another algorithm than the format's.
  root_mismatch,        ///< Its root is not a pinned one.
  certificate_missing,  ///< A certificate that the chain needs did not come with it.
  bad_chain,            ///< A certificate is not signed by its issuer, or breaks a rule of the chain.
  certificate_expired,
  certificate_not_yet_valid,
  bad_signature,         ///< The evidence is not signed by its leaf key.
  stale,                 ///< Older than the policy allows.
  from_the_future,       ///< Made later than now.
  nonce_mismatch,        ///< Not made for this challenge.
  binding_mismatch,      ///< public_key, user_data or report_data is not what it must be.
  debug_mode,            ///< The hardware lets the host look inside.
  migration_allowed,     ///< SNP: the guest may be moved by an agent outside.
  measurement_mismatch,  ///< A measurement is not among those allowed.
  tcb_too_old,           ///< Firmware below the policy's minimum.
  tcb_mismatch,          ///< SNP: the report's firmware is not the one its certificate is for.
  chip_mismatch,         ///< SNP: the report's chip is not the certificate's.
  wrong_privilege,       ///< SNP: made at a less privileged level than allowed.
  weak_policy,           ///< The verifier's own policy would prove nothing.
};
std::error_code make_error_code(Errc code);

/// All of them, for the table in docs/enclaves.md.
[[nodiscard]] std::span<const Errc> all_reasons();

}  // namespace nmp::enclave

template <>
struct std::is_error_code_enum<nmp::enclave::Errc> : std::true_type {};
