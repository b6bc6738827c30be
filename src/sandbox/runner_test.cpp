#include "sandbox/runner.hpp"

#include <cstdlib>
#include <fstream>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/async/task_group.hpp"
#include "base/async/testing.hpp"
#include "crypto/random.hpp"
#include "sandbox/guardian/abi.hpp"
#include "sandbox/testing.hpp"

namespace nmp::sandbox {
namespace {

struct Finished {
  RunResult result;
  std::string evidence;
  std::string diagnostics;
  std::vector<std::string> events;
};

std::string imports() {
  return R"(
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
      (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
    (import "nmp" "push_event" (func $push_event (param i32 i32)))
    (import "nmp" "wait" (func $wait (param i64 i32) (result i32)))
  )";
}

/// A module whose `_start` is `body`, with one page of memory.
Bytes module(std::string_view body, std::string_view more = "(memory (export \"memory\") 1)") {
  return wat(fmt::format("(module {} {} (func (export \"_start\") {}))", imports(), more, body));
}

core::Authorization limits() {
  core::Authorization out;
  out.memory_bytes = 16 << 20;
  out.fuel = 10'000'000'000;
  out.wall_time_ms = 30'000;
  out.output_bytes = 1 << 20;
  out.event_bytes = 1 << 20;
  out.events = 1000;
  out.diagnostic_bytes = 64 << 10;
  out.input_bytes = 1 << 20;
  return out;
}

class RunnerTest : public testing::Test {
 protected:
  RunnerTest() {
    RunnerOptions options;
    options.runs_max = 256;
    options.random = &crypto::system_random();
    auto made = Runner::make(context_.get_executor(), options);
    EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().message());
    runner_ = *std::move(made);
  }

  Result<ModulePtr> compile(Bytes wasm) { return async::run_until_done(context_, runner_->compile(std::move(wasm))); }

  RunSpec spec(Bytes wasm, core::Authorization with = limits()) {
    auto compiled = compile(std::move(wasm));
    EXPECT_TRUE(compiled.has_value()) << (compiled ? "" : compiled.error().message());
    RunSpec out;
    out.module = compiled.value_or(nullptr);
    out.limits = with;
    return out;
  }

  static async::Awaitable<Finished> drain(RunPtr run) {
    Finished out;
    for (;;) {
      auto next = co_await run->next();
      EXPECT_TRUE(next.has_value());
      if (!next || !*next) break;
      auto& output = **next;
      if (output.kind == OutputKind::event) out.events.push_back(string_of(output.bytes));
      if (output.kind == OutputKind::evidence) out.evidence += text_of(output.bytes);
      if (output.kind == OutputKind::diagnostics) out.diagnostics += text_of(output.bytes);
    }
    out.result = run->result();
    co_return out;
  }

  Finished run(RunSpec with) {
    auto started = runner_->start(std::move(with));
    EXPECT_TRUE(started.has_value());
    return async::run_until_done(context_, drain(*std::move(started)));
  }
  Finished run(Bytes wasm, core::Authorization with = limits()) { return run(spec(std::move(wasm), with)); }

  void expect_end(const Finished& finished, Errc code) {
    ASSERT_TRUE(finished.result.error.has_value());
    EXPECT_EQ(finished.result.error->code, code) << finished.result.error->message();
  }

  boost::asio::io_context context_;
  std::unique_ptr<Runner> runner_;
};

constexpr std::string_view kHello = R"((memory (export "memory") 1)
  (data (i32.const 100) "hello") (data (i32.const 8) "\64\00\00\00\05\00\00\00"))";

TEST_F(RunnerTest, AnswersAndPushes) {
  const auto out = run(module(R"(
      (call $push_event (i32.const 100) (i32.const 5))
      (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)))
      (drop (call $fd_write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 0))))",
                              kHello));
  EXPECT_FALSE(out.result.error.has_value());
  EXPECT_EQ(out.evidence, "hello");
  EXPECT_EQ(out.diagnostics, "hello");
  EXPECT_EQ(out.events, std::vector<std::string>{"hello"});
  EXPECT_EQ(out.result.used.memory_bytes, 65536U);
  EXPECT_GT(out.result.used.fuel, 0U);
  EXPECT_EQ(out.result.used.events, 1U);
  EXPECT_EQ(out.result.used.output_bytes, 5U);
}

