#pragma once

#include "base/result.hpp"

namespace nmp::core {

/// Why a statement, a box or a name is refused. `reason_of` (errors.hpp) maps these to what goes on the wire.
enum class Errc {
  bad_name = 1,   ///< Not `[a-z0-9][a-z0-9._-]{0,62}`.
  bad_did,        ///< Not the one spelling of a did:key of an Ed25519 key.
  bad_statement,  ///< A signed statement whose content is not of its schema (unknown key, wrong type, version).
  bad_signature,  ///< The COSE signature does not hold under the expected key.
  wrong_kid,      ///< Signed, but not by whom the statement names.
  expired,
  not_yet,        ///< Issued in the future by more than the allowed skew.
  life_too_long,  ///< expires - issued is over its ceiling, or not positive.
  misdelivered,   ///< Names another node.
  reflected,      ///< node = agent.
  wrong_caller,   ///< The connection's peer is not the intent's agent.
  wrong_operation,
  field_mismatch,  ///< A message field contradicts the signed statement.
  no_common_suite,
  wrong_intent,       ///< The answer belongs to another intent.
  key_mismatch,       ///< The KEM key in the message is not the one that the answer names.
  token_mismatch,     ///< The session token in the message is not the one that the answer names.
  evidence_mismatch,  ///< Enclave evidence without a hash, a hash without evidence, or another evidence.
  manifest_mismatch,  ///< The answer names another manifest.
  limits_raised,      ///< Effective limits above what was asked.
  bad_token,          ///< Not 43 strict base64url characters of 32 bytes.
  envelope,           ///< A box does not open. One code for KEM, X25519 and AEAD failures.
  bad_box,            ///< An opened box holds something that its place does not allow.
  run_reused,         ///< Run numbers rise; this one does not.
  after_final,        ///< Nothing follows the final box.
  counter_exhausted,  ///< No more nonces under this key.
  stream_truncated,   ///< The stream ended without a final box.
  stale_sequence,     ///< A lower sequence number than one already seen, or the same with other bytes.
  bad_key,            ///< A DHT key that is not of ours, or names another signer than its value.
  bad_trust_file,
};
std::error_code make_error_code(Errc code);

}  // namespace nmp::core

template <>
struct std::is_error_code_enum<nmp::core::Errc> : std::true_type {};
