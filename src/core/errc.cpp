#include "core/errc.hpp"

namespace nmp::core {

std::error_code make_error_code(Errc code) {
  static const EnumCategory<Errc> category("core", [](Errc value) -> std::string_view {
    switch (value) {
      case Errc::bad_name: return "bad_name";
      case Errc::bad_did: return "bad_did";
      case Errc::bad_statement: return "bad_statement";
      case Errc::bad_signature: return "bad_signature";
      case Errc::wrong_kid: return "wrong_kid";
      case Errc::expired: return "expired";
      case Errc::not_yet: return "not_yet";
      case Errc::life_too_long: return "life_too_long";
      case Errc::misdelivered: return "misdelivered: names another node";
      case Errc::reflected: return "reflected: node and agent are one";
      case Errc::wrong_caller: return "wrong_caller";
      case Errc::wrong_operation: return "wrong_operation";
      case Errc::field_mismatch: return "field_mismatch: a message field contradicts the signed statement";
      case Errc::no_common_suite: return "no_common_suite";
      case Errc::wrong_intent: return "wrong_intent: an answer to something else";
      case Errc::key_mismatch: return "key_mismatch: not the KEM key that the answer names";
      case Errc::token_mismatch: return "token_mismatch: not the session token that the answer names";
      case Errc::evidence_mismatch: return "evidence_mismatch: enclave evidence and answer disagree";
      case Errc::manifest_mismatch: return "manifest_mismatch";
      case Errc::limits_raised: return "limits_raised above what was asked";
      case Errc::bad_token: return "bad_token";
      case Errc::envelope: return "envelope: a box does not open";
      case Errc::bad_box: return "bad_box: its content does not belong there";
      case Errc::run_reused: return "run_reused";
      case Errc::after_final: return "after_final: nothing follows the final box";
      case Errc::counter_exhausted: return "counter_exhausted";
      case Errc::stream_truncated: return "stream_truncated: no final box";
      case Errc::stale_sequence: return "stale_sequence";
      case Errc::bad_key: return "bad_key: a DHT key that does not name its value's signer";
      case Errc::bad_trust_file: return "bad_trust_file";
    }
    return "unknown";
  });
  return {static_cast<int>(code), category};
}

}  // namespace nmp::core
