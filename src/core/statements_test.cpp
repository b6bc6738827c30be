#include <functional>

#include <gtest/gtest.h>

#include "core/capability.hpp"
#include "core/did.hpp"
#include "core/limits.hpp"
#include "core/testing.hpp"

/// Intents, answers, manifests: every refusal has its own code. Cases S1 to S4 of the security sheet.
namespace nmp::core {
namespace {
using namespace testing;

IntentExpectations expectations(const std::string& did) {
  return {.me = peer_of_key(node_key()),
          .caller = peer_of_key(agent_key()),
          .now = kNow,
          .op = "run",
          .agent_did = did,
          .capability_field = "log-scan"};
}

std::error_code check(const std::function<void(Intent&)>& change,
                      const std::function<void(IntentExpectations&)>& expect = {}) {
  auto intent = sample_intent();
  change(intent);
  const auto cose = sign_intent(intent, agent_key());
  if (!cose) return cose.error().code;
  const auto received = parse_intent(*cose);
  if (!received) return received.error().code;
  const auto did = did_of(agent_key().public_key());
  auto expected = expectations(did);
  if (expect) expect(expected);
  const auto result = check_intent(*received, expected);
  return result ? std::error_code() : result.error().code;
}

TEST(Intent, RoundTrips) {
  auto intent = sample_intent();
  intent.grant_hash = crypto::sha256(bytes_of("grant"));
  intent.via = Via{.via = "mcp", .principal = crypto::sha256(bytes_of("p"))};
  intent.last_seen = TreeHead{.log_id = {}, .size = 4, .root = {}, .time = kNow};
  intent.suites = {7, 1};
  const auto received = parse_intent(*sign_intent(intent, agent_key()));
  ASSERT_TRUE(received);
  const auto& got = received->intent;
  EXPECT_EQ(got.node, intent.node);
  EXPECT_EQ(got.agent, intent.agent);
  EXPECT_EQ(got.op, "run");
  EXPECT_EQ(got.capability, "log-scan");
  EXPECT_EQ(got.module_hash, intent.module_hash);
  EXPECT_EQ(got.grant_hash, intent.grant_hash);
  EXPECT_EQ(got.limits, intent.limits);
  EXPECT_EQ(got.suites, intent.suites);
  EXPECT_EQ(got.via, intent.via);
  EXPECT_EQ(got.last_seen, intent.last_seen);
  EXPECT_EQ(received->hash, crypto::sha256(received->cose));
  EXPECT_EQ(check([&](Intent& i) { i = intent; }), std::error_code());
}

TEST(Intent, TimeRules) {
  const auto at = [](UnixSeconds now) { return [now](IntentExpectations& e) { e.now = now; }; };
  const auto same = [](Intent&) {};
  EXPECT_EQ(check(same, at(kNow - 30)), std::error_code());
  EXPECT_EQ(check(same, at(kNow - 31)), Errc::not_yet);
  EXPECT_EQ(check(same, at(kNow + 60)), std::error_code());
  EXPECT_EQ(check(same, at(kNow + 61)), Errc::expired);
  EXPECT_EQ(check([](Intent& i) { i.expires = i.issued + 120; }), std::error_code());
  EXPECT_EQ(check([](Intent& i) { i.expires = i.issued + 121; }), Errc::life_too_long);
  EXPECT_EQ(check([](Intent& i) { i.expires = i.issued; }), Errc::life_too_long);
}

TEST(Intent, AddresseeCallerAndFields) {
  const auto same = [](Intent&) {};
  EXPECT_EQ(check([](Intent& i) { i.node = i.agent; }), Errc::reflected);
  EXPECT_EQ(check([](Intent& i) { i.node = peer_of_key(key_of(3)); }), Errc::misdelivered);
  EXPECT_EQ(check(same, [](auto& e) { e.caller = peer_of_key(key_of(3)); }), Errc::wrong_caller);
  EXPECT_EQ(check(same, [](auto& e) { e.caller.reset(); }), std::error_code());
  EXPECT_EQ(check(same, [](auto& e) { e.agent_did = ""; }), Errc::field_mismatch);
  const auto other = did_of(key_of(3).public_key());
  EXPECT_EQ(check(same, [&](auto& e) { e.agent_did = other; }), Errc::field_mismatch);
  EXPECT_EQ(check(same, [](auto& e) { e.capability_field = "log-scam"; }), Errc::field_mismatch);
  const auto cid = capability_hash("log-scan");
  EXPECT_EQ(check(same, [&](auto& e) { e.capability_field = cid; }), std::error_code());
  EXPECT_EQ(check([](Intent& i) { i.op = "watch"; }), Errc::wrong_operation);
  EXPECT_EQ(check([](Intent& i) { i.suites = {2}; }), Errc::no_common_suite);
}

TEST(Intent, SchemaRules) {
  EXPECT_EQ(check([](Intent& i) { i.suites = {}; }), Errc::bad_statement);
  EXPECT_EQ(check([](Intent& i) { i.suites = {1, 1}; }), Errc::bad_statement);
  EXPECT_EQ(check([](Intent& i) { i.suites.assign(17, 1); }), Errc::bad_statement);
  EXPECT_EQ(check([](Intent& i) { i.capability = "No"; }), Errc::bad_name);
  EXPECT_EQ(check([](Intent& i) { i.agent = peer_of_key(key_of(3)); }), Errc::wrong_kid);
  EXPECT_EQ(parse_intent(Bytes(kIntentBytesMax + 1)).error().code, nmp::Errc::too_large);
}

TEST(Intent, ForgedIsToldGenerically) {
  auto cose = signed_intent();
  cose.back() ^= std::byte{1};
  const auto received = parse_intent(cose);
  ASSERT_TRUE(received);
  EXPECT_EQ(verify_intent(*received).error().code, Errc::bad_signature);
  const Error expired{make_error_code(Errc::expired), {}};
  EXPECT_EQ(refusal_to_tell(*received, expired).code, Errc::bad_signature);
  EXPECT_EQ(refusal_to_tell(*parse_intent(signed_intent()), expired).code, Errc::expired);
}

struct Negotiation {
  ReceivedIntent intent = *parse_intent(signed_intent());
  Bytes kem_key = Bytes(1184, std::byte{3});
  std::string token = std::string(43, 'A');
  Bytes evidence;
  Answer answer = sample_answer(intent.hash);
  Negotiation() {
    answer.kem_key_hash = crypto::sha256(kem_key);
    answer.token_hash = SessionToken::parse(token)->hash();
  }
  std::error_code check(const crypto::Ed25519KeyPair& signer = node_key(), UnixSeconds now = kNow) {
    const auto cose = sign_answer(answer, signer);
    if (!cose) return cose.error().code;
    const auto received = parse_answer(*cose);
    const AnswerExpectations expected{.node = peer_of_key(node_key()),
                                      .intent = &intent,
                                      .kem_key = kem_key,
                                      .session_token = token,
                                      .enclave_evidence = evidence,
                                      .manifest_hash = {},
                                      .now = now};
    const auto result = check_answer(*received, expected);
    return result ? std::error_code() : result.error().code;
  }
};

TEST(Answer, HostileHopIsSeen) {
  EXPECT_EQ(Negotiation().check(), std::error_code());
  EXPECT_EQ(Negotiation().check(key_of(3)), Errc::wrong_kid);
  EXPECT_EQ(Negotiation().check(agent_key()), Errc::wrong_kid);
  Negotiation n;
  n.kem_key[5] ^= std::byte{1};
  EXPECT_EQ(n.check(), Errc::key_mismatch);
  n = {};
  n.token = std::string(42, 'A') + "E";
  EXPECT_EQ(n.check(), Errc::token_mismatch);
  n = {};
  n.token = "";
  EXPECT_EQ(n.check(), Errc::bad_token);
  n = {};
  n.answer.intent_hash[0] ^= std::byte{1};
  EXPECT_EQ(n.check(), Errc::wrong_intent);
  n = {};
  n.answer.suite = 2;
  EXPECT_EQ(n.check(), Errc::no_common_suite);
  n = {};
  n.evidence = Bytes(3);
  EXPECT_EQ(n.check(), Errc::evidence_mismatch);
  n.answer.enclave_evidence = crypto::sha256(n.evidence);
  EXPECT_EQ(n.check(), std::error_code());
  n.evidence.clear();
  EXPECT_EQ(n.check(), Errc::evidence_mismatch);
  n = {};
  n.answer.limits.memory_bytes += 1;
  EXPECT_EQ(n.check(), Errc::limits_raised);
  n = {};
  n.answer.limits.fuel = kNoCeiling;
  EXPECT_EQ(n.check(), Errc::bad_statement);
  n = {};
  EXPECT_EQ(n.check(node_key(), kNow + 91), Errc::expired);
  n.answer.expires = kNow + 91;
  EXPECT_EQ(n.check(), Errc::life_too_long);
}

TEST(Manifest, RoundTripsSortedAndVerifies) {
  auto manifest = sample_manifest();
  manifest.capabilities.push_back(manifest.capabilities[0]);
  manifest.capabilities[1].name = "a-first";
  const auto cose = sign_manifest(manifest, node_key());
  ASSERT_TRUE(cose);
  const auto got = verify_manifest(*cose, manifest.node, kNow);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->manifest.capabilities[0].name, "a-first");
  EXPECT_EQ(*got->manifest.find("log-scan"), sample_manifest().capabilities[0]);
  EXPECT_EQ(got->manifest.find("none"), nullptr);
  EXPECT_EQ(verify_manifest(*cose, peer_of_key(agent_key()), kNow).error().code, Errc::wrong_kid);
  EXPECT_EQ(verify_manifest(*cose, manifest.node, kNow + 3601).error().code, Errc::expired);
  EXPECT_EQ(verify_manifest(*cose, manifest.node, kNow - 31).error().code, Errc::not_yet);
}

TEST(Manifest, Refuses) {
  const auto code = [](const std::function<void(Manifest&)>& change) {
    auto manifest = sample_manifest();
    change(manifest);
    const auto cose = sign_manifest(manifest, node_key());
    return cose ? std::error_code() : cose.error().code;
  };
  EXPECT_EQ(code([](Manifest& m) { m.expires = m.issued + 86'401; }), Errc::life_too_long);
  EXPECT_EQ(code([](Manifest& m) { m.node = peer_of_key(agent_key()); }), Errc::wrong_kid);
  EXPECT_EQ(code([](Manifest& m) { m.capabilities.push_back(m.capabilities[0]); }), Errc::bad_statement);
  EXPECT_EQ(code([](Manifest& m) { m.capabilities[0].limits.fuel = kNoCeiling; }), Errc::bad_statement);
  EXPECT_EQ(code([](Manifest& m) { m.capabilities[0].description = "\xff"; }), Errc::bad_statement);
  EXPECT_EQ(code([](Manifest& m) { m.capabilities[0].input_schema.assign(kSchemaBytesMax + 1, ' '); }),
            nmp::Errc::too_large);
}

TEST(Manifest, RecordKeyNamesTheSigner) {
  auto manifest = sample_manifest();
  std::vector<Bytes> values;
  for (const std::uint64_t seq : {3U, 9U, 9U, 4U}) {
    manifest.seq = seq;
    values.push_back(*sign_manifest(manifest, node_key()));
  }
  values.push_back(to_bytes("rubbish"));
  const auto key = manifest_record_key(manifest.node);
  EXPECT_TRUE(validate_record(key, values[0], kNow));
  EXPECT_EQ(*select_record(key, values, kNow), 1U);
  EXPECT_EQ(validate_record(manifest_record_key(peer_of_key(agent_key())), values[0], kNow).error().code,
            Errc::wrong_kid);
  EXPECT_EQ(validate_record(bytes_of("/nmp/manifest/x"), values[0], kNow).error().code, Errc::bad_key);
  EXPECT_EQ(validate_record(bytes_of("/pk/x"), values[0], kNow).error().code, Errc::bad_key);
  EXPECT_FALSE(select_record(key, {to_bytes("x")}, kNow));
}

// --- S1: every typ to every verifier; exactly the diagonal verifies.
struct Kind {
  std::string name;
  std::string_view typ;
  Bytes good;
  std::function<bool(ByteView)> accepts;
};

std::vector<Kind> kinds() {
  auto intent = signed_intent();
  Negotiation n;
  auto answer = *sign_answer(n.answer, node_key());
  return {
      {"intent", kIntentTyp, intent,
       [](ByteView b) {
         const auto r = parse_intent(b);
         return r && verify_intent(*r);
       }},
      {"answer", kAnswerTyp, answer,
       [](ByteView b) {
         Negotiation m;
         const auto r = parse_answer(b);
         const AnswerExpectations e{.node = peer_of_key(node_key()),
                                    .intent = &m.intent,
                                    .kem_key = m.kem_key,
                                    .session_token = m.token,
                                    .enclave_evidence = {},
                                    .manifest_hash = {},
                                    .now = kNow};
         return r && check_answer(*r, e);
       }},
      {"manifest", kManifestTyp, *sign_manifest(sample_manifest(), node_key()),
       [](ByteView b) { return verify_manifest(b, peer_of_key(node_key()), kNow).has_value(); }},
      {"receipt", kReceiptTyp, *sign_receipt(sample_receipt(), node_key()),
       [](ByteView b) {
         const auto r = parse_receipt(b);
         return r && verify_receipt(*r);
       }},
  };
}

TEST(SignatureMatrix, OnlyTheDiagonalVerifies) {
  const auto all = kinds();
  for (const auto& verifier : all) {
    for (const auto& object : all) {
      EXPECT_EQ(verifier.accepts(object.good), verifier.name == object.name) << object.name << " to " << verifier.name;
      // The same payload under another typ, honestly signed.
      const auto parsed = *cose::parse(object.good);
      const auto key = object.name == "intent" ? agent_key() : node_key();
      const auto renamed = cose::sign1(verifier.typ, parsed.kid, parsed.payload, key);
      EXPECT_EQ(verifier.accepts(renamed), verifier.name == object.name) << object.name << " as " << verifier.name;
      for (const std::string_view typ :
           {"application/nmp-sth-v1+cose", "application/nmp-keys-v1+cose",
            "libp2p-tls-handshake:", "noise-libp2p-static-key:", "libp2p-routing-state", "libp2p-pubsub:", "x"}) {
        EXPECT_FALSE(verifier.accepts(cose::sign1(typ, parsed.kid, parsed.payload, key)));
      }
      // A kid of the other form, of the same key.
      EXPECT_FALSE(verifier.accepts(cose::sign1(object.typ, cose::kid_of_key(key.public_key()), parsed.payload, key)));
    }
  }
}

// --- S2: each has one encoding.
TEST(Encoding, EveryFlippedBitIsRefused) {
  for (const auto& kind : kinds()) {
    ASSERT_TRUE(kind.accepts(kind.good)) << kind.name;
    auto bytes = kind.good;
    for (std::size_t i = 0; i < bytes.size() * 8; ++i) {
      const auto bit = static_cast<std::byte>(1U << (i % 8));
      bytes[i / 8] ^= bit;
      EXPECT_FALSE(kind.accepts(bytes)) << kind.name << " bit " << i;
      bytes[i / 8] ^= bit;
    }
  }
}

TEST(Encoding, TrailingAndMissingBytesAreRefused) {
  for (const auto& kind : kinds()) {
    auto longer = kind.good;
    longer.push_back(std::byte{0});
    EXPECT_FALSE(kind.accepts(longer));
    for (std::size_t size = 0; size < kind.good.size(); ++size)
      EXPECT_FALSE(kind.accepts(ByteView(kind.good).first(size)));
  }
}

/// The payload map with its head or its first entry (key 1, value 1) rewritten, and signed honestly.
TEST(Encoding, NonCanonicalPayloadsAreRefused) {
  for (const auto& kind : kinds()) {
    const auto parsed = *cose::parse(kind.good);
    const auto key = kind.name == "intent" ? agent_key() : node_key();
    const auto& payload = parsed.payload;
    const auto resigned = [&](const Bytes& changed) { return cose::sign1(kind.typ, parsed.kid, changed, key); };
    EXPECT_TRUE(kind.accepts(resigned(payload)));
    const auto first = std::to_integer<unsigned>(payload[0]);
    const std::size_t head = first == 0xb8 ? 2 : 1;
    const auto count = head == 2 ? std::to_integer<unsigned>(payload[1]) : first & 31U;
    const Bytes entries(payload.begin() + static_cast<std::ptrdiff_t>(head), payload.end());
    const auto with = [&](std::initializer_list<unsigned> start, std::size_t skip,
                          std::initializer_list<unsigned> end) {
      Bytes out;
      for (auto b : start) out.push_back(static_cast<std::byte>(b));
      append(out, ByteView(entries).subspan(skip));
      for (auto b : end) out.push_back(static_cast<std::byte>(b));
      return resigned(out);
    };
    ASSERT_EQ(entries[0], std::byte{1});
    ASSERT_EQ(entries[1], std::byte{1});
    const unsigned more = count + 1;
    const auto small = [](unsigned n) { return n < 24 ? 0xa0 | n : 0U; };
    EXPECT_FALSE(kind.accepts(with({0xbf}, 0, {0xff}))) << "indefinite length";
    EXPECT_FALSE(kind.accepts(with({0xb9, 0, count}, 0, {}))) << "long head";
    EXPECT_FALSE(kind.accepts(with({0xb8, count, 0x18, 1, 1}, 2, {}))) << "long key";
    EXPECT_FALSE(kind.accepts(with({0xb8, count, 1, 0x18, 1}, 2, {}))) << "long value";
    if (small(more) != 0) {
      EXPECT_FALSE(kind.accepts(with({small(more), 1, 1}, 0, {}))) << "duplicate key";
      EXPECT_FALSE(kind.accepts(with({small(more)}, 0, {0x18, 0x40, 0}))) << "unknown key";
      EXPECT_FALSE(kind.accepts(with({small(more)}, 0, {0x61, 0x61, 0}))) << "mixed keys";
    } else {
      EXPECT_FALSE(kind.accepts(with({0xb8, more, 1, 1}, 0, {}))) << "duplicate key";
      EXPECT_FALSE(kind.accepts(with({0xb8, more}, 0, {0x18, 0x40, 0}))) << "unknown key";
      EXPECT_FALSE(kind.accepts(with({0xb8, more}, 0, {0x61, 0x61, 0}))) << "mixed keys";
    }
    EXPECT_FALSE(kind.accepts(with({first}, 0, {0}))) << "trailing";
  }
}

}  // namespace
}  // namespace nmp::core
