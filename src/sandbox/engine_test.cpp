#include <fmt/format.h>
#include <gtest/gtest.h>

#include "sandbox/engine_testing.hpp"

namespace nmp::sandbox {
namespace {

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

Bytes body_only(std::string_view body) {
  return wat(fmt::format(R"((module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "nmp" "wait" (func $wait (param i64 i32) (result i32)))
    (memory (export "memory") 2) (data (i32.const 8) "\00\00\00\00\00\00\01\00")
    (func (export "_start") (local $i i32) {})))",
                         body));
}
Bytes endless() {
  return body_only(
      "(loop $l (drop (call $wait (i64.const 1000000) (i32.const "
      "1))) (br $l))");
}

TEST(EngineTest, KeysAreErasedInTime) {
  Mesh mesh(std::chrono::milliseconds(30));
  auto agent = mesh.negotiate({.wasm = good_filter(), .inputs = {}});
  EXPECT_TRUE(mesh.wait_for([&] { return mesh.engine->sessions() == 0; }));  // nothing else happens on the stream
  auto run = agent.envelope->begin(0);
  auto started = mesh.start(Mesh::job(agent, *run));
  EXPECT_EQ(mesh.follow(agent, *run, *started).reason, "session_unknown");
}

TEST(EngineTest, ExpiryLeavesLiveRuns) {
  Mesh mesh(std::chrono::milliseconds(100));
  auto agent =
      mesh.negotiate({.wasm = body_only("(drop (call $wait (i64.const 500000000) (i32.const 1)))"), .inputs = {}}, 5);
  auto run = agent.envelope->begin(0);
  auto started = mesh.start(Mesh::job(agent, *run));
  EXPECT_EQ(mesh.follow(agent, *run, *started).reason, "");
  auto late = agent.envelope->begin(1);
  auto refused = mesh.start(Mesh::job(agent, *late));
  EXPECT_EQ(mesh.follow(agent, *late, *refused).reason, "session_unknown");
  EXPECT_EQ(mesh.engine->sessions(), 0U);
}

TEST(EngineTest, KeysAreErasedWhenSpentAndOnDrop) {
  Mesh mesh;
  EXPECT_EQ(mesh.run({.wasm = good_filter(), .inputs = {}}).reason, "");
  EXPECT_EQ(mesh.engine->sessions(), 0U);
  auto agent = mesh.negotiate({.wasm = good_filter(), .inputs = {}}, 10);
  EXPECT_EQ(mesh.engine->sessions(), 1U);
  mesh.client->drop(agent.session);
  EXPECT_TRUE(mesh.wait_for([&] { return mesh.engine->sessions() == 0; }));
}

TEST(EngineTest, CancelAndDropEndRuns) {
  for (const bool drop : {false, true}) {
    Mesh mesh;
    auto agent = mesh.negotiate({.wasm = endless(), .inputs = {}}, 2);
    auto run = agent.envelope->begin(0);
    auto started = mesh.start(Mesh::job(agent, *run));
    EXPECT_TRUE(mesh.wait_for([&] { return mesh.engine->running() == 1; }));
    if (drop) {
      mesh.client->drop(agent.session);
    } else {
      started->cancel();
    }
    const auto out = mesh.follow(agent, *run, *started);
    EXPECT_EQ(out.reason, "cancelled");
    EXPECT_EQ(out.ended, "cancelled");
    EXPECT_TRUE(out.finished);
    EXPECT_TRUE(out.receipt_verified);
    EXPECT_EQ(mesh.engine->sessions(), drop ? 0U : 1U);
  }
}

TEST(EngineTest, ALostHandleEndsItsRun) {
  Mesh mesh;
  auto agent = mesh.negotiate({.wasm = endless(), .inputs = {}});
  auto run = agent.envelope->begin(0);
  auto started = mesh.start(Mesh::job(agent, *run));
  EXPECT_TRUE(mesh.wait_for([&] { return mesh.engine->running() == 1; }));
  started.reset();
  EXPECT_TRUE(mesh.wait_for([&] { return mesh.engine->running() == 0; }));
}

