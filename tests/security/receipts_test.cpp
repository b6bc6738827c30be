#include "tests/security/lying_node.hpp"
#include "tests/security/real_agent.hpp"
#include "verify/receipt_check.hpp"

/// A receipt counts for the one run that it tells of, and only if the chosen node has signed it.
namespace nmp::security {
namespace {

constexpr std::uint8_t kAgent = 1;
constexpr std::uint8_t kNode = 30;

/// What the agent makes of a node that lies as `arrange` says.
template <class Arrange>
Awaitable<Tried> against(World& world, Arrange arrange) {
  LyingNode node(world, kNode);
  arrange(node);
  auto tried = co_await attempt(world, node.connect(), peer_of(kNode), kAgent);
  co_await node.close();
  co_return tried;
}

TEST(Receipt, OfAnHonestNodeIsTaken) {
  in_world([](World& world) -> Awaitable<void> {
    auto tried = co_await against(world, [](LyingNode&) {});
    EXPECT_EQ(tried.result, "evidence") << tried.words;
    auto real = co_await attempt(world, world.connect(peer_of(kAgent)), world.me, kAgent);
    EXPECT_EQ(real.result, "evidence") << real.words;
  });
}

/// Each field that the agent can know, changed by a node that signs the change.
TEST(Receipt, ThatTellsOfAnotherRunIsRefused) {
  in_world([](World& world) -> Awaitable<void> {
    const auto other = crypto::sha256(bytes_of("other"));
    struct Case {
      const char* what;
      std::function<void(core::Receipt&)> change;
    };
    const std::vector<Case> cases = {
        {"kind zk", [](auto& r) { r.kind = core::ReceiptKind::zk; }},
        {"kind enclave", [](auto& r) { r.kind = core::ReceiptKind::enclave; }},
        {"operation", [](auto& r) { r.op = "watch"; }},
        {"capability", [](auto& r) { r.capability = "many"; }},
        {"intent", [&](auto& r) { r.intent_hash = other; }},
        {"answer", [&](auto& r) { r.answer_hash = other; }},
        {"run", [](auto& r) { r.run = 1; }},
        {"module", [&](auto& r) { r.module_hash = other; }},
        {"inputs", [&](auto& r) { r.input_commitment = other; }},
        {"evidence", [&](auto& r) { r.evidence_commitment = other; }},
        {"one event less", [](auto& r) { --r.event_count; }},
        {"one event more", [](auto& r) { ++r.event_count; }},
        {"other events", [&](auto& r) { r.event_chain = other; }},
        {"wider limits", [](auto& r) { ++r.limits.memory_bytes; }},
        {"narrower limits", [](auto& r) { --r.limits.fuel; }},
        {"agent", [](auto& r) { r.agent = peer_of(9); }},
        {"grant", [&](auto& r) { r.grant_id = other; }},
        {"envelope", [](auto& r) { r.envelope = std::string(core::kLegacyEnvelope); }},
        {"via", [](auto& r) { r.via = core::Via{"bridge", {}}; }},
        {"enclave", [&](auto& r) { r.enclave_evidence = other; }},
    };
    for (const auto& item : cases) {
      auto tried = co_await against(world, [&](LyingNode& node) { node.change_receipt = item.change; });
      EXPECT_EQ(tried.result, "bad_receipt") << item.what << ": " << tried.words;
    }
  });
}

/// What a node does beside its receipt.
TEST(Receipt, ThatDoesNotFitWhatCameIsRefused) {
  in_world([](World& world) -> Awaitable<void> {
    struct Case {
      const char* what;
      std::function<void(LyingNode&)> arrange;
      std::string reason;
    };
    const std::vector<Case> cases = {
        {"event dropped", [](auto& n) { n.events.pop_back(); }, "bad_receipt"},
        {"event altered", [](auto& n) { n.events[0] = "an Event"; }, "bad_receipt"},
        {"event added", [](auto& n) { n.events.emplace_back("one more"); }, "bad_receipt"},
        {"events swapped", [](auto& n) { std::swap(n.events[0], n.events[1]); }, "bad_receipt"},
        {"evidence altered", [](auto& n) { n.evidence = "Evidence"; }, "bad_receipt"},
        {"evidence cut", [](auto& n) { n.evidence.pop_back(); }, "bad_receipt"},
        {"other salt", [](auto& n) { n.openings = core::Openings(); }, "bad_receipt"},
        {"no final box", [](auto& n) { n.keeps_final = true; }, "truncated"},
        {"another end", [](auto& n) { n.host_error = "fuel_exhausted"; }, "bad_receipt"},
        {"no proof", [](auto& n) { n.proof = Bytes(); }, "bad_receipt"},
        {"garbage", [](auto& n) { n.proof = to_bytes(std::string_view("proof")); }, "bad_receipt"},
        {"another signer", [](auto& n) { n.signer = key_of(31); }, "bad_receipt"},
        {"more events than agreed", [](auto& n) { n.events.resize(101, "e"); }, "bad_answer"},
        {"more evidence than agreed", [](auto& n) { n.change_answer = [](auto& a) { a.limits.output_bytes = 7; }; },
         "bad_answer"},
        {"limits raised", [](auto& n) { n.change_answer = [](auto& a) { a.limits.fuel += 1; }; }, "bad_answer"},
        {"another suite", [](auto& n) { n.change_answer = [](auto& a) { a.suite = 2; }; }, "bad_answer"},
        {"expired", [](auto& n) { n.change_answer = [](auto& a) { a.expires -= 120; }; }, "bad_answer"},
        {"too long", [](auto& n) { n.change_answer = [](auto& a) { a.expires += 120; }; }, "bad_answer"},
        {"small-order key", [](auto& n) { n.change_answer = [](auto& a) { a.x25519_key = {}; }; }, "bad_answer"},
    };
    for (const auto& item : cases) {
      auto tried = co_await against(world, item.arrange);
      EXPECT_EQ(tried.result, item.reason) << item.what << ": " << tried.words;
    }
  });
}

/// True receipts of two nodes, two agents and two runs of one module, each offered for each other.
TEST(Receipt, SwappedBetweenNodesAgentsAndRunsIsRefused) {
  in_world([](World& world) -> Awaitable<void> {
    // Four true ones.
    std::vector<std::pair<Bytes, core::Openings>> real;
    for (std::uint8_t node : std::initializer_list<std::uint8_t>{kNode, 31}) {
      for (std::uint8_t agent : std::initializer_list<std::uint8_t>{kAgent, 5}) {
        LyingNode honest(world, node);
        auto tried = co_await attempt(world, honest.connect(), peer_of(node), agent);
        EXPECT_EQ(tried.result, "evidence");
        real.emplace_back(honest.last_proof, honest.last_openings);
        co_await honest.close();
      }
    }
    // And one of an earlier run of this very node and agent.
    for (const auto& [proof, openings] : real) {
      auto offer = [&](LyingNode& node) {
        node.proof = proof;
        node.openings = openings;
      };
      auto tried = co_await against(world, offer);
      EXPECT_EQ(tried.result, "bad_receipt") << tried.words;
    }
    // For `nmp verify`: the signer is the pinned one, or the receipt is refused.
    for (std::size_t i = 0; i < real.size(); ++i) {
      for (std::uint8_t pinned : std::initializer_list<std::uint8_t>{kNode, 31}) {
        verify::Expectations expected;
        expected.pinned = {peer_of(pinned)};
        expected.evidence = bytes_of("evidence");
        expected.openings = real[i].second;
        auto module = good_filter();
        expected.module = module;
        auto report = verify::check_receipt(real[i].first, expected);
        EXPECT_EQ(report.ok(), (i < 2) == (pinned == kNode));
        expected.openings = real[(i + 1) % real.size()].second;
        report = verify::check_receipt(real[i].first, expected);
        EXPECT_FALSE(report.ok());
      }
    }
  });
}

}  // namespace
}  // namespace nmp::security