TEST_F(RunnerTest, ReadsItsInput) {
  auto with = spec(module(R"(
      (drop (call $fd_read (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 12)))
      (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0))))",
                          R"((memory (export "memory") 1) (data (i32.const 8) "\64\00\00\00\20\00\00\00"))"));
  with.inputs.emplace("stdin", to_bytes(std::string_view("abc")));
  EXPECT_EQ(run(std::move(with)).evidence, "abc");
}

TEST_F(RunnerTest, ExitCodes) {
  EXPECT_FALSE(run(module("(call $proc_exit (i32.const 0))")).result.error.has_value());
  const auto out = run(module("(call $proc_exit (i32.const 7))"));
  expect_end(out, Errc::exit_code);
  EXPECT_EQ(out.result.exit_code, 7U);
}

TEST_F(RunnerTest, TrapsAreTold) {
  expect_end(run(module("unreachable")), Errc::unreachable);
  expect_end(run(module("(drop (i32.div_u (i32.const 1) (i32.const 0)))")), Errc::trap);
  expect_end(run(module("(drop (i32.load (i32.const 65536)))")), Errc::memory_out_of_bounds);
  expect_end(run(module("(call $f)", "(memory (export \"memory\") 1) (func $f (call $f))")), Errc::stack_overflow);
  expect_end(run(module("nop", R"((memory (export "memory") 1) (data (i32.const 65535) "ab"))")), Errc::start_failed);
}

TEST_F(RunnerTest, EndlessLoopEndsByFuel) {
  auto with = limits();
  with.fuel = 1'000'000;
  const auto out = run(module("(loop $l (br $l))"), with);
  expect_end(out, Errc::fuel_exhausted);
  EXPECT_EQ(out.result.used.fuel, 1'000'000U);
}

TEST_F(RunnerTest, EndlessLoopEndsByTime) {
  auto with = limits();
  with.fuel = core::kNoCeiling;
  with.wall_time_ms = 100;
  expect_end(run(module("(loop $l (br $l))"), with), Errc::wall_time);
}

TEST_F(RunnerTest, SleepEndsByTime) {
  auto with = limits();
  with.wall_time_ms = 50;
  expect_end(run(module("(drop (call $wait (i64.const 3600000000000) (i32.const 1)))"), with), Errc::wall_time);
}

TEST_F(RunnerTest, MemoryBomb) {
  const auto out = run(module(R"(
      (loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable)"));
  expect_end(out, Errc::memory_limit);
  EXPECT_TRUE(out.result.memory_limit_hit);
  EXPECT_LE(out.result.used.memory_bytes, limits().memory_bytes);
}

TEST_F(RunnerTest, TableBomb) {
  const auto out = run(module(R"(
      (loop $l (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 4096)) (i32.const -1)))))",
                              R"((memory (export "memory") 1) (table $t 1 funcref))"));
  EXPECT_FALSE(out.result.error.has_value());
}

TEST_F(RunnerTest, OutputAndEventLimits) {
  const std::string write =
      "(loop $l (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0))) (br $l))";
  const auto out = run(module(write, kHello));
  expect_end(out, Errc::output_limit);
  EXPECT_LE(out.evidence.size(), limits().output_bytes);
  const std::string push = "(loop $l (call $push_event (i32.const 100) (i32.const 5)) (br $l))";
  const auto pushed = run(module(push, kHello));
  expect_end(pushed, Errc::event_limit);
  EXPECT_EQ(pushed.events.size(), limits().events);
  expect_end(run(module("(call $push_event (i32.const 65530) (i32.const 100))")), Errc::guest_misuse);
}

TEST_F(RunnerTest, DiagnosticsAreCutNotFatal) {
  auto with = limits();
  with.diagnostic_bytes = 7;
  const auto out = run(module(R"(
      (drop (call $fd_write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 0)))
      (drop (call $fd_write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 0))))",
                              kHello),
                       with);
  EXPECT_FALSE(out.result.error.has_value());
  EXPECT_EQ(out.diagnostics, "hellohe");
  EXPECT_TRUE(out.result.diagnostics_dropped);
}

TEST_F(RunnerTest, GuardianRefuses) {
  auto refused =
      compile(wat(R"((module (import "env" "f" (func)) (memory (export "memory") 1) (func (export "_start"))))"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, guardian::Errc::import_module);
  auto invalid = wat(R"((module (memory (export "memory") 1) (func (export "_start") nop)))");
  invalid.at(invalid.size() - 2) = std::byte{0x6a};  // an i32.add in place of the nop
  refused = compile(invalid);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::invalid_module);
}

