// The filters that scripts/build makes from filters/, as they come out of the
// C++, Rust and Go compilers.
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/async/testing.hpp"
#include "crypto/random.hpp"
#include "sandbox/runner.hpp"

namespace nmp::sandbox {
namespace {

namespace fs = std::filesystem;

struct Finished {
  RunResult result;
  std::string evidence;
  std::string diagnostics;
  std::size_t events = 0;
};

async::Awaitable<Finished> drain(RunPtr run) {
  Finished out;
  for (;;) {
    auto next = co_await run->next();
    if (!next || !*next) break;
    const auto& output = **next;
    if (output.kind == OutputKind::event) ++out.events;
    if (output.kind == OutputKind::evidence) out.evidence += text_of(output.bytes);
    if (output.kind == OutputKind::diagnostics) out.diagnostics += text_of(output.bytes);
  }
  out.result = run->result();
  co_return out;
}

class FiltersTest : public testing::Test {
 protected:
  FiltersTest() {
    folder_ = fs::temp_directory_path() / ("nmp_filters_" + std::to_string(crypto::system_random().u64()));
    fs::create_directories(folder_);
    std::ofstream log(folder_ / "app.log");
    for (int i = 0; i < 1000; ++i)
      log << "2024-01-01T00:00:00 " << (i % 10 == 0 ? "ERROR" : "INFO") << " message " << i << "\n";
    std::ofstream csv(folder_ / "patients.csv");
    csv << "arms,days,cens\n";
    for (int i = 0; i < 100; ++i) csv << i % 4 << "," << 10 * i << "," << i % 2 << "\n";
  }
  ~FiltersTest() override { fs::remove_all(folder_); }

  static core::Authorization limits() {
    core::Authorization out;
    out.memory_bytes = 64 << 20;
    out.fuel = 20'000'000'000;
    out.wall_time_ms = 30'000;
    out.output_bytes = 16 << 10;
    out.event_bytes = 1 << 20;
    out.events = 1000;
    out.diagnostic_bytes = 64 << 10;
    out.input_bytes = 1 << 20;
    return out;
  }

  /// Nothing if the filter is not built; the test then skips.
  std::optional<Finished> run(const std::string& name, std::string_view args, core::Authorization with = limits()) {
    const auto path = fs::path(NMP_SOURCE_DIR) / "build" / "filters" / (name + ".wasm");
    std::ifstream file(path, std::ios::binary);
    if (!file) return std::nullopt;
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    RunnerOptions options;
    options.random = &crypto::system_random();
    auto runner = Runner::make(context_.get_executor(), options);
    NMP_ASSERT(runner.has_value());
    auto module = async::run_until_done(context_, (*runner)->compile(to_bytes(std::string_view(text))));
    EXPECT_TRUE(module.has_value()) << name << ": " << module.error().message();
    if (!module) return Finished{};
    auto snapshot = Snapshot::take("logs", folder_);
    EXPECT_TRUE(snapshot.has_value());
    RunSpec spec;
    spec.module = *module;
    spec.limits = with;
    spec.datasets = {*snapshot};
    spec.inputs.emplace("args", to_bytes(args));
    spec.inputs.emplace("stdin", to_bytes(std::string_view("one two two\nthree three three\n")));
    spec.seed = 1;
    auto started = (*runner)->start(std::move(spec));
    EXPECT_TRUE(started.has_value());
    return async::run_until_done(context_, drain(*std::move(started)), std::chrono::seconds(120));
  }

  boost::asio::io_context context_;
  fs::path folder_;
};

#define NMP_OR_SKIP(var, expression)                                                   \
  const auto var##_maybe = expression;                                                 \
  if (!var##_maybe) GTEST_SKIP() << "the filter is not built: scripts/build makes it"; \
  const auto& var = *var##_maybe

void expect_well(const Finished& out) {
  EXPECT_FALSE(out.result.error.has_value()) << out.result.error->message() << out.diagnostics;
  EXPECT_FALSE(out.evidence.empty());
}
void expect_end(const Finished& out, Errc code) {
  ASSERT_TRUE(out.result.error.has_value());
  EXPECT_EQ(out.result.error->code, code) << out.result.error->message() << out.diagnostics;
}

TEST_F(FiltersTest, LogScan) {
  NMP_OR_SKIP(out, run("log_scan", "--level\nERROR\n--extract\n5"));
  expect_well(out);
  EXPECT_EQ(out.events, 5U);
}
TEST_F(FiltersTest, CsvAggregate) {
  NMP_OR_SKIP(out, run("csv_aggregate", "--file\npatients.csv\n--by\narms\n--mean\ndays"));
  expect_well(out);
}
TEST_F(FiltersTest, Survival) {
  NMP_OR_SKIP(out, run("km_survival", "--file\npatients.csv"));
  expect_well(out);
}
TEST_F(FiltersTest, GoWordcount) {
  NMP_OR_SKIP(out, run("go_wordcount", "logs"));
  expect_well(out);
}
TEST_F(FiltersTest, RustLinecount) {
  NMP_OR_SKIP(out, run("rust_linecount", "logs"));
  expect_well(out);
}
TEST_F(FiltersTest, Watchdog) {
  NMP_OR_SKIP(out, run("watchdog", "--from\nstart\n--rounds\n2\n--every\n10\n--contains\nmessage 99"));
  EXPECT_FALSE(out.result.error.has_value());
  EXPECT_EQ(out.events, 11U);  // 99 and 990 to 999
}
TEST_F(FiltersTest, RowThief) {
  NMP_OR_SKIP(out, run("row_thief", ""));
  expect_end(out, Errc::output_limit);
  EXPECT_LE(out.evidence.size(), limits().output_bytes);
}
TEST_F(FiltersTest, MemoryBomb) {
  NMP_OR_SKIP(out, run("memory_bomb", ""));
  expect_end(out, Errc::memory_limit);
  EXPECT_LE(out.result.used.memory_bytes, limits().memory_bytes);
}
TEST_F(FiltersTest, EndlessLoop) {
  auto with = limits();
  with.fuel = 100'000'000;
  NMP_OR_SKIP(out, run("endless_loop", "", with));
  expect_end(out, Errc::fuel_exhausted);
}

}  // namespace
}  // namespace nmp::sandbox
