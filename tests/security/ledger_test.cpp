#include <set>

#include "tests/security/child_node.hpp"
#include "tests/security/effort.hpp"
#include "tests/security/raw_agent.hpp"

/// Every box has a key and nonce that no other box ever has, however often the node is killed; and what a run leaves
/// behind in the node's memory opens none of them.
namespace nmp::security {
namespace {

constexpr std::uint8_t kAgent = 1;
constexpr std::uint8_t kNode = 42;

/// Gives what another Random gives, and remembers it.
class Remembering final : public Random {
 public:
  explicit Remembering(Random& from) : from_(from) {}
  void fill(std::span<std::byte> out) override {
    from_.fill(out);
    append(given, out);
  }
  Bytes given;

 private:
  Random& from_;
};
/// Gives once more what was remembered.
class Repeating final : public Random {
 public:
  explicit Repeating(Bytes what) : left_(std::move(what)) {}
  void fill(std::span<std::byte> out) override {
    NMP_ASSERT(out.size() <= left_.size());
    std::copy_n(left_.begin(), out.size(), out.begin());
    left_.erase(left_.begin(), left_.begin() + static_cast<std::ptrdiff_t>(out.size()));
  }

 private:
  Bytes left_;
};

/// A session of which the agent keeps every secret.
struct Bare {
  explicit Bare(Held all) : held(std::move(all)) {}
  Held held;
  Bytes kem_secret;
  Bytes x25519_secret;
  Bytes prk;
  std::unique_ptr<core::EnvelopeSecrets> secrets;

  [[nodiscard]] Bytes key(core::Direction direction, std::uint32_t run) const {
    return to_bytes(secrets->key(direction, run).view());
  }
};

Awaitable<std::unique_ptr<Bare>> negotiate_bare(std::shared_ptr<rpc::Channel> channel, Draft& draft, Random& random) {
  auto reply = co_await ask(std::move(channel), draft.request());
  nmp::v1::IntentResponse response;
  NMP_ASSERT(reply.status.ok() &&
             response.ParseFromArray(reply.message.data(), static_cast<int>(reply.message.size())));
  auto answer = core::parse_answer(bytes_of(response.answer()));
  NMP_ASSERT(answer.has_value());
  const auto transcript = core::transcript_hash(draft.cose, bytes_of(response.answer()));
  const auto kem_key = bytes_of(response.kyber_public_key());
  Remembering chance(random);
  auto envelope = core::AgentEnvelope::make(transcript, kem_key, draft.x25519, answer->answer.x25519_key, chance);
  NMP_ASSERT(envelope.has_value());
  Repeating again(chance.given);
  auto ek = pq::EncapsulationKey::from(kem_key);
  auto encapsulation = pq::encapsulate(*ek, again);
  NMP_ASSERT(encapsulation.has_value() && equal(encapsulation->ct.bytes, envelope->ciphertext()));
  auto shared = crypto::x25519(draft.x25519, answer->answer.x25519_key);
  NMP_ASSERT(shared.has_value());
  core::EnvelopeSecrets secrets(transcript, encapsulation->secret, *shared, encapsulation->ct);
  Held held{.response = std::move(response), .envelope = *std::move(envelope), .answer = *std::move(answer)};
  auto out = std::make_unique<Bare>(std::move(held));
  out->kem_secret = to_bytes(encapsulation->secret.view());
  out->x25519_secret = to_bytes(shared->view());
  const auto both = concat({out->kem_secret, out->x25519_secret});
  const auto prk = crypto::hkdf_extract(transcript, both);
  out->prk = to_bytes(prk.view());
  out->secrets = std::make_unique<core::EnvelopeSecrets>(std::move(secrets));
  co_return out;
}

/// The pairs that were used, both ways.
class Ledger {
 public:
  void add(const Bare& session, core::Direction direction, std::uint32_t run, std::size_t boxes) {
    const auto key = crypto::sha256(session.key(direction, run));
    for (std::size_t nonce = 0; nonce < boxes; ++nonce) {
      ++boxes_;
      EXPECT_TRUE(pairs_.emplace(key, nonce).second) << "box " << nonce << " of run " << run;
    }
  }
  [[nodiscard]] std::size_t boxes() const { return boxes_; }

 private:
  std::set<std::pair<crypto::Digest, std::size_t>> pairs_;
  std::size_t boxes_ = 0;
};

/// An agent whose own chance is the same at each negotiation, but for the intent's nonce: what differs is the node's
/// doing.
struct Cycle {
  std::uint64_t seed = 0;
  std::uint8_t agent = kAgent;
  Ledger ledger;
  Bytes unused;              ///< A request that the node of before never saw.
  Bytes spent;               ///< One that it answered.
  Bytes interrupted;         ///< One that it was killed over.
  std::string killed_input;  ///< What that run had in its hands.

