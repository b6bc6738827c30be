#pragma once

#include <optional>
#include <string_view>

#include "core/intent.hpp"

namespace nmp::core {

inline constexpr std::string_view kAnswerTyp = "application/nmp-answer-v1+cose";

/// The node's signed answer (IntentResponse 16), payload keys 2 to 11 of security.md, "Who calls"; answer.cddl.
struct Answer {
  crypto::Digest intent_hash{};
  std::uint64_t suite = kSuite1;
  crypto::Digest kem_key_hash{};  ///< H(IntentResponse 4)
  ByteArray<32> x25519_key{};
  crypto::Digest token_hash{};                     ///< SessionToken::hash
  Authorization limits;                            ///< Effective: complete, within what the intent asked.
  UnixSeconds expires = 0;                         ///< Of the session.
  crypto::Digest manifest_hash{};                  ///< H(whole COSE of the manifest in force)
  std::optional<crypto::Digest> enclave_evidence;  ///< H(IntentResponse 17)
  std::optional<Bytes> sth;                        ///< Newest signed tree head (COSE); none without an audit log.
};

/// Errors: bad_statement (incomplete limits), nmp::Errc::too_large.
Result<Bytes> sign_answer(const Answer& answer, const crypto::Ed25519KeyPair& node_key);

struct ReceivedAnswer {
  Answer answer;
  Bytes cose;
  crypto::Digest hash{};  ///< H(cose)
  libp2p::PeerId signer;  ///< From the kid; verified only by check_answer.
};

/// What the agent knows when an answer arrives. The views must outlive the check.
struct AnswerExpectations {
  libp2p::PeerId node;                          ///< The peer that the agent chose, whoever the connection reaches.
  const ReceivedIntent* intent = nullptr;       ///< What it sent (parse_intent of its own bytes).
  ByteView kem_key;                             ///< IntentResponse 4
  std::string_view session_token;               ///< IntentResponse 2
  ByteView enclave_evidence;                    ///< IntentResponse 17
  std::optional<crypto::Digest> manifest_hash;  ///< Of the manifest that it has read, if any.
  UnixSeconds now = 0;
};

/// Size, encoding, schema. Errors: too_large, malformed, bad_statement, crypto's codes.
Result<ReceivedAnswer> parse_answer(ByteView cose);
/// All of it, before the agent encapsulates. Errors: wrong_kid, bad_signature, wrong_intent, no_common_suite,
/// key_mismatch, bad_token, token_mismatch, evidence_mismatch, manifest_mismatch, limits_raised, expired,
/// life_too_long.
Result<void> check_answer(const ReceivedAnswer& received, const AnswerExpectations& expected);

}  // namespace nmp::core
