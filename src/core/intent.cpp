#include "core/intent.hpp"

#include <algorithm>
#include <set>

#include "core/capability.hpp"
#include "core/did.hpp"
#include "core/errc.hpp"
#include "core/intent_fields.hpp"
#include "core/limits.hpp"
#include "core/statement.hpp"

namespace nmp::core {
namespace {

cbor::Value tree_head_to_cbor(const std::optional<TreeHead>& head) {
  if (!head) return nullptr;
  return cbor::Map{{1, head->log_id}, {2, head->size}, {3, head->root}, {4, head->time}};
}

Result<std::optional<TreeHead>> tree_head_from_cbor(const cbor::Value& value) {
  if (value.is_null()) return std::optional<TreeHead>();
  NMP_TRY(const auto* map, value.as_map());
  cbor::MapReader reader(*map);
  TreeHead head;
  NMP_TRY(head.log_id, reader.byte_array<32>(1));
  NMP_TRY(head.size, reader.uint(2));
  NMP_TRY(head.root, reader.byte_array<32>(3));
  NMP_TRY(const auto* time, reader.need(4));
  NMP_TRY(head.time, statement::time(*time));
  NMP_CHECK(reader.done());
  return std::optional<TreeHead>(head);
}

cbor::Map to_map(const Intent& intent) {
  cbor::Array suites(intent.suites.begin(), intent.suites.end());
  return cbor::Map{{1, 1},
                   {2, intent.node.bytes()},
                   {3, intent.agent.bytes()},
                   {4, intent.op},
                   {5, intent.capability},
                   {6, intent.module_hash},
                   {7, intent.input_commitment},
                   {8, statement::or_null(intent.grant_hash)},
                   {9, to_cbor(intent.limits)},
                   {10, std::move(suites)},
                   {11, intent.x25519_key},
                   {12, intent.nonce},
                   {13, intent.issued},
                   {14, intent.expires},
                   {15, to_text(intent.receipt_kind)},
                   {16, via_to_cbor(intent.via)},
                   {17, tree_head_to_cbor(intent.last_seen)}};
}

Result<Intent> from_map(const cbor::Map& map) {
  cbor::MapReader reader(map);
  NMP_CHECK(statement::version(reader));
  NMP_TRY(const auto* node, reader.need(2));
  NMP_TRY(const auto* agent, reader.need(3));
  NMP_TRY(auto node_peer, statement::peer(*node));
  NMP_TRY(auto agent_peer, statement::peer(*agent));
  Intent out{.node = node_peer, .agent = agent_peer};
  NMP_TRY(out.op, reader.text(4));
  NMP_CHECK(check_name(out.op, "operation"));
  NMP_TRY(out.capability, reader.text(5));
  NMP_CHECK(check_name(out.capability, "capability"));
  NMP_TRY(out.module_hash, reader.byte_array<32>(6));
  NMP_TRY(out.input_commitment, reader.byte_array<32>(7));
  NMP_TRY(const auto* grant, reader.need(8));
  NMP_TRY(out.grant_hash, statement::maybe_digest(*grant));
  NMP_TRY(const auto* limits, reader.need(9));
  NMP_TRY(out.limits, authorization_from_cbor(*limits));
  NMP_TRY(const auto* suites, reader.array(10));
  if (suites->empty() || suites->size() > kSuitesMax) return fail(Errc::bad_statement, "suites");
  out.suites.clear();
  std::set<std::uint64_t> seen;
  for (const auto& item : *suites) {
    NMP_TRY(auto suite, item.as_uint());
    if (!seen.insert(suite).second) return fail(Errc::bad_statement, "a suite twice");
    out.suites.push_back(suite);
  }
  NMP_TRY(out.x25519_key, reader.byte_array<32>(11));
  NMP_TRY(out.nonce, reader.byte_array<32>(12));
  NMP_TRY(const auto* issued, reader.need(13));
  NMP_TRY(out.issued, statement::time(*issued));
  NMP_TRY(const auto* expires, reader.need(14));
  NMP_TRY(out.expires, statement::time(*expires));
  NMP_TRY(auto kind, reader.text(15));
  NMP_TRY(out.receipt_kind, parse_receipt_kind(kind));
  NMP_TRY(const auto* via, reader.need(16));
  NMP_TRY(out.via, via_from_cbor(*via));
  NMP_TRY(const auto* head, reader.need(17));
  NMP_TRY(out.last_seen, tree_head_from_cbor(*head));
  NMP_CHECK(reader.done());
  return out;
}

}  // namespace

cbor::Value via_to_cbor(const std::optional<Via>& via) {
  if (!via) return nullptr;
  return cbor::Array{via->via, via->principal};
}

Result<std::optional<Via>> via_from_cbor(const cbor::Value& value) {
  if (value.is_null()) return std::optional<Via>();
  NMP_TRY(const auto* items, value.as_array());
  if (items->size() != 2) return fail(Errc::bad_statement, "via");
  Via via;
  NMP_TRY(via.via, (*items)[0].as_text());
  NMP_CHECK(check_name(via.via, "via"));
  NMP_TRY(via.principal, (*items)[1].as_byte_array<32>());
  return std::optional<Via>(via);
}

Result<Bytes> sign_intent(const Intent& intent, const crypto::Ed25519KeyPair& key) {
  NMP_CHECK(check_name(intent.op, "operation"));
  NMP_CHECK(check_name(intent.capability, "capability"));
  if (intent.via) NMP_CHECK(check_name(intent.via->via, "via"));
  NMP_TRY(auto cose, statement::sign(kIntentTyp, to_map(intent), intent.agent, key, kIntentBytesMax));
  NMP_TRY([[maybe_unused]] auto again, parse_intent(cose));
  return cose;
}

Result<ReceivedIntent> parse_intent(ByteView cose) {
  NMP_TRY(auto parsed, statement::parse(cose, kIntentBytesMax, kIntentTyp, "intent"));
  auto intent = from_map(parsed.map);
  if (!intent) return fail(statement::schema_error(std::move(intent).error()));
  if (intent->agent != parsed.kid) return fail(Errc::wrong_kid, "signed by another than its agent");
  return ReceivedIntent{.intent = *std::move(intent), .cose = to_bytes(cose), .hash = crypto::sha256(cose)};
}

Result<void> check_intent_time(const Intent& intent, UnixSeconds now) {
  const auto life = intent.expires - intent.issued;
  if (life <= 0 || life > kIntentLifeMax.count()) return fail(Errc::life_too_long);
  if (intent.issued - kClockSkewMax.count() > now) return fail(Errc::not_yet);
  if (now > intent.expires) return fail(Errc::expired);
  return {};
}

Result<void> check_intent_addressee(const Intent& intent, const libp2p::PeerId& me) {
  if (intent.node == intent.agent) return fail(Errc::reflected);
  if (intent.node != me) return fail(Errc::misdelivered);
  return {};
}

Result<void> check_intent_caller(const Intent& intent, const IntentExpectations& expected) {
  if (expected.caller && *expected.caller != intent.agent) return fail(Errc::wrong_caller);
  auto did = did_of(intent.agent);
  if (!did || expected.agent_did != *did) return fail(Errc::field_mismatch, "agent_did");
  if (!names_capability(expected.capability_field, intent.capability))
    return fail(Errc::field_mismatch, "capability_hash");
  if (intent.op != expected.op) return fail(Errc::wrong_operation);
  if (std::ranges::find(intent.suites, kSuite1) == intent.suites.end()) return fail(Errc::no_common_suite);
  return {};
}

Result<void> verify_intent(const ReceivedIntent& received) {
  return statement::verify(received.cose, kIntentTyp, received.intent.agent);
}

Result<void> check_intent(const ReceivedIntent& received, const IntentExpectations& expected) {
  NMP_CHECK(check_intent_time(received.intent, expected.now));
  NMP_CHECK(check_intent_addressee(received.intent, expected.me));
  NMP_CHECK(check_intent_caller(received.intent, expected));
  return verify_intent(received);
}

Error refusal_to_tell(const ReceivedIntent& received, Error error) {
  if (verify_intent(received)) return error;
  return Error{make_error_code(Errc::bad_signature), {}};
}

}  // namespace nmp::core
