#include "core/answer.hpp"

#include <algorithm>

#include "core/errc.hpp"
#include "core/limits.hpp"
#include "core/session_token.hpp"
#include "core/statement.hpp"

namespace nmp::core {
namespace {

Result<Answer> from_map(const cbor::Map& map) {
  cbor::MapReader reader(map);
  NMP_CHECK(statement::version(reader));
  Answer out;
  NMP_TRY(out.intent_hash, reader.byte_array<32>(2));
  NMP_TRY(out.suite, reader.uint(3));
  NMP_TRY(out.kem_key_hash, reader.byte_array<32>(4));
  NMP_TRY(out.x25519_key, reader.byte_array<32>(5));
  NMP_TRY(out.token_hash, reader.byte_array<32>(6));
  NMP_TRY(const auto* limits, reader.need(7));
  NMP_TRY(out.limits, authorization_from_cbor(*limits));
  if (!out.limits.is_complete()) return fail(Errc::bad_statement, "a limit without a ceiling");
  NMP_TRY(const auto* expires, reader.need(8));
  NMP_TRY(out.expires, statement::time(*expires));
  NMP_TRY(out.manifest_hash, reader.byte_array<32>(9));
  NMP_TRY(const auto* evidence, reader.need(10));
  NMP_TRY(out.enclave_evidence, statement::maybe_digest(*evidence));
  NMP_TRY(const auto* sth, reader.need(11));
  if (!sth->is_null()) {
    NMP_TRY(auto bytes, sth->as_bytes());
    out.sth = to_bytes(bytes);
  }
  NMP_CHECK(reader.done());
  return out;
}

}  // namespace

Result<Bytes> sign_answer(const Answer& answer, const crypto::Ed25519KeyPair& node_key) {
  cbor::Map map{{1, 1},
                {2, answer.intent_hash},
                {3, answer.suite},
                {4, answer.kem_key_hash},
                {5, answer.x25519_key},
                {6, answer.token_hash},
                {7, to_cbor(answer.limits)},
                {8, answer.expires},
                {9, answer.manifest_hash},
                {10, statement::or_null(answer.enclave_evidence)},
                {11, statement::or_null(answer.sth)}};
  const auto node = libp2p::PeerId::of(node_key.public_key());
  NMP_TRY(auto cose, statement::sign(kAnswerTyp, std::move(map), node, node_key, kAnswerBytesMax));
  NMP_TRY([[maybe_unused]] auto again, parse_answer(cose));
  return cose;
}

Result<ReceivedAnswer> parse_answer(ByteView cose) {
  NMP_TRY(auto parsed, statement::parse(cose, kAnswerBytesMax, kAnswerTyp, "answer"));
  auto answer = from_map(parsed.map);
  if (!answer) return fail(statement::schema_error(std::move(answer).error()));
  return ReceivedAnswer{
      .answer = *std::move(answer), .cose = to_bytes(cose), .hash = crypto::sha256(cose), .signer = parsed.kid};
}

Result<void> check_answer(const ReceivedAnswer& received, const AnswerExpectations& expected) {
  NMP_ASSERT(expected.intent != nullptr);
  const auto& answer = received.answer;
  const auto& intent = expected.intent->intent;
  if (received.signer != expected.node || intent.node != expected.node)
    return fail(Errc::wrong_kid, "not the chosen node");
  NMP_CHECK(statement::verify(received.cose, kAnswerTyp, expected.node));
  if (answer.intent_hash != expected.intent->hash) return fail(Errc::wrong_intent);
  if (answer.suite != kSuite1 || std::ranges::find(intent.suites, answer.suite) == intent.suites.end()) {
    return fail(Errc::no_common_suite);
  }
  if (answer.kem_key_hash != crypto::sha256(expected.kem_key)) return fail(Errc::key_mismatch);
  NMP_TRY(auto token, SessionToken::parse(expected.session_token));
  if (answer.token_hash != token.hash()) return fail(Errc::token_mismatch);
  if (answer.enclave_evidence.has_value() == expected.enclave_evidence.empty() ||
      (answer.enclave_evidence && *answer.enclave_evidence != crypto::sha256(expected.enclave_evidence))) {
    return fail(Errc::evidence_mismatch);
  }
  if (expected.manifest_hash && answer.manifest_hash != *expected.manifest_hash) return fail(Errc::manifest_mismatch);
  if (!within(answer.limits, intent.limits)) return fail(Errc::limits_raised);
  if (expected.now > answer.expires + kClockSkewMax.count()) return fail(Errc::expired);
  if (answer.expires > expected.now + kSessionLifeMax.count() + kClockSkewMax.count()) return fail(Errc::life_too_long);
  return {};
}

}  // namespace nmp::core
