// Watchdogs through the engine's stream: sealed jobs in, sealed answers and receipts out.
#include <gtest/gtest.h>

#include "sandbox/engine_testing.hpp"

namespace nmp::sandbox {
namespace {

/// Pushes a letter more each time.
Bytes alphabet() {
  return wat(R"((module
    (import "nmp" "push_event" (func $push (param i32 i32)))
    (import "nmp" "wait" (func $wait (param i64 i32) (result i32)))
    (memory (export "memory") 1) (data (i32.const 0) "abcdefghijklmnopqrstuvwxyz")
    (func (export "_start") (local $i i32)
      (loop $l
        (call $push (local.get $i) (i32.const 1))
        (local.set $i (i32.rem_u (i32.add (local.get $i) (i32.const 1)) (i32.const 26)))
        (drop (call $wait (i64.const 1000000) (i32.const 1)))
        (br $l)))))");
}

struct EngineWatchTest : testing::Test {
  Outcome ask(std::string_view op, core::Inputs inputs = {}, Bytes wasm = {}) {
    Ask ask;
    ask.op = op;
    ask.inputs = std::move(inputs);
    ask.wasm = std::move(wasm);
    return mesh->run(ask);
  }
  core::Inputs of(const std::string& watch, std::string_view name = {}, std::string_view value = {}) {
    core::Inputs out{{std::string(core::kWatchInput), to_bytes(watch)}};
    if (!name.empty()) out.emplace(name, to_bytes(value));
    return out;
  }
  MemoryStorage storage;
  std::unique_ptr<Mesh> mesh = std::make_unique<Mesh>(kSessionLifeMax, &storage);
};

TEST_F(EngineWatchTest, DeployedAskedAboutAndStopped) {
  const auto deployed = ask(core::kWatchOperation, {}, alphabet());
  ASSERT_EQ(deployed.reason, "");
  const auto id = deployed.evidence;
  ASSERT_TRUE(core::parse_watch_id(id));
  ASSERT_TRUE(deployed.receipt_verified && deployed.evidence_matches);
  EXPECT_EQ(deployed.receipt->op, "watch");
  EXPECT_EQ(deployed.receipt->module_hash, crypto::sha256(alphabet()));

  auto inputs = of(id, core::kFromInput, "1");
  inputs.emplace(core::kCountInput, to_bytes(std::string_view("3")));
  const auto events = ask(core::kEventsOperation, std::move(inputs));
  EXPECT_EQ(events.events, (std::vector<std::string>{"b", "c", "d"}));
  EXPECT_EQ(events.sequences.front(), 1U);
  EXPECT_TRUE(events.finished && events.receipt_verified && events.chain_matches);

  EXPECT_EQ(ask(core::kAckOperation, of(id, core::kUpToInput, "2")).reason, "");
  const auto list = core::decode_watch_list(bytes_of(ask(core::kListOperation).evidence));
  ASSERT_EQ(list->size(), 1U);
  EXPECT_EQ(list->front().first_event, 3U);
  EXPECT_EQ(list->front().phase, core::WatchPhase::running);
  EXPECT_NE(ask(core::kLogsOperation, of(id)).evidence.find("started"), std::string::npos);

  const auto stopped = ask(core::kStopOperation, of(id));
  EXPECT_EQ(stopped.reason, "");
  EXPECT_TRUE(stopped.receipt_verified);
  EXPECT_TRUE(storage.table.empty());
  EXPECT_EQ(ask(core::kLogsOperation, of(id)).reason, "not_found");
}

TEST_F(EngineWatchTest, AnotherAgentLearnsNothing) {
  const auto id = ask(core::kWatchOperation, {}, alphabet()).evidence;
  mesh->agent = crypto::Ed25519KeyPair::generate(crypto::system_random());
  for (const auto op : {core::kEventsOperation, core::kLogsOperation, core::kStopOperation})
    EXPECT_EQ(ask(op, of(id)).reason, "not_found") << op;
  EXPECT_EQ(ask(core::kAckOperation, of(id, core::kUpToInput, "0")).reason, "not_found");
  EXPECT_TRUE(core::decode_watch_list(bytes_of(ask(core::kListOperation).evidence))->empty());
}

TEST_F(EngineWatchTest, BadRequestsHaveReasons) {
  const auto id = ask(core::kWatchOperation, {}, alphabet()).evidence;
  EXPECT_EQ(ask(core::kStopOperation).reason, "inputs_invalid");
  EXPECT_EQ(ask(core::kAckOperation, of(id)).reason, "inputs_invalid");
  EXPECT_EQ(ask(core::kAckOperation, of(id, core::kUpToInput, "-1")).reason, "inputs_invalid");
  EXPECT_EQ(ask(core::kEventsOperation, of(id, core::kFromInput, "1e9")).reason, "inputs_invalid");
  EXPECT_EQ(ask(core::kStopOperation, of("no such")).reason, "not_found");
  EXPECT_EQ(ask(core::kWatchOperation).reason, "module_unknown");
  EXPECT_EQ(ask(core::kWatchOperation, {}, to_bytes(std::string_view("not wasm"))).reason, "module_refused");
  EXPECT_EQ(ask("reboot").reason, "not_available");
}

TEST_F(EngineWatchTest, AStreamEndsWhenItsAgentLeaves) {
  const auto id = ask(core::kWatchOperation, {}, alphabet()).evidence;
  Ask request;
  request.op = core::kEventsOperation;
  request.inputs = of(id, core::kFromInput, "1000000000");  // none of those will come
  auto from = mesh->negotiate(request);
  auto run = from.envelope->begin(0, core::kWatchEventsMethod);
  auto started = mesh->start(Mesh::job(from, *run, request));
  EXPECT_FALSE(mesh->wait_for([&] { return false; }, std::chrono::milliseconds(100)));
  started->cancel();
  EXPECT_EQ(mesh->follow(from, *run, *started).ended, "cancelled");
}

TEST_F(EngineWatchTest, WithoutAStorageThereAreNone) {
  mesh = std::make_unique<Mesh>();
  EXPECT_EQ(ask(core::kWatchOperation, {}, alphabet()).reason, "not_available");
  EXPECT_EQ(ask(core::kListOperation).reason, "not_available");
}

TEST_F(EngineWatchTest, AnotherEngineGoesOnWithThem) {
  const auto id = ask(core::kWatchOperation, {}, alphabet()).evidence;
  ASSERT_EQ(ask(core::kEventsOperation, of(id, core::kCountInput, "2")).events.size(), 2U);
  const auto agent = mesh->agent.copy();
  mesh.reset();
  const auto before = storage.table.begin()->second.next_event;
  mesh = std::make_unique<Mesh>(kSessionLifeMax, &storage);
  mesh->agent = agent.copy();
  auto inputs = of(id, core::kFromInput, std::to_string(before));
  inputs.emplace(core::kCountInput, to_bytes(std::string_view("1")));
  EXPECT_EQ(ask(core::kEventsOperation, std::move(inputs)).events, std::vector<std::string>{"a"});
}

TEST_F(EngineWatchTest, ASecondHostCannotTakeThem) {
  const auto id = ask(core::kWatchOperation, {}, alphabet()).evidence;
  MemoryStorage other;
  auto client = std::make_unique<EngineClient>(mesh->context.get_executor(), mesh->connect());
  client->keep_watchdogs(other, stored(storage.table, watch_allowance()));
  EXPECT_EQ(ask(core::kEventsOperation, of(id, core::kCountInput, "3")).events.size(), 3U);
  EXPECT_TRUE(other.history.empty());
  EXPECT_EQ(mesh->engine->watchdogs(), 1U);
  (void)async::run_until_done(mesh->context, [](EngineClient* c) -> async::Awaitable<int> {
    co_await c->close();
    co_return 0;
  }(client.get()));
}

}  // namespace
}  // namespace nmp::sandbox