TEST(EngineTest, WithoutCreditTheGuestStands) {
  Mesh mesh;
  constexpr std::size_t kBytes = 4 << 20;
  // All of it in pieces of 64 KiB, which fd_write may take in part.
  auto agent = mesh.negotiate({.wasm = body_only(R"((loop $l
      (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)))
      (local.set $i (i32.add (local.get $i) (i32.load (i32.const 0))))
      (i32.store (i32.const 12) (i32.sub (i32.const 4194304) (local.get $i)))
      (if (i32.gt_u (i32.load (i32.const 12)) (i32.const 65536)) (then (i32.store (i32.const 12) (i32.const 65536))))
      (br_if $l (i32.lt_u (local.get $i) (i32.const 4194304)))))"),
                               .inputs = {}});
  auto run = agent.envelope->begin(0);
  auto started = mesh.start(Mesh::job(agent, *run));
  EXPECT_TRUE(mesh.wait_for([&] { return mesh.engine->running() == 1; }));
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
  (void)mesh.wait_for([&] { return std::chrono::steady_clock::now() > end; });
  EXPECT_EQ(mesh.engine->running(), 1U);
  const auto out = mesh.follow(agent, *run, *started);
  EXPECT_EQ(out.reason, "");
  EXPECT_EQ(out.evidence.size(), kBytes);
  EXPECT_TRUE(out.evidence_matches);
}

TEST(EngineTest, RunNumbersRise) {
  Mesh mesh;
  const Ask ask{.wasm = good_filter(), .inputs = {}};
  auto agent = mesh.negotiate(ask, 5);
  auto first = agent.envelope->begin(3);
  const auto frame = Mesh::job(agent, *first);
  auto started = mesh.start(frame);
  EXPECT_EQ(mesh.follow(agent, *first, *started).reason, "");
  // The same bytes again, as often as one likes: refused, and the session lives
  // on.
  for (int i = 0; i < 5; ++i) {
    auto again = mesh.start(frame);
    EXPECT_EQ(mesh.follow(agent, *first, *again).reason, "run_reused");
  }
  auto next = agent.envelope->begin(4);
  auto later = mesh.start(Mesh::job(agent, *next));
  EXPECT_EQ(mesh.follow(agent, *next, *later).reason, "");
}

TEST(EngineTest, ThreeBoxesThatDoNotOpenEraseTheSession) {
  for (const int bad : {2, 3}) {
    Mesh mesh;
    auto agent = mesh.negotiate({.wasm = good_filter(), .inputs = {}}, 10);
    auto run = agent.envelope->begin(0);
    const auto good = Mesh::job(agent, *run);
    auto corrupt = good;
    corrupt.inputs.back() ^= std::byte{1};
    for (int i = 0; i < bad; ++i) {
      auto started = mesh.start(corrupt);
      EXPECT_EQ(mesh.follow(agent, *run, *started).reason, "envelope");
    }
    EXPECT_EQ(mesh.engine->sessions(), bad == 3 ? 0U : 1U);
    auto started = mesh.start(good);
    EXPECT_EQ(mesh.follow(agent, *run, *started).reason, bad == 3 ? "session_unknown" : "");
  }
}

struct Counted {
  int opened = 0;
  int reused = 0;
  int other = 0;
};
async::Awaitable<void> write_all(async::ByteStream* stream, Bytes bytes) { (void)co_await stream->write(bytes); }
async::Awaitable<EngineFrame> read_one(async::ByteStream* stream) {
  auto body = co_await read_frame(*stream);
  NMP_ASSERT(body && *body);
  auto frame = decode_engine_frame(**body);
  NMP_ASSERT(frame.has_value());
  co_return *std::move(frame);
}
async::Awaitable<Counted> duplicate(Mesh* mesh, async::ByteStream* stream, async::TaskGroup* tasks) {
  auto agent = mesh->prepare({.wasm = good_filter(), .inputs = {}});
  OpenFrame open;
  open.session = agent.session;
  open.intent = agent.intent;
  Bytes opening = encode(HostFrame(open));
  co_await write_all(stream, std::move(opening));
  auto answer = co_await read_one(stream);
  auto frame = mesh->bind(agent, std::get<KeysFrame>(answer), 200);
  Bytes many = encode(HostFrame(std::move(frame)));
  auto run = agent.envelope->begin(0);
  const Bytes job = encode(HostFrame(Mesh::job(agent, *run)));
  for (int i = 0; i < 100; ++i) append(many, job);
  tasks->spawn(write_all(stream, std::move(many)));
  Counted out;
  while (out.opened + out.reused + out.other < 100) {
    auto next = co_await read_one(stream);
    if (std::holds_alternative<OpenedFrame>(next)) ++out.opened;
    if (const auto* refused = std::get_if<RefusedFrame>(&next))
      ++(refused->reason == "run_reused" ? out.reused : out.other);
  }
  co_return out;
}