  [[nodiscard]] Draft draft(Bytes module) const {
    auto out = Draft(key_of(agent), peer_of(kNode), std::move(module));
    SecretBytes<32> secret;
    SeededRandom chance(seed);
    chance.fill(secret.mutable_view());
    out.x25519 = crypto::X25519KeyPair::from_secret(std::move(secret));
    out.intent.x25519_key = out.x25519.public_key();
    out.intent.capability = "many";
    return out;
  }
};

Awaitable<bool> one_life(async::Executor executor, const ChildNode& node, Cycle& cycle) {
  auto channel = co_await dial(executor, node.port());
  // Of the life before nothing is taken up again.
  for (auto* request : {&cycle.unused, &cycle.spent, &cycle.interrupted}) {
    if (request->empty()) continue;
    auto ran = co_await execute(channel, *request);
    EXPECT_EQ(ran.reason(), "session_unknown");
    EXPECT_TRUE(ran.messages.empty());
  }
  if (!cycle.killed_input.empty() && !kSanitized) {
    auto found = node.memory_holds({to_bytes(std::string_view(cycle.killed_input))});
    EXPECT_FALSE(found[0]) << "a run that was killed goes on";
  }

  auto draft = cycle.draft(good_filter());
  SeededRandom chance(cycle.seed + 1);
  auto session = co_await negotiate_bare(channel, draft, chance);
  for (std::uint32_t number : {0U, 1U, 5U}) {
    auto prepared = prepare(session->held, draft, number);
    cycle.ledger.add(*session, core::Direction::to_node, number, 2);
    auto ran = co_await execute(channel, prepared.wire());
    auto result = read(prepared.run, ran);
    EXPECT_TRUE(result.whole);
    EXPECT_EQ(result.evidence, "evidence") << ran.reason();
    cycle.ledger.add(*session, core::Direction::to_agent, number, ran.messages.size());
    cycle.spent = prepared.wire();
  }
  cycle.unused = prepare(session->held, draft, 6).wire();

  auto waiting = cycle.draft(knowing_filter());
  cycle.killed_input = "the input of a run that is killed, " + std::to_string(crypto::system_random().u64());
  waiting.inputs.inputs["secret"] = to_bytes(std::string_view(cycle.killed_input));
  waiting.intent.input_commitment = core::commit_inputs(waiting.inputs.salt, waiting.inputs.inputs);
  SeededRandom same_chance(cycle.seed + 1);
  auto other = co_await negotiate_bare(channel, waiting, same_chance);
  auto prepared = prepare(other->held, waiting, 0);
  cycle.ledger.add(*other, core::Direction::to_node, 0, 2);
  cycle.interrupted = prepared.wire();
  auto call = channel->call(std::string(core::kExecuteLogicMethod), rpc::CallOptions());
  auto written = co_await call->write(prepared.wire());
  EXPECT_TRUE(written.has_value());
  call->writes_done();
  // Killed at another moment each time.
  SeededRandom moment(cycle.seed + cycle.ledger.boxes());
  (void)co_await async::sleep_until(in(std::chrono::milliseconds(moment.below(30))));
  call.reset();
  co_await channel->close();
  co_return true;
}

TEST(AeadLedger, NoKeyAndNonceComeTwiceHoweverOftenTheNodeIsKilled) {
  TemporaryFolder folder;
  boost::asio::io_context context(1);
  const int lives = kSanitized ? 4 : is_long() ? 1000 : 20;
  Cycle cycle;
  cycle.seed = seed(7);
  for (int life = 0; life < lives; ++life) {
    cycle.agent = static_cast<std::uint8_t>(1 + life % 8);
    auto node = ChildNode::start(folder.path(), kNode);
    ASSERT_NE(node, nullptr) << "life " << life;
    ASSERT_TRUE(async::run_until_done(context, one_life(context.get_executor(), *node, cycle)));
    node->kill();
    if (testing::Test::HasFailure()) FAIL() << "life " << life;
  }
  EXPECT_GE(cycle.ledger.boxes(), static_cast<std::size_t>(lives) * (3 * 2 + 3 * 4 + 2));
}

/// What stands in the ledger is the key that opens the box.
TEST(AeadLedger, HoldsTheKeysThatOpen) {
  in_world([](World& world) -> Awaitable<void> {
    auto draft = Draft(key_of(kAgent), world.me, good_filter());
    auto channel = world.connect(peer_of(kAgent));
    auto session = co_await negotiate_bare(channel, draft, crypto::system_random());
    std::set<Bytes> keys;
    for (auto direction : {core::Direction::to_node, core::Direction::to_agent})
      for (std::uint32_t run : {0U, 1U}) keys.insert(session->key(direction, run));
    EXPECT_EQ(keys.size(), 4U);
    auto prepared = prepare(session->held, draft);
    auto ran = co_await execute(channel, prepared.wire());
    EXPECT_FALSE(ran.messages.empty());
    const auto receiver = [&](core::Direction direction) {
      core::BoxBinding binding{.transcript = session->secrets->transcript(), .direction = direction};
      binding.method = core::kExecuteLogicMethod;
      return core::SealedReceiver(session->secrets->key(direction, 0), std::move(binding));
    };
    auto there = receiver(core::Direction::to_node);
    auto module = there.open(core::kWasmBinaryField, bytes_of(prepared.message.wasm_binary()), false);
    EXPECT_TRUE(module && module->plaintext == draft.module);
    auto back = receiver(core::Direction::to_agent);
    for (const auto& bytes : ran.messages) {
      nmp::v1::LogicResponse message;
      NMP_ASSERT(message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
      auto opened = back.open(core::kResponseSealedField, bytes_of(message.sealed()), std::nullopt);
      EXPECT_TRUE(opened.has_value());
    }
    EXPECT_TRUE(back.finished());
  });
}

/// What a run's secrets are called, and which of them a node's memory holds.
struct Secrets {
  std::vector<std::string> names;
  std::vector<Bytes> bytes;

  explicit Secrets(const Bare& session) {
    const auto add = [this](std::string name, Bytes what) {
      names.push_back(std::move(name));
      bytes.push_back(std::move(what));
    };
    add("KEM secret", session.kem_secret);
    add("X25519 secret", session.x25519_secret);
    add("PRK", session.prk);
    add("key to the node", session.key(core::Direction::to_node, 0));
    add("key to the agent", session.key(core::Direction::to_agent, 0));
  }
  [[nodiscard]] std::set<std::string> in(const ChildNode& node) const {
    const auto found = node.memory_holds(bytes);
    std::set<std::string> out;
    for (std::size_t i = 0; i < found.size(); ++i)
      if (found[i]) out.insert(names[i]);
    return out;
  }
};

Awaitable<std::set<std::string>> soon_in(const ChildNode& node, const Secrets& secrets) {
  std::set<std::string> found;
  for (int i = 0; i < 40; ++i) {
    found = secrets.in(node);
    if (found.empty()) break;
    (void)co_await async::sleep_until(in(50ms));
  }
  co_return found;
}

Draft with_input(Bytes module, std::string_view input, std::string capability) {
  auto draft = Draft(key_of(kAgent), peer_of(kNode), std::move(module));
  draft.inputs.inputs["secret"] = to_bytes(input);
  draft.intent.input_commitment = core::commit_inputs(draft.inputs.salt, draft.inputs.inputs);
  draft.intent.capability = std::move(capability);
  return draft;
}
std::string new_input() { return "words that nobody else says " + std::to_string(crypto::system_random().u64()); }

using Names = std::set<std::string>;

/// A run that ends well, one that is broken off, and one whose session lives on.
Awaitable<bool> look_into(async::Executor executor, const ChildNode& node) {
  auto channel = co_await dial(executor, node.port());
  const auto ended_input = new_input();
  auto draft = with_input(telling_filter(), ended_input, "scan");
  auto session = co_await negotiate_bare(channel, draft, crypto::system_random());
  auto prepared = prepare(session->held, draft);
  auto ran = co_await execute(channel, prepared.wire());
  auto result = read(prepared.run, ran);
  EXPECT_TRUE(result.whole);
  EXPECT_EQ(result.evidence, ended_input) << ran.reason() << result.reason;
  const Secrets ended(*session);
  auto left = co_await soon_in(node, ended);
  EXPECT_EQ(left, Names()) << "after the end";

  const auto input = new_input();
  auto waiting = with_input(knowing_filter(), input, "scan");
  auto other = co_await negotiate_bare(channel, waiting, crypto::system_random());
  auto job = prepare(other->held, waiting);
  auto call = channel->call(std::string(core::kExecuteLogicMethod), rpc::CallOptions());
  auto written = co_await call->write(job.wire());
  EXPECT_TRUE(written.has_value());
  call->writes_done();
  const std::vector<Bytes> needle{to_bytes(std::string_view(input))};
  bool runs = false;
  for (int i = 0; i < 100 && !runs; ++i) {
    runs = node.memory_holds(needle)[0];
    (void)co_await async::sleep_until(in(20ms));
  }
  EXPECT_TRUE(runs) << "the search finds what is there";
  const Secrets live(*other);
  EXPECT_EQ(live.in(node), Names({"key to the agent"})) << "what the run still needs, and no more";
  call->cancel();
  left = co_await soon_in(node, live);
  EXPECT_EQ(left, Names()) << "after it was broken off";

  const auto kept_input = new_input();
  auto many = with_input(telling_filter(), kept_input, "many");
  auto kept = co_await negotiate_bare(channel, many, crypto::system_random());
  auto one = prepare(kept->held, many);
  ran = co_await execute(channel, one.wire());
  EXPECT_EQ(read(one.run, ran).evidence, kept_input);
  (void)co_await async::sleep_until(in(200ms));
  // A session with runs left has to keep what their keys are made of.
  EXPECT_EQ(Secrets(*kept).in(node), Names({"PRK"})) << "a session with runs left";
  co_await channel->close();
  co_return true;
}

TEST(Memory, HoldsNoSecretOfARunThatIsOver) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer keeps what is freed";
  TemporaryFolder folder;
  boost::asio::io_context context(1);
  auto node = ChildNode::start(folder.path(), kNode);
  ASSERT_NE(node, nullptr);
  EXPECT_TRUE(async::run_until_done(context, look_into(context.get_executor(), *node)));
  EXPECT_TRUE(node->stop());
}

}  // namespace
}  // namespace nmp::security
