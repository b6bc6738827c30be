#include "core/receipt.hpp"

#include "base/codec.hpp"
#include "base/encoding.hpp"
#include "core/capability.hpp"
#include "core/errc.hpp"
#include "core/intent_fields.hpp"
#include "core/limits.hpp"
#include "core/statement.hpp"

namespace nmp::core {
namespace {

constexpr std::size_t kEngineBytesMax = 128;

cbor::Map to_map(const Receipt& receipt) {
  cbor::Map datasets;
  for (const auto& [name, commitment] : receipt.datasets) datasets.add(name, commitment);
  return cbor::Map{{1, 1},
                   {2, to_text(receipt.kind)},
                   {3, receipt.op},
                   {4, receipt.capability},
                   {5, receipt.intent_hash},
                   {6, receipt.answer_hash},
                   {7, receipt.module_hash},
                   {8, receipt.input_commitment},
                   {9, std::move(datasets)},
                   {10, receipt.evidence_commitment},
                   {11, cbor::Array{receipt.exit.reason, statement::or_null(receipt.exit.code)}},
                   {12, receipt.event_count},
                   {13, receipt.event_chain},
                   {14, to_cbor(receipt.limits)},
                   {15, to_cbor(receipt.used)},
                   {16, receipt.started},
                   {17, receipt.finished},
                   {18, receipt.node.bytes()},
                   {19, receipt.agent.bytes()},
                   {20, statement::or_null(receipt.grant_id)},
                   {21, receipt.engine},
                   {22, receipt.envelope},
                   {23, via_to_cbor(receipt.via)},
                   {24, statement::or_null(receipt.enclave_evidence)},
                   {25, statement::or_null(receipt.log_id)},
                   {26, statement::or_null(receipt.log_index)},
                   {27, std::uint64_t{receipt.run}}};
}

Result<Receipt> from_map(const cbor::Map& map) {
  cbor::MapReader reader(map);
  NMP_CHECK(statement::version(reader));
  NMP_TRY(const auto* node_value, reader.need(18));
  NMP_TRY(auto node, statement::peer(*node_value));
  NMP_TRY(const auto* agent_value, reader.need(19));
  NMP_TRY(auto agent, statement::peer(*agent_value));
  Receipt out{.node = node, .agent = agent};
  NMP_TRY(auto kind, reader.text(2));
  NMP_TRY(out.kind, parse_receipt_kind(kind));
  NMP_TRY(out.op, reader.text(3));
  NMP_CHECK(check_name(out.op, "operation"));
  NMP_TRY(out.capability, reader.text(4));
  NMP_CHECK(check_name(out.capability, "capability"));
  NMP_TRY(out.intent_hash, reader.byte_array<32>(5));
  NMP_TRY(out.answer_hash, reader.byte_array<32>(6));
  NMP_TRY(out.module_hash, reader.byte_array<32>(7));
  NMP_TRY(out.input_commitment, reader.byte_array<32>(8));
  NMP_TRY(const auto* datasets, reader.map(9));
  if (datasets->size() > kReceiptDatasetsMax) return fail(nmp::Errc::too_large, "datasets");
  for (const auto& entry : datasets->entries()) {
    if (!entry.key.is_text()) return fail(Errc::bad_statement, "dataset name");
    NMP_CHECK(check_name(entry.key.text(), "dataset"));
    NMP_TRY(auto commitment, entry.value.as_byte_array<32>());
    out.datasets.emplace(entry.key.text(), commitment);
  }
  NMP_TRY(out.evidence_commitment, reader.byte_array<32>(10));
  NMP_TRY(const auto* exit, reader.array(11));
  if (exit->size() != 2) return fail(Errc::bad_statement, "exit");
  NMP_TRY(out.exit.reason, (*exit)[0].as_text());
  NMP_CHECK(check_name(out.exit.reason, "exit reason"));
  if (!(*exit)[1].is_null()) {
    NMP_TRY(auto code, (*exit)[1].as_uint());
    out.exit.code = code;
  }
  NMP_TRY(out.event_count, reader.uint(12));
  NMP_TRY(out.event_chain, reader.byte_array<32>(13));
  NMP_TRY(const auto* limits, reader.need(14));
  NMP_TRY(out.limits, authorization_from_cbor(*limits));
  if (!out.limits.is_complete()) return fail(Errc::bad_statement, "a limit without a ceiling");
  NMP_TRY(const auto* used, reader.need(15));
  NMP_TRY(out.used, usage_from_cbor(*used));
  NMP_TRY(const auto* started, reader.need(16));
  NMP_TRY(out.started, statement::time(*started));
  NMP_TRY(const auto* finished, reader.need(17));
  NMP_TRY(out.finished, statement::time(*finished));
  if (out.finished < out.started) return fail(Errc::bad_statement, "finished before it started");
  NMP_TRY(const auto* grant, reader.need(20));
  NMP_TRY(out.grant_id, statement::maybe_digest(*grant));
  NMP_TRY(const auto* engine, reader.need(21));
  NMP_TRY(out.engine, statement::short_text(*engine, kEngineBytesMax));
  NMP_TRY(out.envelope, reader.text(22));
  if (out.envelope != kSuite1Envelope && out.envelope != kLegacyEnvelope) return fail(Errc::bad_statement, "envelope");
  NMP_TRY(const auto* via, reader.need(23));
  NMP_TRY(out.via, via_from_cbor(*via));
  NMP_TRY(const auto* enclave, reader.need(24));
  NMP_TRY(out.enclave_evidence, statement::maybe_digest(*enclave));
  NMP_TRY(const auto* log_id, reader.need(25));
  NMP_TRY(out.log_id, statement::maybe_digest(*log_id));
  NMP_TRY(const auto* log_index, reader.need(26));
  if (!log_index->is_null()) {
    NMP_TRY(auto index, log_index->as_uint());
    out.log_index = index;
  }
  if (out.log_id.has_value() != out.log_index.has_value())
    return fail(Errc::bad_statement, "log id and index go together");
  NMP_TRY(auto run, reader.uint(27));
  if (run > UINT32_MAX) return fail(Errc::bad_statement, "run");
  out.run = static_cast<std::uint32_t>(run);
  NMP_CHECK(reader.done());
  return out;
}

Result<Proof> proof_from_cbor(const cbor::Value& value) {
  NMP_TRY(const auto* items, value.as_array());
  if (items->size() != 3) return fail(Errc::bad_statement, "proof");
  Proof out;
  NMP_TRY(auto receipt, (*items)[0].as_bytes());
  out.receipt = to_bytes(receipt);
  if (!(*items)[1].is_null()) {
    NMP_TRY(auto sth, (*items)[1].as_bytes());
    out.sth = to_bytes(sth);
  }
  if (!(*items)[2].is_null()) {
    NMP_TRY(const auto* hashes, (*items)[2].as_array());
    if (hashes->size() > kPathHashesMax) return fail(nmp::Errc::too_large, "path");
    out.path.emplace();
    for (const auto& item : *hashes) {
      NMP_TRY(auto hash, item.as_byte_array<32>());
      out.path->push_back(hash);
    }
  }
  return out;
}

}  // namespace

crypto::Digest commit_inputs(const Salt& salt, const Inputs& inputs) {
  cbor::Map map;
  for (const auto& [name, value] : inputs) map.add(name, value);
  return crypto::sha256(cbor::encode(cbor::Array{"nmp/v1/inputs", salt, std::move(map)}));
}

crypto::Digest commit_evidence(const Salt& salt, ByteView evidence) {
  return crypto::sha256(cbor::encode(cbor::Array{"nmp/v1/evidence", salt, evidence}));
}

EventChain::EventChain(const Salt& salt, const crypto::Digest& answer_hash)
    : value_(crypto::sha256(cbor::encode(cbor::Array{"nmp/v1/events", salt, answer_hash}))) {}

void EventChain::add(ByteView event) { add_hash(crypto::sha256(event)); }

void EventChain::add_hash(const crypto::Digest& event_hash) {
  Writer writer;
  writer.bytes(value_).u64be(count_++).bytes(event_hash);
  value_ = crypto::sha256(writer.view());
}

Result<Bytes> sign_receipt(const Receipt& receipt, const crypto::Ed25519KeyPair& node_key) {
  if (!is_utf8(receipt.engine) || !is_utf8(receipt.envelope)) return fail(Errc::bad_statement, "text is not UTF-8");
  for (const auto& text : {receipt.op, receipt.capability, receipt.exit.reason}) NMP_CHECK(check_name(text, "name"));
  for (const auto& [name, commitment] : receipt.datasets) NMP_CHECK(check_name(name, "dataset"));
  if (receipt.via) NMP_CHECK(check_name(receipt.via->via, "via"));
  NMP_TRY(auto cose, statement::sign(kReceiptTyp, to_map(receipt), receipt.node, node_key, kReceiptBytesMax));
  NMP_TRY([[maybe_unused]] auto again, parse_receipt(cose));
  return cose;
}

Result<ReceivedReceipt> parse_receipt(ByteView cose) {
  NMP_TRY(auto parsed, statement::parse(cose, kReceiptBytesMax, kReceiptTyp, "receipt"));
  auto receipt = from_map(parsed.map);
  if (!receipt) return fail(statement::schema_error(std::move(receipt).error()));
  if (receipt->node != parsed.kid) return fail(Errc::wrong_kid, "signed by another than its node");
  return ReceivedReceipt{.receipt = *std::move(receipt), .cose = to_bytes(cose), .hash = crypto::sha256(cose)};
}

Result<void> verify_receipt(const ReceivedReceipt& received) {
  return statement::verify(received.cose, kReceiptTyp, received.receipt.node);
}

Bytes encode_proof(const Proof& proof) {
  cbor::Value path = nullptr;
  if (proof.path) path = cbor::Array(proof.path->begin(), proof.path->end());
  return cbor::encode(cbor::Array{proof.receipt, statement::or_null(proof.sth), std::move(path)});
}

Result<Proof> decode_proof(ByteView bytes) {
  if (bytes.size() > kProofBytesMax) return fail(nmp::Errc::too_large, "proof");
  NMP_TRY(auto value, cbor::decode(bytes));
  auto proof = proof_from_cbor(value);
  if (!proof) return fail(statement::schema_error(std::move(proof).error()));
  return proof;
}

}  // namespace nmp::core