TEST_F(RunnerTest, CancelEndsALoopAndASleeper) {
  for (const auto* body : {"(loop $l (br $l))", "(drop (call $wait (i64.const 3600000000000) (i32.const 1)))"}) {
    auto started = runner_->start(spec(module(body)));
    ASSERT_TRUE(started.has_value());
    (*started)->cancel();
    expect_end(async::run_until_done(context_, drain(*std::move(started))), Errc::cancelled);
  }
}

TEST_F(RunnerTest, ManySleepersHoldNoThread) {
  auto with = spec(module("(drop (call $wait (i64.const 3600000000000) (i32.const 1)))"));
  std::vector<RunPtr> sleepers;
  for (int i = 0; i < 200; ++i) {
    auto started = runner_->start(with);
    ASSERT_TRUE(started.has_value());
    sleepers.push_back(*std::move(started));
  }
  EXPECT_EQ(run(module("(call $push_event (i32.const 100) (i32.const 5))", kHello)).events.size(), 1U);
  EXPECT_EQ(runner_->running(), 200U);
  sleepers.clear();
}

TEST_F(RunnerTest, GoodRunBesideBadOnes) {
  auto loop = spec(module("(loop $l (br $l))"));
  auto bomb = spec(module("(loop $l (drop (memory.grow (i32.const 1))) (br $l))"));
  std::vector<RunPtr> bad;
  for (int i = 0; i < 10; ++i) {
    bad.push_back(*runner_->start(loop));
    bad.push_back(*runner_->start(bomb));
  }
  EXPECT_EQ(run(module("(call $push_event (i32.const 100) (i32.const 5))", kHello)).events.size(), 1U);
}

TEST_F(RunnerTest, StalledSinkHoldsTheGuest) {
  auto with = limits();
  with.output_bytes = core::kNoCeiling;
  with.fuel = core::kNoCeiling;
  // 64 MiB in pieces of 64 KiB; nobody reads at first.
  auto started =
      runner_->start(spec(module(R"(
      (local $i i32)
      (loop $l
        (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)))
        (local.set $i (i32.add (local.get $i) (i32.load (i32.const 0))))
        (br_if $l (i32.lt_u (local.get $i) (i32.const 67108864)))))",
                                 R"((memory (export "memory") 2) (data (i32.const 8) "\00\00\00\00\00\00\01\00"))"),
                          with));
  ASSERT_TRUE(started.has_value());
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(runner_->running(), 1U);
  const auto out = async::run_until_done(context_, drain(*std::move(started)));
  EXPECT_FALSE(out.result.error.has_value());
  EXPECT_EQ(out.evidence.size(), 64U << 20);
}

TEST_F(RunnerTest, SeededRunsRepeat) {
  const std::string text = R"((module
    (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
    (import "nmp" "push_event" (func $push_event (param i32 i32)))
    (memory (export "memory") 1)
    (func (export "_start")
      (drop (call $random_get (i32.const 0) (i32.const 32)))
      (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 32)))
      (call $push_event (i32.const 0) (i32.const 40)))))";
  auto with = spec(wat(text));
  with.seed = 7;
  with.start_time = 1'000'000'000;
  const auto first = run(with);
  EXPECT_EQ(first.events, run(with).events);
  with.seed.reset();
  EXPECT_NE(first.events, run(with).events);
}

TEST_F(RunnerTest, RunnerMayGoFirst) {
  auto started = runner_->start(spec(module("(loop $l (br $l))")));
  ASSERT_TRUE(started.has_value());
  runner_.reset();
  expect_end(async::run_until_done(context_, drain(*std::move(started))), Errc::cancelled);
}

TEST_F(RunnerTest, AnAbortFarBelowTheCeilingIsAnAbort) {
  // Half of the ceiling, more than half at once refused, then an abort: not
  // near enough to tell.
  expect_end(run(module("(drop (memory.grow (i32.const 127))) (drop "
                        "(memory.grow (i32.const 1000))) unreachable")),
             Errc::unreachable);
  // Near the ceiling from its start, and nothing in it grows memory.
  const auto out = run(module("unreachable", "(memory (export \"memory\") 250)"));
  expect_end(out, Errc::unreachable);
  EXPECT_FALSE(out.result.memory_limit_hit);
  // Near the ceiling, and it ends well.
  const auto well = run(module("(drop (memory.grow (i32.const 249)))"));
  EXPECT_FALSE(well.result.error.has_value());
  EXPECT_TRUE(well.result.memory_limit_hit);
}

