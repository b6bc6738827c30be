#include "core/sealed_body.hpp"

#include "core/capability.hpp"
#include "core/errc.hpp"
#include "core/limits.hpp"
#include "crypto/cbor.hpp"

namespace nmp::core {
namespace {

constexpr std::uint64_t kEvent = 0, kEvidence = 1, kDiagnostics = 2, kHostError = 3, kReceipt = 4;

cbor::Value receipt_to_cbor(const ReceiptBody& body) {
  return cbor::Map{{1, body.proof}, {2, cbor::Map{{1, body.openings.evidence_salt}}}};
}

Result<ReceiptBody> receipt_from_cbor(const cbor::Value& value) {
  NMP_TRY(const auto* map, value.as_map());
  cbor::MapReader reader(*map);
  ReceiptBody out;
  NMP_TRY(auto proof, reader.bytes(1));
  if (proof.size() > kProofBytesMax) return fail(nmp::Errc::too_large, "proof");
  out.proof = to_bytes(proof);
  NMP_TRY(const auto* openings, reader.map(2));
  NMP_CHECK(reader.done());
  cbor::MapReader opening(*openings);
  NMP_TRY(out.openings.evidence_salt, opening.byte_array<32>(1));
  NMP_CHECK(opening.done());
  return out;
}

struct Encode {
  cbor::Value operator()(const EventBody& body) const {
    if (body.sequence) return cbor::Array{kEvent, cbor::Array{*body.sequence, body.data}};
    return cbor::Array{kEvent, body.data};
  }
  cbor::Value operator()(const EvidenceBody& body) const { return cbor::Array{kEvidence, body.data}; }
  cbor::Value operator()(const DiagnosticsBody& body) const { return cbor::Array{kDiagnostics, body.data}; }
  cbor::Value operator()(const HostErrorBody& body) const {
    cbor::Value receipt = body.receipt ? receipt_to_cbor(*body.receipt) : cbor::Value(nullptr);
    return cbor::Array{kHostError, cbor::Map{{1, body.reason}, {2, body.message}, {3, std::move(receipt)}}};
  }
  cbor::Value operator()(const ReceiptBody& body) const { return cbor::Array{kReceipt, receipt_to_cbor(body)}; }
};

Result<ResponseBody> event_from_cbor(const cbor::Value& value) {
  EventBody out;
  const auto* data = &value;
  if (std::holds_alternative<cbor::Array>(value.variant())) {
    NMP_TRY(const auto* items, value.as_array());
    if (items->size() != 2) return fail(Errc::bad_box, "not [sequence, data]");
    NMP_TRY(out.sequence, (*items)[0].as_uint());
    data = &(*items)[1];
  }
  NMP_TRY(const auto bytes, data->as_bytes());
  out.data = to_bytes(bytes);
  return out;
}

Result<ResponseBody> response_from_cbor(const cbor::Value& value) {
  NMP_TRY(const auto* items, value.as_array());
  if (items->size() != 2) return fail(Errc::bad_box, "not [kind, body]");
  NMP_TRY(auto kind, (*items)[0].as_uint());
  const auto& body = (*items)[1];
  switch (kind) {
    case kEvent: return event_from_cbor(body);
    case kEvidence: {
      NMP_TRY(auto data, body.as_bytes());
      return EvidenceBody{to_bytes(data)};
    }
    case kDiagnostics: {
      NMP_TRY(auto data, body.as_bytes());
      return DiagnosticsBody{to_bytes(data)};
    }
    case kHostError: {
      NMP_TRY(const auto* map, body.as_map());
      cbor::MapReader reader(*map);
      HostErrorBody out;
      NMP_TRY(out.reason, reader.text(1));
      NMP_CHECK(check_name(out.reason, "reason"));
      NMP_TRY(out.message, reader.text(2));
      if (out.message.size() > kTextBytesMax) return fail(nmp::Errc::too_large, "message");
      NMP_TRY(const auto* receipt, reader.need(3));
      if (!receipt->is_null()) {
        NMP_TRY(auto decoded, receipt_from_cbor(*receipt));
        out.receipt = std::move(decoded);
      }
      NMP_CHECK(reader.done());
      return out;
    }
    case kReceipt: {
      NMP_TRY(auto receipt, receipt_from_cbor(body));
      return receipt;
    }
    default: return fail(Errc::bad_box, "kind");
  }
}

Result<SealedInputs> inputs_from_cbor(const cbor::Map& map) {
  cbor::MapReader reader(map);
  SealedInputs out;
  NMP_TRY(const auto* inputs, reader.map(1));
  if (inputs->size() > kInputsMax) return fail(nmp::Errc::too_large, "inputs");
  for (const auto& entry : inputs->entries()) {
    if (!entry.key.is_text()) return fail(Errc::bad_box, "input name");
    NMP_TRY(auto value, entry.value.as_bytes());
    out.inputs.emplace(entry.key.text(), to_bytes(value));
  }
  NMP_TRY(out.salt, reader.byte_array<32>(2));
  NMP_CHECK(reader.done());
  NMP_CHECK(check_inputs(out.inputs));
  return out;
}

/// A name or size problem is told as such; all else that is odd inside a box is bad_box.
Error box_error(Error error) {
  if (error.code == Errc::bad_name || error.code == nmp::Errc::too_large) return error;
  return Error{make_error_code(Errc::bad_box), error.message()};
}

}  // namespace

Result<void> check_inputs(const Inputs& inputs) {
  if (inputs.size() > kInputsMax) return fail(nmp::Errc::too_large, "inputs");
  std::size_t total = 0;
  for (const auto& [name, value] : inputs) {
    NMP_CHECK(check_name(name, "input"));
    total += name.size() + value.size();
  }
  if (total > kInputsBytesMax) return fail(nmp::Errc::too_large, "inputs");
  return {};
}

Bytes encode_inputs(const SealedInputs& inputs) {
  cbor::Map map;
  for (const auto& [name, value] : inputs.inputs) map.add(name, value);
  return cbor::encode(cbor::Map{{1, std::move(map)}, {2, inputs.salt}});
}

Result<SealedInputs> decode_inputs(ByteView plaintext) {
  auto map = cbor::decode_map(plaintext);
  if (!map) return fail(box_error(std::move(map).error()));
  auto inputs = inputs_from_cbor(*map);
  if (!inputs) return fail(box_error(std::move(inputs).error()));
  return inputs;
}

bool is_final(const ResponseBody& body) {
  return std::holds_alternative<HostErrorBody>(body) || std::holds_alternative<ReceiptBody>(body);
}

Bytes encode_response(const ResponseBody& body) { return cbor::encode(std::visit(Encode{}, body)); }

Result<ResponseBody> decode_response(ByteView plaintext) {
  auto value = cbor::decode(plaintext);
  if (!value) return fail(box_error(std::move(value).error()));
  auto body = response_from_cbor(*value);
  if (!body) return fail(box_error(std::move(body).error()));
  return body;
}

}  // namespace nmp::core
