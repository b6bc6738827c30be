#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/intent.hpp"
#include "core/sealed_body.hpp"

namespace nmp::core {

inline constexpr std::string_view kReceiptTyp = "application/nmp-receipt-v1+cose";
inline constexpr std::string_view kSthTyp = "application/nmp-sth-v1+cose";
inline constexpr std::string_view kSuite1Envelope = "suite1";
inline constexpr std::string_view kLegacyEnvelope = "legacy";

/// H(CBOR["nmp/v1/inputs", salt, inputs]).
[[nodiscard]] crypto::Digest commit_inputs(const Salt& salt, const Inputs& inputs);
/// H(CBOR["nmp/v1/evidence", salt, evidence]).
[[nodiscard]] crypto::Digest commit_evidence(const Salt& salt, ByteView evidence);

/// c0 = H(CBOR["nmp/v1/events", salt, H(answer)]), then c = H(c || u64 seq || H(event)), seq from 0.
class EventChain {
 public:
  EventChain(const Salt& salt, const crypto::Digest& answer_hash);
  void add(ByteView event);
  void add_hash(const crypto::Digest& event_hash);  ///< The same, by H(event).
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] const crypto::Digest& value() const { return value_; }

 private:
  crypto::Digest value_;
  std::uint64_t count_ = 0;
};

/// How a run ended.
struct Exit {
  std::string reason;                 ///< "ok", "exit", or a reason of errors.hpp ("trap", "out_of_fuel", ...).
  std::optional<std::uint64_t> code;  ///< The guest's exit code, if it got that far.
  friend bool operator==(const Exit&, const Exit&) = default;
};

/// What a node says it has run; receipt.cddl documents each key.
struct Receipt {
  ReceiptKind kind = ReceiptKind::is_signed;
  std::string op{kRunOperation};
  std::string capability;
  crypto::Digest intent_hash{};
  crypto::Digest answer_hash{};
  std::uint32_t run = 0;
  crypto::Digest module_hash{};
  crypto::Digest input_commitment{};
  std::map<std::string, crypto::Digest> datasets;  ///< name -> commitment
  crypto::Digest evidence_commitment{};
  Exit exit;
  std::uint64_t event_count = 0;
  crypto::Digest event_chain{};
  Authorization limits;  ///< Complete.
  Usage used;
  UnixSeconds started = 0;
  UnixSeconds finished = 0;
  libp2p::PeerId node;
  libp2p::PeerId agent;
  std::optional<crypto::Digest> grant_id;
  std::string engine;  ///< Engine and its profile: "wasmtime/48.0.8 deterministic".
  std::string envelope{kSuite1Envelope};
  std::optional<Via> via;
  std::optional<crypto::Digest> enclave_evidence;
  std::optional<crypto::Digest> log_id;
  std::optional<std::uint64_t> log_index;
};

/// Errors: bad_statement, bad_name, wrong_kid, nmp::Errc::too_large.
Result<Bytes> sign_receipt(const Receipt& receipt, const crypto::Ed25519KeyPair& node_key);

struct ReceivedReceipt {
  Receipt receipt;
  Bytes cose;
  crypto::Digest hash{};  ///< H(cose): its ID.
};
/// Size, encoding, schema; kid = node. The signature is verify_receipt's.
Result<ReceivedReceipt> parse_receipt(ByteView cose);
/// Under the key of the node that the statement names. Errors: bad_signature.
Result<void> verify_receipt(const ReceivedReceipt& received);

/// `cryptographic_proof` = CBOR[receipt, sth | null, path | null].
struct Proof {
  Bytes receipt;                                    ///< COSE
  std::optional<Bytes> sth;                         ///< COSE
  std::optional<std::vector<crypto::Digest>> path;  ///< RFC 9162 inclusion path
};
[[nodiscard]] Bytes encode_proof(const Proof& proof);
/// Errors: too_large, malformed, bad_statement.
Result<Proof> decode_proof(ByteView bytes);

}  // namespace nmp::core
