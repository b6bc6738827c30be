#pragma once

#include <filesystem>
#include <fstream>

#include "base/async/task_group.hpp"
#include "base/async/testing.hpp"
#include "core/answer.hpp"
#include "core/envelope.hpp"
#include "core/receipt.hpp"
#include "crypto/random.hpp"
#include "sandbox/engine.hpp"
#include "sandbox/testing.hpp"
#include "sandbox/watch_testing.hpp"

/// For tests: an agent, a host and an engine in one process; everything between
/// agent and engine is sealed.
namespace nmp::sandbox {

inline core::Authorization test_limits() {
  core::Authorization out;
  out.memory_bytes = 16 << 20;
  out.fuel = 1'000'000'000;
  out.wall_time_ms = 20'000;
  out.output_bytes = 8 << 20;
  out.event_bytes = 1 << 20;
  out.events = 100;
  out.diagnostic_bytes = 1 << 16;
  out.input_bytes = 1 << 20;
  return out;
}

/// What the agent saw of a run.
struct Outcome {
  std::vector<std::string> events;
  std::vector<std::optional<std::uint64_t>> sequences;  ///< Of watchdogs' events.
  std::string evidence;
  std::string reason;  ///< Of a refusal or a host error; empty: a receipt came.
  std::optional<core::Receipt> receipt;
  bool receipt_verified = false;
  bool evidence_matches = false;
  bool chain_matches = false;
  std::string ended = "none";
  bool finished = false;
};

/// One negotiated session as the agent holds it.
struct TestAgent {
  SessionId session{};
  Bytes wasm;
  core::SealedInputs inputs;
  crypto::X25519KeyPair x25519 = crypto::X25519KeyPair::generate(crypto::system_random());
  Bytes intent;
  Bytes answer;
  std::optional<core::AgentEnvelope> envelope;
  std::string op;
};

struct Ask {
  Bytes wasm;
  core::Inputs inputs;
  bool other_module = false;
  bool corrupt = false;
  bool by_hash = false;
  std::string op{core::kRunOperation};
};

struct Mesh {
  /// With a storage the engine keeps watchdogs there, those first that are in it.
  explicit Mesh(Duration session_life = kSessionLifeMax, MemoryStorage* keep = nullptr) {
    folder =
        std::filesystem::temp_directory_path() / ("nmp_engine_test_" + std::to_string(crypto::system_random().u64()));
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "a.txt") << "dataset bytes";
    EngineOptions options{.receipt_key = node.copy(),
                          .node = libp2p::PeerId::of(node.public_key()),
                          .datasets = {{.name = "logs", .path = folder}},
                          .clock = &async::system_clock(),
                          .random = &crypto::system_random()};
    options.session_life = session_life;
    if (keep != nullptr) {
      options.watch.emplace();
      options.watch->storage_key = SecretBytes<32>(ByteArray<32>{std::byte{7}});
      options.watch->watchdogs_max = 4;
    }
    auto made = Engine::make(context.get_executor(), std::move(options));
    NMP_ASSERT(made.has_value());
    engine = *std::move(made);
    serving.emplace(context.get_executor());
    client = std::make_unique<EngineClient>(context.get_executor(), connect());
    if (keep != nullptr) client->keep_watchdogs(*keep, stored(keep->table, watch_allowance()));
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
  /// One more host's stream to the engine.
  async::ByteStreamPtr connect() {
    auto [near, far] = async::memory_pipe(context.get_executor());
    serving->spawn(engine->serve(std::move(far)));
    return std::move(near);
  }