TEST(EngineTest, OfAHundredDuplicatesOneOpens) {
  Mesh mesh;
  auto stream = mesh.connect();
  async::TaskGroup tasks(mesh.context.get_executor());
  const auto out = async::run_until_done(mesh.context, duplicate(&mesh, stream.get(), &tasks));
  EXPECT_EQ(out.opened, 1);
  EXPECT_EQ(out.reused, 99);
  stream->reset(0);
  (void)mesh.wait_for([&] { return tasks.size() == 0; });
}

async::Awaitable<void> send_jobs(EngineClient* client, std::vector<std::string>* outcomes) {
  for (std::uint32_t i = 0; i < 4; ++i) {
    JobFrame frame;
    frame.run = i;
    frame.inputs = Bytes(40 << 20);
    auto sent = co_await client->job(std::move(frame));
    outcomes->push_back(sent ? "queued" : sent.error().code.message());
  }
}
async::Awaitable<int> close(EngineClient* client) {
  co_await client->close();
  co_return 0;
}

TEST(EngineClientTest, TheQueueIsBounded) {
  boost::asio::io_context context;
  auto [near, far] = async::memory_pipe(context.get_executor());  // nobody reads
  EngineClient client(context.get_executor(), std::move(near));
  async::TaskGroup tasks(context.get_executor());
  std::vector<std::string> outcomes;
  tasks.spawn(send_jobs(&client, &outcomes));
  context.run_for(std::chrono::milliseconds(200));
  EXPECT_EQ(outcomes, (std::vector<std::string>{"queued", "queued"}));
  (void)async::run_until_done(context, close(&client));
  context.run_for(std::chrono::milliseconds(50));
  ASSERT_EQ(outcomes.size(), 4U);
  EXPECT_EQ(outcomes.back(), make_error_code(nmp::Errc::closed).message());
}

async::Awaitable<void> flood(async::ByteStream* stream) {
  auto request = co_await read_frame(*stream);
  NMP_ASSERT(request && *request);
  BoxFrame box;
  box.sealed = Bytes(60 << 10);
  const Bytes bytes = encode(EngineFrame(std::move(box)));
  for (;;) {
    auto written = co_await stream->write(bytes);
    if (!written) co_return;
  }
}
async::Awaitable<std::size_t> count_boxes(EngineRun* run) {
  std::size_t out = 0;
  for (;;) {
    auto next = co_await run->next();
    if (!next) co_return out;
    ++out;
  }
}

TEST(EngineClientTest, AnEngineThatIgnoresCreditIsCutOff) {
  boost::asio::io_context context;
  auto [near, far] = async::memory_pipe(context.get_executor());
  EngineClient client(context.get_executor(), std::move(near));
  async::TaskGroup tasks(context.get_executor());
  JobFrame frame;
  frame.inputs = Bytes(100);
  auto run = async::run_until_done(context, client.job(std::move(frame)));
  ASSERT_TRUE(run.has_value());
  tasks.spawn(flood(far.get()));
  context.restart();
  for (int i = 0; i < 500 && tasks.size() > 0; ++i) context.run_for(std::chrono::milliseconds(10));
  EXPECT_EQ(tasks.size(), 0U);
  EXPECT_LE(async::run_until_done(context, count_boxes(run->get())), kHeldBytesMax / (60 << 10));
  run->reset();
  (void)async::run_until_done(context, close(&client));
}

}  // namespace
}  // namespace nmp::sandbox