TEST_F(RunnerTest, TablesCount) {
  auto with = limits();
  with.memory_bytes = 1 << 20;
  constexpr std::string_view kLargeTable = R"((memory (export "memory") 1) (table $t 1 60000 funcref))";
  const auto out = run(module("nop", kLargeTable), with);
  EXPECT_FALSE(out.result.error.has_value());
  EXPECT_EQ(out.result.used.memory_bytes, 65536U + 60000 * 8);
  // What the table may take is not the memory's.
  const auto grown = run(module("(if (i32.eq (memory.grow (i32.const 8)) "
                                "(i32.const -1)) (then unreachable))",
                                kLargeTable),
                         with);
  expect_end(grown, Errc::unreachable);
  with.memory_bytes = 256 << 10;
  auto refused = runner_->start(spec(module("nop", kLargeTable), with));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::memory_limit);
}

/// All functions of the ABI, called through Wasmtime with the same hostile
/// number in every place.
TEST_F(RunnerTest, HostileArgumentsThroughWasmtime) {
  for (const auto number :
       {"0", "3", "65528", "65535", "65536", "0x7fffffff", "0x80000000", "0xfffffff8", "0xffffffff"}) {
    std::string imports;
    std::vector<std::string> calls;
    for (const auto& abi : guardian::abi_functions()) {
      const auto arrow = abi.type.find('>');
      std::string parameters;
      std::string arguments;
      for (const char type : abi.type.substr(0, arrow)) {
        parameters += type == 'I' ? " i64" : " i32";
        arguments += fmt::format(" (i{}.const {})", type == 'I' ? 64 : 32, number);
      }
      const auto result = abi.type.substr(arrow + 1);
      const auto name = std::string(abi.module == guardian::kNmpModule ? "$nmp_" : "$") + std::string(abi.name);
      imports += fmt::format("(import \"{}\" \"{}\" (func {} (param{}) {}))", abi.module, abi.name, name, parameters,
                             result.empty()  ? ""
                             : result == "I" ? "(result i64)"
                                             : "(result i32)");
      const auto call = fmt::format("(call {}{})", name, arguments);
      // Those that end or hold the run come alone, below.
      if (abi.name == "proc_exit" || abi.name == "wait" || abi.module == guardian::kNmpModule)
        calls.push_back(call + (result.empty() ? "" : "drop"));
      else
        (calls.empty() ? calls.emplace_back() : calls.front()) += fmt::format("(drop {})", call);
    }
    auto with = limits();
    with.wall_time_ms = 300;
    for (const auto& body : calls) {
      const auto out = run(wat(fmt::format("(module {} (memory (export \"memory\") 1) (func "
                                           "(export \"_start\") {}))",
                                           imports, body)),
                           with);
      if (!out.result.error) continue;
      const auto code = out.result.error->code;
      EXPECT_TRUE(code == Errc::guest_misuse || code == Errc::exit_code || code == Errc::wall_time ||
                  code == Errc::event_limit)
          << body << out.result.error->message();
    }
  }
}

async::Awaitable<void> compile_into(Runner* runner, Bytes wasm, bool* done) {
  auto module = co_await runner->compile(std::move(wasm));
  EXPECT_TRUE(module.has_value()) << (module ? "" : module.error().message());
  *done = true;
}

