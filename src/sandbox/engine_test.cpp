#include "sandbox/engine.hpp"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/async/task_group.hpp"
#include "base/async/testing.hpp"
#include "core/answer.hpp"
#include "core/envelope.hpp"
#include "core/receipt.hpp"
#include "crypto/random.hpp"
#include "sandbox/testing.hpp"

namespace nmp::sandbox {
namespace {

core::Authorization test_limits() {
  core::Authorization out;
  out.memory_bytes = 16 << 20;
  out.fuel = 1'000'000'000;
  out.wall_time_ms = 20'000;
  out.output_bytes = 1 << 20;
  out.event_bytes = 1 << 20;
  out.events = 100;
  out.diagnostic_bytes = 1 << 16;
  out.input_bytes = 1 << 20;
  return out;
}

struct Outcome {
  std::vector<std::string> events;
  std::string evidence;
  std::string reason;  ///< Of a refusal or a host error; empty: a receipt came.
  std::optional<core::Receipt> receipt;
  bool receipt_verified = false;
  bool evidence_matches = false;
  bool chain_matches = false;
  std::string ended = "none";
  bool finished = false;
};

Outcome failed(std::string reason) {
  Outcome out;
  out.reason = std::move(reason);
  return out;
}

/// An agent, a host and an engine in one process; everything between agent and engine is sealed.
struct Mesh {
  Mesh() {
    folder = std::filesystem::temp_directory_path() / ("nmp_engine_test_" + hex(crypto::system_random().u64()));
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "a.txt") << "dataset bytes";
    EngineOptions options{.receipt_key = node.copy(),
                          .node = libp2p::PeerId::of(node.public_key()),
                          .datasets = {{.name = "logs", .path = folder}},
                          .clock = &async::system_clock(),
                          .random = &crypto::system_random()};
    auto made = Engine::make(context.get_executor(), std::move(options));
    NMP_ASSERT(made.has_value());
    engine = *std::move(made);
    auto [near, far] = async::memory_pipe(context.get_executor());
    serving.emplace(context.get_executor());
    serving->spawn(engine->serve(std::move(far)));
    client = std::make_unique<EngineClient>(context.get_executor(), std::move(near));
  }
  ~Mesh() {
    (void)async::run_until_done(context, close(this));
    std::filesystem::remove_all(folder);
  }
  static async::Awaitable<int> close(Mesh* mesh) {
    co_await mesh->client->close();
    co_await mesh->serving->close();
    co_return 0;
  }
  static std::string hex(std::uint64_t value) { return std::to_string(value); }

  struct Ask {
    Bytes wasm;
    core::Inputs inputs;
    bool other_module = false;
    bool corrupt = false;
    bool by_hash = false;
  };
  Outcome run(Ask ask) { return async::run_until_done(context, run_async(this, std::move(ask))); }

  static async::Awaitable<Outcome> run_async(Mesh* mesh, Ask ask) {
    auto& random = crypto::system_random();
    const auto x25519 = crypto::X25519KeyPair::generate(random);
    core::SealedInputs inputs;
    inputs.inputs = ask.inputs;
    random.fill(inputs.salt);
    const auto now = async::system_clock().unix_now();
    core::Intent intent{.node = libp2p::PeerId::of(mesh->node.public_key()),
                        .agent = libp2p::PeerId::of(mesh->agent.public_key()),
                        .capability = "log-scan",
                        .module_hash = crypto::sha256(ask.wasm),
                        .input_commitment = core::commit_inputs(inputs.salt, inputs.inputs),
                        .limits = test_limits(),
                        .x25519_key = x25519.public_key(),
                        .nonce = random.bytes<32>(),
                        .issued = now,
                        .expires = now + 60};
    if (ask.other_module) intent.module_hash[0] ^= std::byte{1};
    auto cose = core::sign_intent(intent, mesh->agent);
    NMP_ASSERT(cose.has_value());
    const auto session = random.bytes<16>();
    auto keys = co_await mesh->client->open(session, *cose);
    if (!keys) co_return failed("open");

    core::Answer answer;
    answer.intent_hash = crypto::sha256(*cose);
    answer.kem_key_hash = crypto::sha256(keys->kem_key);
    answer.x25519_key = keys->x25519_key;
    answer.limits = test_limits();
    answer.expires = now + 60;
    auto answer_cose = core::sign_answer(answer, mesh->node);
    NMP_ASSERT(answer_cose.has_value());
    BindFrame bind;
    bind.session = session;
    bind.answer = *answer_cose;
    bind.limits = test_limits();
    bind.datasets = {"logs"};
    (void)co_await mesh->client->bind(std::move(bind));

    auto envelope = core::AgentEnvelope::make(core::transcript_hash(*cose, *answer_cose), keys->kem_key, x25519,
                                              keys->x25519_key, random);
    NMP_ASSERT(envelope.has_value());
    auto run = envelope->begin(0);
    NMP_ASSERT(run.has_value());
    JobFrame job;
    job.session = session;
    job.method = core::kExecuteLogicMethod;
    job.pqc_ciphertext = to_bytes(envelope->ciphertext());
    if (!ask.by_hash) job.module = *run->seal_module(ask.wasm);
    job.inputs = *run->seal_inputs(inputs);
    if (ask.corrupt) job.inputs[3] ^= std::byte{1};
    auto started = co_await mesh->client->job(std::move(job));
    NMP_ASSERT(started.has_value());

    Outcome out;
    std::optional<core::ReceiptBody> receipt;
    core::EventChain chain({}, crypto::sha256(*answer_cose));
    for (;;) {
      auto event = co_await (*started)->next();
      if (!event) break;
      if (const auto* refused = std::get_if<RefusedFrame>(&*event)) out.reason = refused->reason;
      if (const auto* ended = std::get_if<EndedFrame>(&*event)) out.ended = ended->reason;
      if (const auto* box = std::get_if<BoxFrame>(&*event)) {
        auto body = run->open(box->sealed);
        NMP_ASSERT(body.has_value());
        if (const auto* item = std::get_if<core::EventBody>(&*body)) out.events.push_back(string_of(item->data));
        if (const auto* item = std::get_if<core::EvidenceBody>(&*body)) out.evidence += text_of(item->data);
        if (const auto* item = std::get_if<core::ReceiptBody>(&*body)) receipt = *item;
        if (const auto* item = std::get_if<core::HostErrorBody>(&*body)) {
          out.reason = item->reason;
          receipt = item->receipt;
        }
      }
    }
    out.finished = run->check_finished().has_value();
    if (receipt) {
      auto proof = core::decode_proof(receipt->proof);
      NMP_ASSERT(proof.has_value());
      auto parsed = core::parse_receipt(proof->receipt);
      NMP_ASSERT(parsed.has_value());
      out.receipt_verified = core::verify_receipt(*parsed).has_value();
      out.receipt = parsed->receipt;
      const auto& salt = receipt->openings.evidence_salt;
      out.evidence_matches = core::commit_evidence(salt, bytes_of(out.evidence)) == parsed->receipt.evidence_commitment;
      core::EventChain again(salt, crypto::sha256(*answer_cose));
      for (const auto& event : out.events) again.add(bytes_of(event));
      out.chain_matches = again.value() == parsed->receipt.event_chain && again.count() == parsed->receipt.event_count;
    }
    co_return out;
  }