  TestAgent prepare(const Ask& ask) {
    auto& random = crypto::system_random();
    TestAgent out;
    out.session = random.bytes<16>();
    out.wasm = ask.wasm;
    out.op = ask.op;
    out.inputs.inputs = ask.inputs;
    random.fill(out.inputs.salt);
    const auto now = async::system_clock().unix_now();
    core::Intent intent{.node = libp2p::PeerId::of(node.public_key()),
                        .agent = libp2p::PeerId::of(agent.public_key()),
                        .op = ask.op,
                        .capability = "log-scan",
                        .module_hash = crypto::sha256(ask.wasm),
                        .input_commitment = core::commit_inputs(out.inputs.salt, out.inputs.inputs),
                        .limits = test_limits(),
                        .x25519_key = out.x25519.public_key(),
                        .nonce = random.bytes<32>(),
                        .issued = now,
                        .expires = now + 60};
    if (ask.other_module) intent.module_hash[0] ^= std::byte{1};
    auto cose = core::sign_intent(intent, agent);
    NMP_ASSERT(cose.has_value());
    out.intent = *std::move(cose);
    return out;
  }
  /// The node's answer to the keys that its engine made, and the agent's
  /// envelope from it.
  BindFrame bind(TestAgent& to, const KeysFrame& keys, std::uint32_t runs) {
    core::Answer answer;
    answer.intent_hash = crypto::sha256(to.intent);
    answer.kem_key_hash = crypto::sha256(keys.kem_key);
    answer.x25519_key = keys.x25519_key;
    answer.limits = test_limits();
    answer.expires = async::system_clock().unix_now() + 60;
    auto cose = core::sign_answer(answer, node);
    NMP_ASSERT(cose.has_value());
    to.answer = *std::move(cose);
    auto envelope = core::AgentEnvelope::make(core::transcript_hash(to.intent, to.answer), keys.kem_key, to.x25519,
                                              keys.x25519_key, crypto::system_random());
    NMP_ASSERT(envelope.has_value());
    to.envelope = *std::move(envelope);
    BindFrame frame;
    frame.session = to.session;
    frame.answer = to.answer;
    frame.limits = test_limits();
    frame.datasets = {"logs"};
    frame.runs = runs;
    if (to.op == core::kWatchOperation) frame.watch = watch_allowance().policy;
    return frame;
  }
  static async::Awaitable<TestAgent> negotiate(Mesh* mesh, Ask ask, std::uint32_t runs) {
    auto out = mesh->prepare(ask);
    auto keys = co_await mesh->client->open(out.session, out.intent);
    NMP_ASSERT(keys.has_value());
    auto frame = mesh->bind(out, *keys, runs);
    (void)co_await mesh->client->bind(std::move(frame));
    co_return out;
  }
  TestAgent negotiate(Ask ask, std::uint32_t runs = 1) {
    return async::run_until_done(context, negotiate(this, std::move(ask), runs));
  }

  static JobFrame job(const TestAgent& from, core::AgentRun& run, const Ask& ask = {}) {
    JobFrame frame;
    frame.session = from.session;
    frame.run = run.run();
    frame.method = core::method_of(from.op);
    frame.pqc_ciphertext = to_bytes(from.envelope->ciphertext());
    if (!ask.by_hash && !core::is_watch_request(from.op)) frame.module = *run.seal_module(from.wasm);
    frame.inputs = *run.seal_inputs(from.inputs);
    if (ask.corrupt) frame.inputs[3] ^= std::byte{1};
    return frame;
  }
  EngineRunPtr start(JobFrame frame) {
    auto started = async::run_until_done(context, client->job(std::move(frame)));
    NMP_ASSERT(started.has_value());
    return *std::move(started);
  }

  /// Reads a run to its end, as the agent. `from`, `run` and `started` outlive
  /// it.
  static async::Awaitable<Outcome> follow(const TestAgent* from, core::AgentRun* run, EngineRun* started) {
    Outcome out;
    std::optional<core::ReceiptBody> receipt;
    for (;;) {
      auto event = co_await started->next();
      if (!event) break;
      if (const auto* refused = std::get_if<RefusedFrame>(&*event)) out.reason = refused->reason;
      if (const auto* ended = std::get_if<EndedFrame>(&*event)) out.ended = ended->reason;
      if (const auto* box = std::get_if<BoxFrame>(&*event)) {
        auto body = run->open(box->sealed);
        NMP_ASSERT(body.has_value());
        if (const auto* item = std::get_if<core::EventBody>(&*body)) {
          out.events.push_back(string_of(item->data));
          out.sequences.push_back(item->sequence);
        }
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
      core::EventChain again(salt, crypto::sha256(from->answer));
      for (const auto& event : out.events) again.add(bytes_of(event));
      out.chain_matches = again.value() == parsed->receipt.event_chain && again.count() == parsed->receipt.event_count;
    }
    co_return out;
  }
  Outcome follow(const TestAgent& from, core::AgentRun& run, EngineRun& started) {
    return async::run_until_done(context, follow(&from, &run, &started));
  }
  Outcome run(const Ask& ask) {
    auto from = negotiate(ask);
    auto run = from.envelope->begin(0, core::method_of(ask.op));
    NMP_ASSERT(run.has_value());
    auto started = start(job(from, *run, ask));
    return follow(from, *run, *started);
  }

  /// Lets the network thread work until `done`, for at most `patience`.
  bool wait_for(const std::function<bool()>& done, std::chrono::milliseconds patience = std::chrono::seconds(10)) {
    context.restart();
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!done() && std::chrono::steady_clock::now() < end) context.run_one_for(std::chrono::milliseconds(10));
    return done();
  }

  boost::asio::io_context context;
  crypto::Ed25519KeyPair node = crypto::Ed25519KeyPair::generate(crypto::system_random());
  crypto::Ed25519KeyPair agent = crypto::Ed25519KeyPair::generate(crypto::system_random());
  std::filesystem::path folder;
  std::unique_ptr<Engine> engine;
  std::optional<async::TaskGroup> serving;
  std::unique_ptr<EngineClient> client;
};

}  // namespace nmp::sandbox
