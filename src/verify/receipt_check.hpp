#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/receipt.hpp"

namespace nmp::verify {

enum class Errc {
  not_a_receipt = 1,  ///< Neither strict canonical base64 of a receipt or proof, nor its bytes.
  bad_signature,
  kind_mismatch,    ///< Another kind than asked for; zk and enclave proofs are not checked here.
  signer_unpinned,  ///< Holds, but nobody vouches for the signer.
  signer_mismatch,  ///< Signed by another peer than the expected one.
  intent_mismatch,
  answer_mismatch,
  module_mismatch,
  inputs_mismatch,
  evidence_mismatch,
  events_mismatch,
  dataset_mismatch,
  limits_mismatch,
  field_mismatch,   ///< op, capability, agent, grant, run, envelope or via differ from what was agreed.
  opening_missing,  ///< A commitment cannot be compared without its salt.
  log_unsupported,  ///< Names a log position: no code here checks it.
};
std::error_code make_error_code(Errc code);

enum class Outcome { passed, failed, not_checked };
struct Check {
  std::string name;  ///< "signature", "signer", "kind", "module", "inputs", "evidence", "events", "dataset", ...
  Outcome outcome = Outcome::not_checked;
  std::error_code code;  ///< If failed.
  std::string words;     ///< For people, one sentence.
};

struct Report {
  std::optional<core::ReceivedReceipt> receipt;  ///< None if it could not be read.
  std::vector<Check> checks;
  /// No check failed, and the signature and the signer's pin passed.
  [[nodiscard]] bool ok() const;
  /// The first failure; none if ok().
  [[nodiscard]] std::optional<Error> failure() const;
};

/// What the verifier holds; what it does not hold is `not_checked`. Views must outlive the call.
struct Expectations {
  core::ReceiptKind kind = core::ReceiptKind::is_signed;
  std::vector<libp2p::PeerId> pinned;    ///< --peer, the trust file, this state's own run record.
  std::optional<libp2p::PeerId> signer;  ///< The peer that ran it, if known (implies that another is refused).
  std::optional<ByteView> module;        ///< Bytes of the filter.
  std::optional<core::Inputs> inputs;
  std::optional<core::Salt> input_salt;
  std::optional<ByteView> evidence;
  std::optional<core::Openings> openings;
  std::optional<std::vector<Bytes>> events;  ///< In order.
  std::optional<crypto::Digest> commitment;  ///< One of the datasets' commitments must be this.
};

/// Reads a receipt file: strict canonical base64 (a newline at the end allowed) of the COSE bytes or of
/// cryptographic_proof. Errors: not_a_receipt.
Result<Bytes> read_receipt_text(std::string_view text);

/// `bytes`: COSE of a receipt, or cryptographic_proof.
[[nodiscard]] Report check_receipt(ByteView bytes, const Expectations& expected);

/// What an agent knows of its own run: all of it is recomputed. Views and pointers must outlive the call.
struct RunKnowledge {
  const core::ReceivedIntent* intent = nullptr;
  crypto::Digest answer_hash{};
  const core::Authorization* effective_limits = nullptr;  ///< The answer's.
  std::uint32_t run = 0;
  const core::Inputs* inputs = nullptr;
  core::Salt input_salt{};
  ByteView evidence;
  const std::vector<crypto::Digest>* event_hashes = nullptr;  ///< H(event) in order of arrival.
  core::Openings openings;
  std::string_view envelope = core::kSuite1Envelope;
  std::optional<crypto::Digest> enclave_evidence;  ///< The answer's.
  UnixSeconds sent = 0;                            ///< Wall time of the dispatch
  UnixSeconds received = 0;  ///< and of the final box; the receipt's times lie between, give or take the clock skew.
};
/// For the agent, at the final box. `pinned` is not asked: the signer must be the intent's node.
[[nodiscard]] Report check_own_receipt(ByteView proof, const RunKnowledge& run);

}  // namespace nmp::verify

template <>
struct std::is_error_code_enum<nmp::verify::Errc> : std::true_type {};
