#include <gmock/gmock.h>

#include "core/session_token.hpp"
#include "pq/mlkem.hpp"
#include "tests/security/lying_hop.hpp"
#include "tests/security/real_agent.hpp"

/// The agent's own code path over a plain stream that somebody else holds: nothing leaves unsealed, nothing altered
/// counts, and no refusal makes it ask for less.
namespace nmp::security {
namespace {

constexpr std::uint8_t kAgent = 1;
constexpr std::uint8_t kThief = 66;

void expect_sealed(const LyingHop& hop) {
  for (const auto& message : hop.seen) {
    EXPECT_EQ(text_of(message).find("secret words"), std::string_view::npos);
    EXPECT_EQ(text_of(message).find("an event"), std::string_view::npos) << "a part of the module";
  }
}

/// One attempt through a hop that `arrange` has told how to lie.
template <class Arrange>
Awaitable<Tried> through_hop(World& world, Arrange arrange, std::size_t jobs_expected) {
  LyingHop hop(world, world.connect(std::nullopt));
  arrange(hop);
  auto tried = co_await attempt(world, hop.connect(), world.me, kAgent);
  expect_sealed(hop);
  EXPECT_EQ(hop.intents, 1U) << "asked again";
  EXPECT_EQ(hop.jobs, jobs_expected);
  co_await hop.close();
  co_return tried;
}

/// Before the agent has encapsulated: the lie is found out, and no LogicRequest leaves.
template <class Arrange>
Awaitable<void> refused_before_anything_leaves(World& world, std::string reason, Arrange arrange) {
  auto tried = co_await through_hop(world, arrange, 0);
  EXPECT_EQ(tried.result, reason) << tried.words;
}

TEST(HostileHop, AnHonestHopChangesNothing) {
  in_world([](World& world) -> Awaitable<void> {
    auto tried = co_await through_hop(world, [](LyingHop&) {}, 1);
    EXPECT_EQ(tried.result, "evidence");
    EXPECT_EQ(tried.events, 2U);
  });
}

TEST(HostileHop, SwapsTheKemKey) {
  in_world([](World& world) -> Awaitable<void> {
    auto pair = pq::keypair(crypto::system_random());
    const std::string mine = string_of(pair->ek.bytes);
    auto swap = [&](LyingHop& hop) { hop.change_answer = [&](auto& answer) { answer.set_kyber_public_key(mine); }; };
    co_await refused_before_anything_leaves(world, "bad_answer", swap);
    auto flip = [](LyingHop& hop) {
      hop.change_answer = [](auto& answer) { (*answer.mutable_kyber_public_key())[7] ^= 1; };
    };
    co_await refused_before_anything_leaves(world, "bad_answer", flip);
    auto strip = [](LyingHop& hop) { hop.change_answer = [](auto& answer) { answer.clear_kyber_public_key(); }; };
    co_await refused_before_anything_leaves(world, "bad_answer", strip);
  });
}

/// It puts its own keys into an answer that it signs itself, under its own name and under the node's.
TEST(HostileHop, SwapsTheX25519KeyAndSignsAnew) {
  in_world([](World& world) -> Awaitable<void> {
    for (const bool own_name : {true, false}) {
      auto forge = [&](LyingHop& hop) {
        hop.change_answer = [&](auto& response) {
          auto answer = core::parse_answer(bytes_of(response.answer()))->answer;
          answer.x25519_key = crypto::X25519KeyPair::generate(crypto::system_random()).public_key();
          auto cose = core::sign_answer(answer, key_of(kThief).ed25519());
          auto text = string_of(*cose);
          if (!own_name) {
            const auto from = string_of(peer_of(kThief).bytes());
            text.replace(text.find(from), from.size(), string_of(world.me.bytes()));
          }
          response.set_answer(text);
        };
      };
      co_await refused_before_anything_leaves(world, "bad_answer", forge);
    }
  });
}

TEST(HostileHop, AltersAnyByteOfTheAnswer) {
  in_world([](World& world) -> Awaitable<void> {
    for (std::size_t at = 0; at < 400; at += 13) {
      auto flip = [&](LyingHop& hop) {
        hop.change_answer = [&](auto& response) {
          auto& text = *response.mutable_answer();
          text[at % text.size()] ^= 1;
        };
      };
      co_await refused_before_anything_leaves(world, "bad_answer", flip);
      world.service->sweep();
      world.clock.passed += 61s;  // or sixteen sessions of this agent are open
    }
  });
}

TEST(HostileHop, StripsTheAnswer) {
  in_world([](World& world) -> Awaitable<void> {
    auto strip = [](LyingHop& hop) { hop.change_answer = [](auto& response) { response.clear_answer(); }; };
    co_await refused_before_anything_leaves(world, "bad_answer", strip);
  });
}

/// A true answer of the same node to the same agent for the same filter, from an earlier negotiation, with its keys.
TEST(HostileHop, ReplaysAnEarlierAnswer) {
  in_world([](World& world) -> Awaitable<void> {
    nmp::v1::IntentResponse earlier;
    auto record = [&](LyingHop& hop) { hop.change_answer = [&](auto& response) { earlier = response; }; };
    auto tried = co_await through_hop(world, record, 1);
    EXPECT_EQ(tried.result, "evidence");
    auto replay = [&](LyingHop& hop) { hop.change_answer = [&](auto& response) { response = earlier; }; };
    co_await refused_before_anything_leaves(world, "bad_answer", replay);
    auto replay_in_part = [&](LyingHop& hop) {
      hop.change_answer = [&](auto& response) {
        response.set_answer(earlier.answer());
        response.set_kyber_public_key(earlier.kyber_public_key());
      };
    };
    co_await refused_before_anything_leaves(world, "bad_answer", replay_in_part);
  });
}

/// It negotiates for itself and hands the agent an answer that the node has really signed.
TEST(HostileHop, NegotiatesInItsOwnName) {
  in_world([](World& world) -> Awaitable<void> {
    auto mine = Draft(key_of(kThief), world.me, good_filter());
    auto wire = mine.request();
    auto own = [&](LyingHop& hop) {
      hop.change_request = [&](auto& request) { request.ParseFromArray(wire.data(), static_cast<int>(wire.size())); };
    };
    co_await refused_before_anything_leaves(world, "bad_answer", own);
  });
}

TEST(HostileHop, RemovesTheSuiteOrTheTokenOrTheAcceptance) {
  in_world([](World& world) -> Awaitable<void> {
    auto no_suite = [&](LyingHop& hop) {
      hop.change_request = [&](auto& request) {
        auto received = core::parse_intent(bytes_of(request.proof_of_intent()));
        received->intent.suites = {9};
        received->intent.agent = peer_of(kThief);
        auto cose = core::sign_intent(received->intent, key_of(kThief).ed25519());
        request.set_proof_of_intent(cose->data(), cose->size());
      };
    };
    co_await refused_before_anything_leaves(world, "bad_request", no_suite);  // the node's word, through the hop
    auto no_token = [](LyingHop& hop) { hop.change_answer = [](auto& response) { response.clear_session_token(); }; };
    co_await refused_before_anything_leaves(world, "bad_answer", no_token);
    auto other_token = [](LyingHop& hop) {
      hop.change_answer = [](auto& response) {
        response.set_session_token(core::SessionToken::generate(crypto::system_random()).to_text());
      };
    };
    co_await refused_before_anything_leaves(world, "bad_answer", other_token);
    auto not_accepted = [](LyingHop& hop) { hop.change_answer = [](auto& response) { response.set_accepted(false); }; };
    co_await refused_before_anything_leaves(world, "bad_answer", not_accepted);
    auto evidence = [](LyingHop& hop) {
      hop.change_answer = [](auto& response) { response.set_enclave_evidence("it runs in an enclave, I swear"); };
    };
    co_await refused_before_anything_leaves(world, "bad_answer", evidence);
  });
}

/// The first version's form: a key and a token, and no signature.
TEST(HostileHop, AnswersInLegacyForm) {
  in_world([](World& world) -> Awaitable<void> {
    auto pair = pq::keypair(crypto::system_random());
    auto legacy = [&](LyingHop& hop) {
      hop.change_answer = [&](auto& response) {
        response.Clear();
        response.set_accepted(true);
        response.set_session_token(core::SessionToken::generate(crypto::system_random()).to_text());
        response.set_kyber_public_key(string_of(pair->ek.bytes));
      };
    };
    co_await refused_before_anything_leaves(world, "bad_answer", legacy);
    // And the run's end: open evidence, open proof.
    auto open_result = [](LyingHop& hop) {
      hop.change_boxes = [](auto& boxes) {
        nmp::v1::LogicResponse response;
        response.set_semantic_evidence("evidence");
        response.set_cryptographic_proof("proof");
        boxes = {to_bytes(response.SerializeAsString())};
      };
    };
    auto tried = co_await through_hop(world, open_result, 1);
    EXPECT_EQ(tried.result, "bad_answer");
    auto beside_boxes = [](LyingHop& hop) {
      hop.change_boxes = [](auto& boxes) {
        nmp::v1::LogicResponse response;
        response.ParseFromArray(boxes.back().data(), static_cast<int>(boxes.back().size()));
        response.set_semantic_evidence("other evidence");
        boxes.back() = to_bytes(response.SerializeAsString());
      };
    };
    tried = co_await through_hop(world, beside_boxes, 1);
    EXPECT_EQ(tried.result, "bad_answer");
  });
}

/// Every reason of the table, and a few that are in none: the agent asks once, and says that the node said so.
TEST(HostileHop, RefusesInTheNodesNameAndNothingLessIsAskedFor) {
  in_world([](World& world) -> Awaitable<void> {
    for (const auto& reason : core::reasons()) {
      auto refuse = [&](LyingHop& hop) {
        hop.instead_of_answer = rpc::Status::because(rpc::code_of(static_cast<std::uint64_t>(reason.grpc_code)),
                                                     std::string(reason.reason), "use the legacy form");
      };
      auto tried = co_await through_hop(world, refuse, 0);
      EXPECT_EQ(tried.result, reason.reason);
      EXPECT_TRUE(tried.from_node);
    }
    auto unknown = [&](LyingHop& hop) {
      hop.instead_of_answer = rpc::Status::because(rpc::Code::unimplemented, "legacy_only", "suite 1 is not supported");
    };
    auto tried = co_await through_hop(world, unknown, 0);
    EXPECT_EQ(tried.result, "internal");
  });
}

TEST(HostileHop, AltersTheJob) {
  in_world([](World& world) -> Awaitable<void> {
    struct Case {
      const char* what;
      std::function<void(nmp::v1::LogicRequest&)> change;
      std::string reason;
    };
    const std::vector<Case> cases = {
        {"module", [](auto& job) { (*job.mutable_wasm_binary())[3] ^= 1; }, "envelope"},
        {"inputs", [](auto& job) { (*job.mutable_sealed())[3] ^= 1; }, "envelope"},
        {"swapped", [](auto& job) { job.mutable_sealed()->swap(*job.mutable_wasm_binary()); }, "envelope"},
        {"by hash", [](auto& job) { job.clear_wasm_binary(); }, "envelope"},
        {"no inputs", [](auto& job) { job.clear_sealed(); }, "envelope"},
        {"ciphertext", [](auto& job) { (*job.mutable_pqc_ciphertext())[3] ^= 1; }, "envelope"},
        {"no ciphertext", [](auto& job) { job.clear_pqc_ciphertext(); }, "envelope"},
        {"run", [](auto& job) { job.set_run(1); }, "envelope"},
        {"nonce", [](auto& job) { (*job.mutable_aes_nonce())[11] ^= 1; }, "bad_request"},
        {"module hash", [](auto& job) { job.set_module_sha256(std::string(32, 'x')); }, "module_mismatch"},
        {"open inputs", [](auto& job) { (*job.mutable_inputs())["a"] = "b"; }, "bad_request"},
    };
    for (const auto& item : cases) {
      auto change = [&](LyingHop& hop) { hop.change_job = item.change; };
      auto tried = co_await through_hop(world, change, 1);
      EXPECT_EQ(tried.result, item.reason) << item.what << ": " << tried.words;
      EXPECT_TRUE(tried.from_node);
    }
    // What is written of a message that proto3 leaves out at 0 changes nothing.
    EXPECT_TRUE(world.notes.ended.empty());
  });
}

TEST(HostileHop, DropsReordersRepeatsOrAltersBoxes) {
  in_world([](World& world) -> Awaitable<void> {
    struct Case {
      const char* what;
      std::function<void(std::vector<Bytes>&)> change;
      std::vector<std::string> reasons;
    };
    const std::vector<Case> cases = {
        {"no final box", [](auto& boxes) { boxes.pop_back(); }, {"truncated"}},
        {"no box", [](auto& boxes) { boxes.clear(); }, {"truncated"}},
        {"first dropped", [](auto& boxes) { boxes.erase(boxes.begin()); }, {"envelope"}},
        {"second dropped", [](auto& boxes) { boxes.erase(boxes.begin() + 1); }, {"envelope"}},
        {"only the final", [](auto& boxes) { boxes.erase(boxes.begin(), boxes.end() - 1); }, {"envelope"}},
        {"reordered", [](auto& boxes) { std::swap(boxes[0], boxes[1]); }, {"envelope"}},
        {"final first", [](auto& boxes) { std::swap(boxes.front(), boxes.back()); }, {"envelope"}},
        {"repeated", [](auto& boxes) { boxes.insert(boxes.begin(), boxes[0]); }, {"envelope"}},
        {"final repeated", [](auto& boxes) { boxes.push_back(boxes.back()); }, {"envelope"}},
        {"more after the final", [](auto& boxes) { boxes.push_back(boxes.front()); }, {"envelope"}},
        {"an empty message", [](auto& boxes) { boxes.insert(boxes.begin(), Bytes()); }, {"envelope"}},
        {"a message that is none",
         [](auto& boxes) { boxes[0] = to_bytes(std::string_view("\xff\xff")); },
         {"bad_answer"}},
        {"a bit", [](auto& boxes) { boxes[1][boxes[1].size() / 2] ^= std::byte{1}; }, {"envelope", "bad_answer"}},
        {"the last bit", [](auto& boxes) { boxes.back().back() ^= std::byte{1}; }, {"envelope"}},
    };
    for (const auto& item : cases) {
      auto change = [&](LyingHop& hop) { hop.change_boxes = item.change; };
      auto tried = co_await through_hop(world, change, 1);
      EXPECT_THAT(item.reasons, testing::Contains(tried.result)) << item.what << ": " << tried.words;
    }
  });
}

/// Trailers prove nothing, in either direction.
TEST(HostileHop, ForgesTrailers) {
  in_world([](World& world) -> Awaitable<void> {
    auto well = [](LyingHop& hop) {
      hop.change_boxes = [](auto& boxes) { boxes.pop_back(); };
      hop.instead_of_trailers = rpc::Status();
    };
    auto tried = co_await through_hop(world, well, 1);
    EXPECT_EQ(tried.result, "truncated");
    auto badly = [](LyingHop& hop) {
      hop.instead_of_trailers = rpc::Status::because(rpc::Code::internal, "engine_failed", "forged");
    };
    tried = co_await through_hop(world, badly, 1);
    EXPECT_EQ(tried.result, "evidence");
    auto badly_and_short = [](LyingHop& hop) {
      hop.change_boxes = [](auto& boxes) { boxes.pop_back(); };
      hop.instead_of_trailers = rpc::Status::because(rpc::Code::data_loss, "bad_receipt", "forged");
    };
    tried = co_await through_hop(world, badly_and_short, 1);
    EXPECT_EQ(tried.result, "bad_receipt");
    EXPECT_TRUE(tried.from_node);
  });
}

/// Boxes of one run offered for another run of the same filter, inputs and agent.
TEST(HostileHop, ServesBoxesOfAnotherRun) {
  in_world([](World& world) -> Awaitable<void> {
    std::vector<Bytes> earlier;
    auto record = [&](LyingHop& hop) { hop.change_boxes = [&](auto& boxes) { earlier = boxes; }; };
    auto tried = co_await through_hop(world, record, 1);
    EXPECT_EQ(tried.result, "evidence");
    auto replay = [&](LyingHop& hop) { hop.change_boxes = [&](auto& boxes) { boxes = earlier; }; };
    tried = co_await through_hop(world, replay, 1);
    EXPECT_EQ(tried.result, "envelope");
  });
}

/// The manifest that the agent has read is the one that the answer names.
TEST(HostileHop, ShowedAnotherManifest) {
  in_world([](World& world) -> Awaitable<void> {
    LyingHop hop(world, world.connect(std::nullopt));
    auto channel = hop.connect();
    auto request = run_request();
    auto identity = key_of(kAgent);
    std::optional<crypto::Digest> other = crypto::sha256(bytes_of("another manifest"));
    auto session = co_await client::negotiate_over(*channel, world.me, identity, other, request, in(20s));
    EXPECT_FALSE(session.has_value());
    EXPECT_EQ(session ? "" : session.error().reason->reason, "bad_answer");
    co_await hop.close();
  });
}

}  // namespace
}  // namespace nmp::security
