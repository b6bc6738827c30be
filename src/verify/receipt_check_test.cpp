#include "verify/receipt_check.hpp"

#include <functional>

#include <gtest/gtest.h>

#include "core/testing.hpp"

namespace nmp::verify {
namespace {
using namespace core::testing;

struct SampleRun {
  core::Inputs inputs{{"level", to_bytes("error")}};
  core::Salt input_salt{std::byte{4}};
  core::Openings openings{.evidence_salt = {std::byte{5}}};
  Bytes module = to_bytes("module");
  Bytes evidence = to_bytes("42");
  std::vector<Bytes> events{to_bytes("one"), to_bytes("two")};
  core::ReceivedIntent intent = make_intent();
  crypto::Digest answer_hash = crypto::sha256(bytes_of("answer"));
  core::Authorization limits = full_limits();
  core::Receipt receipt = make_receipt();

  core::ReceivedIntent make_intent() const {
    auto out = sample_intent();
    out.module_hash = crypto::sha256(module);
    out.input_commitment = core::commit_inputs(input_salt, inputs);
    return *core::parse_intent(*core::sign_intent(out, agent_key()));
  }
  core::Receipt make_receipt() const {
    auto out = sample_receipt();
    out.intent_hash = intent.hash;
    out.answer_hash = answer_hash;
    out.module_hash = crypto::sha256(module);
    out.input_commitment = core::commit_inputs(input_salt, inputs);
    out.evidence_commitment = core::commit_evidence(openings.evidence_salt, evidence);
    core::EventChain chain(openings.evidence_salt, answer_hash);
    for (const auto& event : events) chain.add(event);
    out.event_count = chain.count();
    out.event_chain = chain.value();
    out.limits = limits;
    return out;
  }
  [[nodiscard]] Bytes proof(const crypto::Ed25519KeyPair& key = node_key()) const {
    auto mine = receipt;
    mine.node = peer_of_key(key);
    return core::encode_proof({.receipt = *core::sign_receipt(mine, key), .sth = {}, .path = {}});
  }
  [[nodiscard]] std::error_code check(const Bytes& bytes) const {
    std::vector<crypto::Digest> hashes;
    hashes.reserve(events.size());
    for (const auto& event : events) hashes.push_back(crypto::sha256(event));
    const RunKnowledge knowledge{.intent = &intent,
                                 .answer_hash = answer_hash,
                                 .effective_limits = &limits,
                                 .run = 0,
                                 .inputs = &inputs,
                                 .input_salt = input_salt,
                                 .evidence = evidence,
                                 .event_hashes = &hashes,
                                 .openings = openings,
                                 .sent = kNow,
                                 .received = kNow + 2};
    const auto report = check_own_receipt(bytes, knowledge);
    EXPECT_EQ(report.ok(), !report.failure().has_value());
    return report.ok() ? std::error_code() : report.failure()->code;
  }
  [[nodiscard]] Expectations all() const {
    return {.pinned = {peer_of_key(node_key())},
            .signer = {},
            .module = module,
            .inputs = inputs,
            .input_salt = input_salt,
            .evidence = evidence,
            .openings = openings,
            .events = events,
            .commitment = crypto::sha256(bytes_of("logs"))};
  }
};

std::error_code code_of(const Report& report) { return report.ok() ? std::error_code() : report.failure()->code; }

// S9: substitution of receipts between nodes, agents, runs, negotiations.
TEST(OwnReceipt, SubstitutionIsSeen) {
  EXPECT_EQ(SampleRun().check(SampleRun().proof()), std::error_code());
  EXPECT_EQ(SampleRun().check(SampleRun().proof(key_of(3))), Errc::signer_mismatch)
      << "an attacker's own consistent receipt";
  const auto with = [](const std::function<void(core::Receipt&)>& change) {
    SampleRun run;
    change(run.receipt);
    return run.check(run.proof());
  };
  EXPECT_EQ(with([](auto& r) { r.intent_hash[0] ^= std::byte{1}; }), Errc::intent_mismatch);
  EXPECT_EQ(with([](auto& r) { r.answer_hash[0] ^= std::byte{1}; }), Errc::answer_mismatch);
  EXPECT_EQ(with([](auto& r) { r.module_hash[0] ^= std::byte{1}; }), Errc::module_mismatch);
  EXPECT_EQ(with([](auto& r) { r.input_commitment[0] ^= std::byte{1}; }), Errc::inputs_mismatch);
  EXPECT_EQ(with([](auto& r) { r.evidence_commitment[0] ^= std::byte{1}; }), Errc::evidence_mismatch);
  EXPECT_EQ(with([](auto& r) { r.event_count = 1; }), Errc::events_mismatch);
  EXPECT_EQ(with([](auto& r) { r.event_chain[0] ^= std::byte{1}; }), Errc::events_mismatch);
  EXPECT_EQ(with([](auto& r) { r.limits.fuel += 1; }), Errc::limits_mismatch);
  EXPECT_EQ(with([](auto& r) { r.agent = peer_of_key(key_of(3)); }), Errc::field_mismatch);
  EXPECT_EQ(with([](auto& r) { r.run = 1; }), Errc::field_mismatch);
  EXPECT_EQ(with([](auto& r) { r.capability = "other"; }), Errc::field_mismatch);
  EXPECT_EQ(with([](auto& r) { r.op = "watch"; }), Errc::field_mismatch);
  EXPECT_EQ(with([](auto& r) { r.envelope = "legacy"; }), Errc::field_mismatch);
  EXPECT_EQ(with([](auto& r) { r.grant_id = crypto::Digest{}; }), Errc::field_mismatch);
  EXPECT_EQ(with([](auto& r) { r.kind = core::ReceiptKind::zk; }), Errc::kind_mismatch);
}

TEST(OwnReceipt, DroppedOrAlteredEventsAreSeen) {
  const SampleRun made;
  SampleRun run;
  run.events.pop_back();
  EXPECT_EQ(run.check(made.proof()), Errc::events_mismatch);
  run.events = {to_bytes("two"), to_bytes("one")};
  EXPECT_EQ(run.check(made.proof()), Errc::events_mismatch);
  run = SampleRun();
  run.evidence.push_back(std::byte{0});
  EXPECT_EQ(run.check(made.proof()), Errc::evidence_mismatch);
}

TEST(OwnReceipt, SignedIsNotTakenForZk) {
  SampleRun run;
  run.intent.intent.receipt_kind = core::ReceiptKind::zk;
  EXPECT_EQ(run.check(run.proof()), Errc::kind_mismatch);
}

TEST(ReceiptFile, ComparesWhatIsGiven) {
  const SampleRun run;
  const auto cose = core::decode_proof(run.proof())->receipt;
  EXPECT_EQ(code_of(check_receipt(cose, run.all())), std::error_code());
  EXPECT_EQ(code_of(check_receipt(run.proof(), run.all())), std::error_code());
  auto e = run.all();
  e.pinned.clear();
  EXPECT_EQ(code_of(check_receipt(cose, e)), Errc::signer_unpinned);
  e.signer = peer_of_key(node_key());
  EXPECT_EQ(code_of(check_receipt(cose, e)), std::error_code());
  e.signer = peer_of_key(key_of(3));
  EXPECT_EQ(code_of(check_receipt(cose, e)), Errc::signer_mismatch);
  e = run.all();
  e.module = bytes_of("other");
  EXPECT_EQ(code_of(check_receipt(cose, e)), Errc::module_mismatch);
  e = run.all();
  e.inputs->emplace("x", Bytes{});
  EXPECT_EQ(code_of(check_receipt(cose, e)), Errc::inputs_mismatch);
  e.input_salt.reset();
  EXPECT_EQ(code_of(check_receipt(cose, e)), Errc::opening_missing);
  e = run.all();
  e.evidence = bytes_of("43");
  EXPECT_EQ(code_of(check_receipt(cose, e)), Errc::evidence_mismatch);
  e = run.all();
  e.events->pop_back();
  EXPECT_EQ(code_of(check_receipt(cose, e)), Errc::events_mismatch);
  e = run.all();
  e.commitment = crypto::Digest{};
  EXPECT_EQ(code_of(check_receipt(cose, e)), Errc::dataset_mismatch);
  e = run.all();
  e.kind = core::ReceiptKind::enclave;
  EXPECT_EQ(code_of(check_receipt(cose, e)), Errc::kind_mismatch);
  const auto with_sth = core::encode_proof({.receipt = cose, .sth = to_bytes("anything"), .path = {}});
  EXPECT_EQ(code_of(check_receipt(with_sth, run.all())), Errc::log_unsupported);
  for (const auto& check : check_receipt(cose, {.pinned = {peer_of_key(node_key())}}).checks) {
    EXPECT_NE(check.outcome, Outcome::failed) << check.name;
    EXPECT_FALSE(check.words.empty());
  }
}

// S2: every flipped bit of a receipt file.
TEST(ReceiptFile, EveryFlippedBitIsRefused) {
  const SampleRun run;
  for (const auto& bytes : {run.proof(), core::decode_proof(run.proof())->receipt}) {
    auto text = base64_encode(bytes) + "\n";
    const auto accepted = [&] {
      const auto read = read_receipt_text(text);
      return read && check_receipt(*read, {.pinned = {peer_of_key(node_key())}}).ok();
    };
    ASSERT_TRUE(accepted());
    for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {
      const auto before = text[bit / 8];
      text[bit / 8] = static_cast<char>(before ^ (1 << (bit % 8)));
      EXPECT_FALSE(accepted()) << "bit " << bit;
      text[bit / 8] = before;
    }
    EXPECT_FALSE(read_receipt_text(text + "\n"));
    EXPECT_FALSE(read_receipt_text(" " + text));
  }
  EXPECT_FALSE(read_receipt_text(""));
  EXPECT_FALSE(read_receipt_text("\n"));
  EXPECT_FALSE(read_receipt_text(std::string(1 << 20, 'A')));
}

}  // namespace
}  // namespace nmp::verify
