#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/output.hpp"
#include "cli/parse.hpp"

namespace nmp::cli {
namespace {

constexpr auto kPeer = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
std::string address() { return std::string("/ip4/192.0.2.7/udp/4001/quic-v1/p2p/") + kPeer; }
std::string filter() {
  return std::string(NMP_SOURCE_DIR) + "/filters/nmp.h";
}  // any file: parsing does not look inside

TEST(Parse, RunKnowsItsOptions) {
  auto parsed = parse({"run", "log-scan", filter(), "--input", "args=--level\nERROR", "--input", "empty=", "--memory",
                       "16MiB", "--all", "--bootstrap", address(), "--timeout", "5s", "--json", "--state", "/tmp/x"});
  ASSERT_TRUE(parsed.command) << parsed.text;
  const auto& run = std::get<RunOptions>(*parsed.command);
  EXPECT_EQ(run.capability, "log-scan");
  EXPECT_EQ(text_of(run.inputs.at("args")), "--level\nERROR");
  EXPECT_EQ(run.limits.memory_bytes, 16U << 20);
  EXPECT_EQ(run.limits.fuel, core::kNoCeiling);
  EXPECT_EQ(run.mesh.bootstrap.size(), 1U);
  EXPECT_EQ(run.mesh.timeout, std::chrono::seconds(5));
  EXPECT_TRUE(run.all && run.common.json);
  EXPECT_EQ(run.common.state, "/tmp/x");
}

TEST(Parse, MistakesAreUsage) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"fly"},
      {"run", "log-scan"},
      {"run", "LOG", filter()},
      {"run", "a", "/nonexistent.wasm"},
      {"run", "a", filter(), "--input", "x"},
      {"run", "a", filter(), "--input", "x=1", "--input", "x=2"},
      {"run", "a", filter(), "--memory", "lots"},
      {"run", "a", filter(), "--fuel", "1MiB"},
      {"run", "a", filter(), "--require", "trust"},
      {"run", "a", filter(), "--all", "--node", kPeer},
      {"ping", "/ip4/192.0.2.7/udp/4001/quic-v1"},
      {"ping", kPeer, "-n", "0"},
      {"node", "--listen", "/ip4/1.2.3.4/tcp/1/wss"},
      {"verify", "r", "--commitment", "00"},
      {"key"},
      {"config", "check"},
      {"filter", "run", filter(), "--data", "a", "--data", "b"},
  };
  for (const auto& arguments : wrong) {
    auto parsed = parse(arguments);
    EXPECT_FALSE(parsed.command) << testing::PrintToString(arguments);
    EXPECT_EQ(parsed.exit, kUsage) << testing::PrintToString(arguments);
    EXPECT_THAT(parsed.text, testing::HasSubstr("--help"));
  }
}

TEST(Parse, AnUnknownCommandIsNamedWithTheOneThatWasMeant) {
  auto parsed = parse({"descibe", "x"});
  EXPECT_EQ(parsed.exit, kUsage);
  EXPECT_EQ(parsed.text, "nmp: there is no command \"descibe\"; did you mean describe?\nTry: nmp --help\n");
  EXPECT_THAT(parse({"frobnicate"}).text, testing::Not(testing::HasSubstr("did you mean")));
  EXPECT_THAT(parse({"x"}).text, testing::Not(testing::HasSubstr("did you mean")));
  parsed = parse({std::string("\x1b[31m") + std::string(1U << 20, 'r')});
  EXPECT_EQ(parsed.exit, kUsage);
  EXPECT_LT(parsed.text.size(), 300U);
  EXPECT_THAT(parsed.text, testing::Not(testing::HasSubstr("\x1b")));
}

TEST(Parse, APlannedCommandIsNotAvailable) {
  auto parsed = parse({"prove", "1"});
  EXPECT_EQ(parsed.exit, kRefused);
  EXPECT_EQ(parsed.text,
            "nmp: prove: not available: zero-knowledge proofs are not part of this build\nTry: nmp --help\n");
}

TEST(Parse, EveryCommandHasExamples) {
  const std::vector<std::vector<std::string>> commands = {{"node"},
                                                          {"run"},
                                                          {"find"},
                                                          {"describe"},
                                                          {"ping"},
                                                          {"key", "show"},
                                                          {"key", "new"},
                                                          {"verify"},
                                                          {"config", "check"},
                                                          {"filter", "new"},
                                                          {"filter", "build"},
                                                          {"filter", "check"},
                                                          {"filter", "inspect"},
                                                          {"filter", "run"}};
  for (auto arguments : commands) {
    arguments.emplace_back("--help");
    auto parsed = parse(arguments);
    EXPECT_EQ(parsed.exit, kDone);
    EXPECT_THAT(parsed.text, testing::HasSubstr("Examples:")) << testing::PrintToString(arguments);
  }
}

TEST(Parse, DescribeTellsNamesFromPeers) {
  EXPECT_EQ(std::get<DescribeOptions>(*parse({"describe", "log-scan"}).command).subject.index(), 0U);
  EXPECT_EQ(std::get<DescribeOptions>(*parse({"describe", kPeer}).command).subject.index(), 1U);
  EXPECT_EQ(std::get<DescribeOptions>(*parse({"describe", address()}).command).subject.index(), 2U);
}

TEST(Output, HumanBytes) {
  EXPECT_EQ(human_bytes(999), "999 bytes");
  EXPECT_EQ(human_bytes(1234), "1.2 kB");
  EXPECT_EQ(human_bytes(2'500'000), "2.5 MB");
}

}  // namespace
}  // namespace nmp::cli