TEST_F(RunnerTest, RunsGoOnWhileACompileTakesLong) {
  // 10,000 functions: about as much as the guardian lets pass.
  std::string functions;
  for (int i = 0; i < 10'000; ++i) functions += "(func (drop (i32.mul (i32.const 3) (i32.load (i32.const 8)))))";
  const auto heavy = module("nop", functions + "(memory (export \"memory\") 1)");
  const auto small = spec(module("(call $push_event (i32.const 100) (i32.const 5))", kHello));
  bool done = false;
  async::TaskGroup tasks(context_.get_executor());
  tasks.spawn(compile_into(runner_.get(), heavy, &done));
  context_.restart();
  context_.run_for(std::chrono::milliseconds(10));
  ASSERT_FALSE(done);
  EXPECT_EQ(run(small).events.size(), 1U);
  EXPECT_FALSE(done);
  while (!done) context_.run_one_for(std::chrono::milliseconds(100));
  while (tasks.size() > 0) context_.run_one_for(std::chrono::milliseconds(10));
}

TEST_F(RunnerTest, KeepsModulesByTheMemoryOfTheirCode) {
  RunnerOptions options;
  options.random = &crypto::system_random();
  options.cache_module_bytes_max = 4 << 20;
  runner_ = *Runner::make(context_.get_executor(), options);
  // 80 KB of Wasm each, from which the compiler makes over two MiB.
  std::string functions;
  for (int i = 0; i < 8'000; ++i) functions += "(func)";
  std::vector<crypto::Digest> digests;
  for (const std::string_view body : {"nop", "nop nop", "nop nop nop"}) {
    const auto wasm = module(body, functions + "(memory (export \"memory\") 1)");
    digests.push_back(crypto::sha256(wasm));
    ASSERT_TRUE(compile(wasm).has_value());
    EXPECT_NE(runner_->cached(digests.back()), nullptr);
  }
  EXPECT_EQ(runner_->cached(digests.front()), nullptr);
}

#ifndef NMP_SANITIZED  // whose shadow memory counts as resident
std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t size = 0;
  std::size_t resident = 0;
  file >> size >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

TEST_F(RunnerTest, ACompileGivesItsMemoryBack) {
  ASSERT_TRUE(compile(module("nop")).has_value());
  const auto before = resident_bytes();
  // The compiler takes over 400 MiB for it.
  std::string body;
  for (int i = 0; i < 20'000; ++i) body += "loop ";
  for (int i = 0; i < 20'000; ++i) body += "end ";
  ASSERT_TRUE(
      compile(wat("(module (memory (export \"memory\") 1) (func (export \"_start\") " + body + "))")).has_value());
  EXPECT_LT(resident_bytes(), before + (32 << 20));
}

struct Flood {
  std::uint64_t events = 0;
  std::uint64_t bytes = 0;
  bool in_order = true;
  std::size_t resident_max = 0;
  RunResult result;
};
async::Awaitable<Flood> take_flood(RunPtr run) {
  Flood out;
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, std::chrono::seconds(1));
  co_await timer.async_wait(boost::asio::use_awaitable);  // a sink that stalls
  for (;;) {
    auto next = co_await run->next();
    if (!next || !*next) break;
    const auto& bytes = (**next).bytes;
    // Each event starts with its number.
    std::uint64_t number = 0;
    for (std::size_t i = 8; i-- > 0;) number = number << 8 | std::to_integer<std::uint64_t>(bytes.at(i));
    out.in_order = out.in_order && number == out.events;
    ++out.events;
    out.bytes += bytes.size();
    if (out.events % 64 == 0) out.resident_max = std::max(out.resident_max, resident_bytes());
  }
  out.result = run->result();
  co_return out;
}

TEST_F(RunnerTest, AFloodOfEventsTakesNoMemory) {
  const bool is_long = std::getenv("NMP_LONG") != nullptr;
  const std::uint64_t total = is_long ? 1ULL << 30 : 256ULL << 20;
  constexpr std::uint64_t kEvent = 16 << 10;
  auto with = limits();
  with.events = core::kNoCeiling;
  with.event_bytes = core::kNoCeiling;
  auto ready = spec(module(fmt::format(R"((local $i i64)
      (loop $l
        (i64.store (i32.const 0) (local.get $i))
        (call $push_event (i32.const 0) (i32.const {}))
        (local.set $i (i64.add (local.get $i) (i64.const 1)))
        (br_if $l (i64.lt_u (local.get $i) (i64.const {})))))",
                                       kEvent, total / kEvent)),
                    with);
  const auto before = resident_bytes();
  auto started = runner_->start(std::move(ready));
  ASSERT_TRUE(started.has_value());
  const auto out = async::run_until_done(context_, take_flood(*std::move(started)), std::chrono::seconds(300));
  EXPECT_FALSE(out.result.error.has_value());
  EXPECT_EQ(out.bytes, total);
  EXPECT_EQ(out.events, total / kEvent);
  EXPECT_TRUE(out.in_order);
  EXPECT_LT(out.resident_max, before + (16 << 20));
}
#endif

}  // namespace
}  // namespace nmp::sandbox