  boost::asio::io_context context;
  crypto::Ed25519KeyPair node = crypto::Ed25519KeyPair::generate(crypto::system_random());
  crypto::Ed25519KeyPair agent = crypto::Ed25519KeyPair::generate(crypto::system_random());
  std::filesystem::path folder;
  std::unique_ptr<Engine> engine;
  std::optional<async::TaskGroup> serving;
  std::unique_ptr<EngineClient> client;
};

Bytes good_filter() {
  return wat(R"((module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
      (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "nmp" "push_event" (func $push (param i32 i32)))
    (memory (export "memory") 1)
    (data (i32.const 8) "\64\00\00\00\20\00\00\00") (data (i32.const 200) "a.txt")
    (func (export "_start")
      (call $push (i32.const 200) (i32.const 5))
      (drop (call $open (i32.const 3) (i32.const 0) (i32.const 200) (i32.const 5) (i32.const 0)
                        (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 300)))
      (drop (call $read (i32.load (i32.const 300)) (i32.const 8) (i32.const 1) (i32.const 12)))
      (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0))))))");
}

TEST(EngineTest, SealedJobAndVerifiedReceipt) {
  Mesh mesh;
  const auto out = mesh.run({.wasm = good_filter(), .inputs = {}});
  EXPECT_EQ(out.reason, "");
  EXPECT_EQ(out.evidence, "dataset bytes");
  EXPECT_EQ(out.events, std::vector<std::string>{"a.txt"});
  EXPECT_TRUE(out.finished);
  EXPECT_TRUE(out.receipt_verified);
  EXPECT_TRUE(out.evidence_matches);
  EXPECT_TRUE(out.chain_matches);
  EXPECT_EQ(out.ended, "");
  ASSERT_TRUE(out.receipt.has_value());
  EXPECT_EQ(out.receipt->datasets.count("logs"), 1U);
  EXPECT_EQ(out.receipt->exit.reason, "ok");
}

TEST(EngineTest, FailuresAreSealedAndSigned) {
  Mesh mesh;
  const auto out =
      mesh.run({.wasm = wat(R"((module (memory (export "memory") 1) (func (export "_start") unreachable)))")});
  EXPECT_EQ(out.reason, "unreachable");
  EXPECT_TRUE(out.receipt_verified);
  EXPECT_EQ(out.ended, "unreachable");
}

TEST(EngineTest, Refusals) {
  Mesh mesh;
  EXPECT_EQ(mesh.run({.wasm = good_filter(), .other_module = true}).reason, "module_mismatch");
  EXPECT_EQ(mesh.run({.wasm = good_filter(), .corrupt = true}).reason, "envelope");
  EXPECT_EQ(mesh.run({.wasm = to_bytes(std::string_view("not wasm")), .inputs = {}}).reason, "module_refused");
  EXPECT_EQ(mesh.run({.wasm = good_filter(), .by_hash = true}).reason, "module_unknown");
  EXPECT_EQ(mesh.run({.wasm = good_filter()}).reason, "");
  EXPECT_EQ(mesh.run({.wasm = good_filter(), .by_hash = true}).reason, "");
}

}  // namespace
}  // namespace nmp::sandbox
