#include "core/envelope.hpp"

#include <set>

#include <gtest/gtest.h>

#include "core/limits.hpp"
#include "core/testing.hpp"
#include "crypto/random.hpp"

namespace nmp::core {
namespace {
using namespace testing;

struct Pair {
  crypto::X25519KeyPair agent_x25519 = crypto::X25519KeyPair::generate(crypto::system_random());
  NodeEnvelope node = *NodeEnvelope::make(crypto::system_random());
  crypto::Digest transcript = transcript_hash(bytes_of("intent"), bytes_of("answer"));
  AgentEnvelope agent = make();
  AgentEnvelope make() {
    node.bind(transcript, agent_x25519.public_key());
    return *AgentEnvelope::make(transcript, node.kem_key(), agent_x25519, node.x25519_key(), crypto::system_random());
  }
};

const ByteArray<12> kZeroNonce{};
const SealedInputs kInputs{.inputs = {{"pin", to_bytes("1234")}}, .salt = {}};

struct Request {
  Bytes module, inputs;
  std::uint32_t run;
  Request(AgentRun& agent, std::string_view text = "module") : run(agent.run()) {
    if (!text.empty()) module = *agent.seal_module(bytes_of(text));
    inputs = *agent.seal_inputs(kInputs);
  }
  [[nodiscard]] SealedRequest view(const AgentEnvelope& agent) const {
    return {
        .ciphertext = agent.ciphertext(), .aes_nonce = kZeroNonce, .wasm_binary = module, .sealed = inputs, .run = run};
  }
};

// tests/vectors/core_formulas.py: computed by Python, apart from this code.
TEST(Envelope, KeyScheduleAndBoxesMatchThePythonVectors) {
  auto v = vectors("core_formulas.txt");
  ASSERT_FALSE(v.empty());
  const auto th = transcript_hash(bytes_of("intent bytes"), bytes_of("answer bytes"));
  EXPECT_TRUE(equal(th, v["transcript"]));
  SecretBytes<32> kem, x25519;
  std::ranges::fill(kem.mutable_view(), std::byte{0x11});
  std::ranges::fill(x25519.mutable_view(), std::byte{0x22});
  pq::Ciphertext ct{};
  ct.bytes.fill(std::byte{0x33});
  const EnvelopeSecrets secrets(th, kem, x25519, ct);
  for (const auto direction : {Direction::to_node, Direction::to_agent}) {
    for (const std::uint32_t run : {0U, 1U, 4294967295U}) {
      const auto name = "key." + std::to_string(static_cast<int>(direction)) + "." + std::to_string(run);
      EXPECT_TRUE(equal(secrets.key(direction, run).view(), v[name])) << name;
    }
  }
  SealedSender sender(
      secrets.key(Direction::to_node, 1),
      {.transcript = th, .direction = Direction::to_node, .run = 1, .method = std::string(kExecuteLogicMethod)});
  EXPECT_EQ(*sender.seal(2, bytes_of("module"), false), v["box.0"]);
  EXPECT_EQ(*sender.seal(16, bytes_of("inputs"), true), v["box.1"]);
}

TEST(Envelope, RunsThere_AndBack) {
  Pair pair;
  for (const std::uint32_t run : {0U, 1U, 9U}) {
    auto agent = *pair.agent.begin(run);
    const Request request(agent);
    auto opened = pair.node.open(request.view(pair.agent));
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->module, to_bytes("module"));
    EXPECT_EQ(opened->inputs.inputs, kInputs.inputs);
    const auto event = *opened->run.seal(EventBody{to_bytes("e")});
    const auto evidence = *opened->run.seal(EvidenceBody{to_bytes("answer")});
    const auto final = *opened->run.seal(ReceiptBody{.proof = to_bytes("proof"), .openings = {}});
    EXPECT_EQ(opened->run.seal(EventBody{}).error().code, Errc::after_final);
    EXPECT_EQ(std::get<EventBody>(*agent.open(event)).data, to_bytes("e"));
    EXPECT_EQ(agent.check_finished().error().code, Errc::stream_truncated);
    EXPECT_EQ(std::get<EvidenceBody>(*agent.open(evidence)).data, to_bytes("answer"));
    EXPECT_EQ(std::get<ReceiptBody>(*agent.open(final)).proof, to_bytes("proof"));
    EXPECT_TRUE(agent.check_finished());
    EXPECT_EQ(agent.open(final).error().code, Errc::after_final);
  }
  EXPECT_EQ(pair.agent.begin(9).error().code, Errc::run_reused);
  EXPECT_EQ(pair.agent.begin(3).error().code, Errc::run_reused);
}

TEST(Envelope, ByHashTheInputsAreBoxZero) {
  Pair pair;
  auto agent = *pair.agent.begin(0);
  const Request request(agent, "");
  auto opened = pair.node.open(request.view(pair.agent));
  ASSERT_TRUE(opened);
  EXPECT_TRUE(opened->module.empty());
}

TEST(Envelope, ARequestOpensOnceAndOnlyWhole) {
  Pair pair;
  auto agent = *pair.agent.begin(1);
  const Request request(agent);
  const auto good = request.view(pair.agent);
  const auto refused = [&](SealedRequest bad) {
    const auto result = pair.node.open(bad);
    return result ? std::error_code() : result.error().code;
  };
  auto bad = good;
  bad.run = 2;
  EXPECT_EQ(refused(bad), Errc::envelope);
  bad = good;
  bad.method = "/nmp.v1.NeuralMesh/Watch";
  EXPECT_EQ(refused(bad), Errc::envelope);
  bad = good;
  std::swap(bad.wasm_binary, bad.sealed);
  EXPECT_EQ(refused(bad), Errc::envelope);
  bad = good;
  bad.wasm_binary = {};
  EXPECT_EQ(refused(bad), Errc::envelope);
  bad = good;
  const ByteArray<12> nonce{std::byte{1}};
  bad.aes_nonce = nonce;
  EXPECT_EQ(refused(bad), Errc::envelope);
  bad = good;
  bad.aes_nonce = {};
  EXPECT_EQ(refused(bad), Errc::envelope);
  bad = good;
  Bytes ciphertext = to_bytes(good.ciphertext);
  ciphertext[7] ^= std::byte{1};
  bad.ciphertext = ciphertext;
  EXPECT_EQ(refused(bad), Errc::envelope);
  bad.ciphertext = ByteView(ciphertext).first(1087);
  EXPECT_EQ(refused(bad), Errc::envelope);
  // None of these spent the session.
  EXPECT_EQ(refused(good), std::error_code());
  EXPECT_EQ(refused(good), Errc::run_reused);
  pair.node.erase();
  EXPECT_EQ(refused(good), Errc::envelope);
}

TEST(Envelope, AThiefOfTheTokenCannotAsk) {
  // Has intent, answer, KEM key, token, module and inputs, but not the agent's X25519 secret.
  Pair pair;
  const auto thief_key = crypto::X25519KeyPair::generate(crypto::system_random());
  auto thief = *AgentEnvelope::make(pair.transcript, pair.node.kem_key(), thief_key, pair.node.x25519_key(),
                                    crypto::system_random());
  auto run = *thief.begin(0);
  EXPECT_EQ(pair.node.open(Request(run).view(thief)).error().code, Errc::envelope);
  auto agent = *pair.agent.begin(0);
  const Request request(agent);
  EXPECT_TRUE(pair.node.open(request.view(pair.agent)));
}

TEST(Envelope, AnotherTranscriptOpensNothing) {
  Pair pair;
  auto other = *AgentEnvelope::make(transcript_hash(bytes_of("intent"), bytes_of("other")), pair.node.kem_key(),
                                    pair.agent_x25519, pair.node.x25519_key(), crypto::system_random());
  auto run = *other.begin(0);
  EXPECT_EQ(pair.node.open(Request(run).view(other)).error().code, Errc::envelope);
}

TEST(Envelope, BadKeysAreRefusedBeforeAnythingIsSealed) {
  Pair pair;
  const auto make = [&](ByteView kem, ByteView x) {
    return AgentEnvelope::make(pair.transcript, kem, pair.agent_x25519, x, crypto::system_random()).has_value();
  };
  const ByteArray<32> zero{};
  EXPECT_FALSE(make(pair.node.kem_key(), zero));
  EXPECT_FALSE(make(pair.node.kem_key().first(1183), pair.node.x25519_key()));
  const Bytes ones(1184, std::byte{0xff});  // coefficients of 4095 are not below q
  EXPECT_FALSE(make(ones, pair.node.x25519_key()));
  EXPECT_TRUE(make(pair.node.kem_key(), pair.node.x25519_key()));
}

/// A fresh agent run with the node's boxes: event 0, event 1, evidence, receipt.
struct Stream {
  Pair pair;
  AgentRun agent = *pair.agent.begin(0);
  std::vector<Bytes> boxes;
  Stream() {
    const Request request(agent);
    auto opened = *pair.node.open(request.view(pair.agent));
    boxes.push_back(*opened.run.seal(EventBody{to_bytes("same")}));
    boxes.push_back(*opened.run.seal(EventBody{to_bytes("same")}));
    boxes.push_back(*opened.run.seal(EvidenceBody{to_bytes("x")}));
    boxes.push_back(*opened.run.seal(HostErrorBody{.reason = "trap", .message = "m", .receipt = std::nullopt}));
  }
  bool play(const std::vector<std::size_t>& order) {
    for (const auto i : order) {
      if (!agent.open(boxes[i])) return false;
    }
    return agent.check_finished().has_value();
  }
};

TEST(Envelope, ReorderedRepeatedDroppedOrCutStreamsFail) {
  EXPECT_TRUE(Stream().play({0, 1, 2, 3}));
  const std::vector<std::vector<std::size_t>> orders{
      {1, 0, 2, 3}, {0, 0, 1, 2, 3}, {0, 2, 3}, {1, 2, 3}, {3}, {0, 1, 2}, {}, {0, 1, 2, 2, 3}, {0, 1, 3}};
  for (const auto& order : orders) {
    EXPECT_FALSE(Stream().play(order));
  }
  Stream stream;
  EXPECT_FALSE(stream.agent.open(stream.boxes[1]));
  EXPECT_EQ(stream.agent.open(stream.boxes[0]).error().code, Errc::envelope) << "failed for good";
}

TEST(Envelope, EveryFlippedBitOfABoxIsRefused) {
  Stream reference;
  for (std::size_t bit = 0; bit < reference.boxes[0].size() * 8; bit += 5) {
    Stream stream;
    stream.boxes[0][bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    EXPECT_FALSE(stream.agent.open(stream.boxes[0]));
  }
}

TEST(Envelope, AgentRefusesItsOwnBoxBack) {
  Pair pair;
  auto agent = *pair.agent.begin(0);
  const auto box = *agent.seal_module(bytes_of("m"));
  EXPECT_EQ(agent.open(box).error().code, Errc::envelope);
}

TEST(Envelope, GuestBytesCannotPoseAsFinal) {
  // A receipt-shaped body in a box that is not final, and an event in a final one: both are refused.
  for (const bool final : {true, false}) {
    SecretBytes<32> kem, x25519;
    const EnvelopeSecrets secrets({}, kem, x25519, {});
    const BoxBinding binding{.transcript = {}, .direction = Direction::to_agent, .run = 0, .method = "/m"};
    SealedSender sender(secrets.key(Direction::to_agent, 0), binding);
    SealedReceiver receiver(secrets.key(Direction::to_agent, 0), binding);
    const ResponseBody body = final ? ResponseBody(EventBody{}) : ResponseBody(ReceiptBody{});
    const auto opened = receiver.open(16, *sender.seal(16, encode_response(body), final), std::nullopt);
    ASSERT_TRUE(opened);
    EXPECT_NE(is_final(*decode_response(opened->plaintext)), opened->final);
  }
}

/// S6: over many sessions and runs, both directions, no (key, nonce) pair comes twice.
TEST(Envelope, LedgerHasNoRepeatedKeyAndNonce) {
  std::set<std::pair<Bytes, std::uint64_t>> ledger;
  std::size_t count = 0;
  for (int session = 0; session < 20; ++session) {
    SecretBytes<32> kem, x25519;
    crypto::system_random().fill(kem.mutable_view());
    crypto::system_random().fill(x25519.mutable_view());
    const EnvelopeSecrets secrets({}, kem, x25519, {});
    for (std::uint32_t run = 0; run < 20; ++run) {
      for (const auto direction : {Direction::to_node, Direction::to_agent}) {
        const auto key = secrets.key(direction, run);
        SealedSender sender(secrets.key(direction, run),
                            {.transcript = {}, .direction = direction, .run = run, .method = "/m"});
        for (int box = 0; box < 5; ++box, ++count) {
          EXPECT_TRUE(ledger.emplace(to_bytes(key.view()), sender.next()).second);
          ASSERT_TRUE(sender.seal(16, {}, box == 4));
        }
      }
    }
  }
  EXPECT_EQ(ledger.size(), count);
}

TEST(SealedBody, RoundTripsAndRefuses) {
  const ReceiptBody receipt{.proof = to_bytes("p"), .openings = {.evidence_salt = {std::byte{1}}}};
  for (const ResponseBody& body : {ResponseBody(EventBody{to_bytes("e")}), ResponseBody(EvidenceBody{}),
                                   ResponseBody(DiagnosticsBody{to_bytes("d")}),
                                   ResponseBody(HostErrorBody{"trap", "m", receipt}), ResponseBody(receipt)}) {
    const auto bytes = encode_response(body);
    const auto again = decode_response(bytes);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->index(), body.index());
    EXPECT_EQ(encode_response(*again), bytes);
  }
  for (const cbor::Value& bad : std::initializer_list<cbor::Value>{
           cbor::Array{5, Bytes{}}, cbor::Array{0, "text"}, cbor::Array{0}, cbor::Array{0, Bytes{}, 1}, 7,
           cbor::Array{3, cbor::Map{{1, "Trap!"}, {2, ""}, {3, nullptr}}}, cbor::Array{4, cbor::Map{{1, Bytes{}}}}}) {
    EXPECT_FALSE(decode_response(cbor::encode(bad)));
  }
  EXPECT_EQ(decode_inputs(cbor::encode(cbor::Map{{1, cbor::Map{{"No", Bytes{}}}}, {2, Salt{}}})).error().code,
            Errc::bad_name);
  EXPECT_EQ(decode_inputs(bytes_of("x")).error().code, Errc::bad_box);
  EXPECT_EQ(decode_inputs(encode_inputs(kInputs))->inputs, kInputs.inputs);
}

}  // namespace
}  // namespace nmp::core
