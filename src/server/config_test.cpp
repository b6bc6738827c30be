#include "server/config.hpp"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace nmp::server {
namespace {

using testing::HasSubstr;

std::string first_problem(std::string_view toml) {
  auto parsed = parse_config(toml, "/etc/nmp");
  return parsed.problems.empty() ? "none" : parsed.problems[0].to_text("f");
}

TEST(Config, TheSmallestUsefulFile) {
  auto parsed = parse_config(
      R"(
listen = ["/ip4/0.0.0.0/udp/4001/quic-v1"]
bootstrap = ["/ip4/192.0.2.7/udp/4001/quic-v1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"]
[[dataset]]
name = "logs"
path = "/var/log/app"
[[capability]]
name = "log-scan"
datasets = ["logs"]
memory = "64MiB"
fuel = 2_000_000_000
wall_time = "3s"
output = "1MiB"
open = true
[grants]
issuers = []
)",
      "/etc/nmp");
  for (const auto& problem : parsed.problems) ADD_FAILURE() << problem.to_text("f");
  const auto& config = parsed.config;
  EXPECT_EQ(config.listen.size(), 1U);
  EXPECT_TRUE(config.bootstrap.at(0).peer_id());
  EXPECT_EQ(config.dataset("logs")->path, "/var/log/app");
  const auto* capability = config.capability("log-scan");
  ASSERT_NE(capability, nullptr);
  EXPECT_TRUE(capability->open);
  EXPECT_EQ(capability->limits.memory_bytes, 64U << 20);
  EXPECT_EQ(capability->limits.fuel, 2'000'000'000U);
  EXPECT_EQ(capability->limits.wall_time_ms, 3000U);
  EXPECT_TRUE(capability->limits.is_complete());
  EXPECT_FALSE(config.tcp);
}

TEST(Config, NothingGivesTheDefaults) {
  auto parsed = parse_config("", "/");
  EXPECT_TRUE(parsed.problems.empty());
  EXPECT_EQ(parsed.config.listen.size(), 2U);
  EXPECT_EQ(parsed.config.limits.runs, 64U);
  EXPECT_FALSE(parsed.config.limits.connections || parsed.config.limits.network_memory_bytes);
}

TEST(Config, WhatTheNetworkMayTakeIsRead) {
  auto parsed = parse_config(
      "[limits]\nconnections = 10_000\nconnections_per_address = 300\nstreams_per_peer = 20\nnetwork_memory = "
      "\"2GiB\"",
      "/");
  EXPECT_TRUE(parsed.problems.empty());
  const auto& limits = parsed.config.limits;
  EXPECT_EQ(limits.connections, 10'000U);
  EXPECT_EQ(limits.connections_per_address, 300U);
  EXPECT_EQ(limits.streams_per_peer, 20U);
  EXPECT_EQ(limits.network_memory_bytes, 2ULL << 30);
}

TEST(Config, RefusalsNameKeyLineAndColumn) {
  EXPECT_THAT(first_problem("listn = []"), HasSubstr("f:1:1: listn: is not a key here; did you mean \"listen\"?"));
  EXPECT_THAT(first_problem("\n[[capability]]\nname = \"a\"\nmemry = 3"), HasSubstr("f:4:1: capability[0].memry"));
  EXPECT_THAT(first_problem("\n[[capability]]\nname = \"a\"\nmemry = 3"), HasSubstr("\"memory\""));
  EXPECT_THAT(first_problem("[[capability]]\nname = \"a\"\nmemory = \"64 apples\""),
              HasSubstr("f:3:10: capability[0].memory: must be a size"));
  EXPECT_THAT(first_problem("[[capability]]\nname = \"a\"\nmemory = -1"), HasSubstr("must not be negative"));
  EXPECT_THAT(first_problem("[[capability]]\nname = \"a\"\nmemory = \"2GiB\""),
              HasSubstr("must be from 64 KiB to 1 GiB"));
  EXPECT_THAT(first_problem("[[capability]]\nname = \"a\"\nwall_time = true"), HasSubstr("must be a duration"));
  EXPECT_THAT(first_problem("[[capability]]\nname = \"A\""), HasSubstr("capability[0].name: must be 1 to 63"));
  EXPECT_THAT(first_problem("[[capability]]\nopen = true"), HasSubstr("capability[0].name: is required"));
  EXPECT_THAT(first_problem("[[capability]]\nname = \"a\"\nopen = \"yes\""),
              HasSubstr("must be true or false, not text"));
  EXPECT_THAT(first_problem("[[capability]]\nname = \"a\"\ndatasets = [\"x\"]"),
              HasSubstr("no [[dataset]] is named \"x\""));
  EXPECT_THAT(first_problem("[[capability]]\nname = \"a\"\n[[capability]]\nname = \"a\""),
              HasSubstr("f:4:8: capability[1].name"));
  EXPECT_THAT(first_problem("[[capability]]\nname = \"a\"\ninputs_schema = \"{\""), HasSubstr("JSON-Schema"));
  EXPECT_THAT(first_problem("[capability]\nname = \"a\""), HasSubstr("must be written [[capability]]"));
  EXPECT_THAT(first_problem("[[dataset]]\nname = \"a\""), HasSubstr("dataset[0].path: is required"));
  EXPECT_THAT(first_problem("listen = [\"/ip4/1.2.3.4/tcp/1/wss\"]"),
              HasSubstr("f:1:11: listen: \"/ip4/1.2.3.4/tcp/1/wss\" is not of the form"));
  EXPECT_EQ(first_problem("listen = [\"/ip4/1.2.3.4/tcp/1/ws\"]"), "none");
  EXPECT_THAT(first_problem("listen = [\"/dnsaddr/example.com\"]"), HasSubstr("is not of the form"));
  EXPECT_THAT(first_problem("listen = [\"/dns4/example.com/tcp/1\"]"), HasSubstr("not a name"));
  EXPECT_THAT(first_problem("bootstrap = [\"/dnsaddr/example.com\"]"), HasSubstr("must end in /p2p/"));
  EXPECT_EQ(first_problem("bootstrap = [\"/dnsaddr/example.com/p2p/"
                          "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq\"]"),
            "none");
  EXPECT_THAT(first_problem("listen = [3]"), HasSubstr("must hold text only"));
  EXPECT_THAT(first_problem("bootstrap = [\"/ip4/1.2.3.4/udp/1/quic-v1\"]"), HasSubstr("must end in /p2p/"));
  EXPECT_THAT(first_problem("[grants]\nissuers = [\"did:key:z\"]"), HasSubstr("grants are not available"));
  EXPECT_THAT(first_problem("[limits]\nruns = 0"), HasSubstr("must be from 1 to 1024"));
  EXPECT_THAT(first_problem("[limits]\nconnections = 15"), HasSubstr("must be from 16 to 1000000"));
  EXPECT_THAT(first_problem("[limits]\nconnections_per_address = 0"), HasSubstr("must be from 1 to 1000000"));
  EXPECT_THAT(first_problem("[limits]\nstreams_per_peer = 7"), HasSubstr("must be from 8 to 1000000"));
  EXPECT_THAT(first_problem("[limits]\nnetwork_memory = \"63MiB\""), HasSubstr("must be from 64 MiB to 1 TiB"));
  EXPECT_THAT(first_problem("a = = 1"), HasSubstr("f:1:5"));
  EXPECT_THAT(first_problem("listen = [\n"), HasSubstr("f:1:"));
}

TEST(Config, AllProblemsAtOnce) {
  auto parsed = parse_config("listn = 1\nbootstrp = 2\n[tcp]\n", "/");
  EXPECT_EQ(parsed.problems.size(), 3U);
}

TEST(Config, PlainTcpIsLoopbackOrUnix) {
  EXPECT_EQ(first_problem("[tcp]\nlisten = \"127.0.0.1:0\""), "none");
  EXPECT_EQ(first_problem("[tcp]\nlisten = \"[::1]:50051\""), "none");
  EXPECT_EQ(parse_config("[tcp]\nlisten = \"unix:g.sock\"", "/run/nmp").config.tcp->unix_path, "/run/nmp/g.sock");
  for (auto text : {"0.0.0.0:1", "192.0.2.1:1", "[::]:1"}) {
    EXPECT_THAT(first_problem(std::string("[tcp]\nlisten = \"") + text + "\""), HasSubstr("must be a loopback address"))
        << text;
  }
  for (auto text :
       {"localhost:1", "127.0.0.1", "::1:5", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:", "unix:", ":1"}) {
    EXPECT_THAT(first_problem(std::string("[tcp]\nlisten = \"") + text + "\""), HasSubstr("f:2:10: tcp.listen"))
        << text;
  }
}

TEST(Config, SizesAndDurations) {
  EXPECT_EQ(parse_size("64MiB").value(), 64U << 20);
  EXPECT_EQ(parse_size("1.5KiB").value(), 1536U);
  EXPECT_EQ(parse_size("10 kB").value(), 10'000U);
  EXPECT_EQ(parse_size("1_000").value(), 1000U);
  for (auto text :
       {"", "MiB", "1.5", "-1", "1 Mib", "1..5kB", "1e3", "99999999999999999999", "9999999TiB", "0.0000001kB"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
  using namespace std::chrono_literals;
  EXPECT_EQ(parse_duration("3s").value(), 3s);
  EXPECT_EQ(parse_duration("1.5s").value(), 1500ms);
  EXPECT_EQ(parse_duration("2m").value(), 2min);
  EXPECT_EQ(parse_duration("7").value(), 7s);
  for (auto text : {"", "s", "0.5ms", "3 days", "999999999h"}) EXPECT_FALSE(parse_duration(text)) << text;
  EXPECT_EQ(size_text(64U << 20), "64 MiB");
  EXPECT_EQ(size_text(1000), "1000 bytes");
}

TEST(Config, FilesAreReadWithinBounds) {
  const auto folder = std::filesystem::temp_directory_path() / ("nmp-config-test-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder / "logs");
  std::ofstream(folder / "a.toml") << "[[dataset]]\nname = \"logs\"\npath = \"logs\"\n";
  auto config = load_config(folder / "a.toml");
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->datasets[0].path, folder / "logs");
  std::ofstream(folder / "b.toml") << "[[dataset]]\nname = \"logs\"\npath = \"nowhere\"\n";
  EXPECT_THAT(load_config(folder / "b.toml").error().context, HasSubstr("dataset[0].path"));
  EXPECT_EQ(load_config(folder / "c.toml").error().code, Errc::not_found);
  EXPECT_EQ(load_config(folder).error().code, Errc::io);
  std::ofstream(folder / "d.toml") << std::string(kConfigBytesMax + 1, '#');
  EXPECT_EQ(load_config(folder / "d.toml").error().code, Errc::too_large);
  std::filesystem::remove_all(folder);
}

TEST(Config, Watchdogs) {
  const std::string capability = "[[capability]]\nname = \"c\"\n";
  auto parsed = parse_config(capability, "/etc/nmp");
  EXPECT_FALSE(parsed.config.capability("c")->watch);
  parsed = parse_config(capability + "[capability.watch]\n", "/etc/nmp");
  EXPECT_TRUE(parsed.problems.empty());
  const auto policy = parsed.config.capability("c")->watch.value();
  EXPECT_EQ(policy.fuel_per_day, 100'000'000'000U);
  EXPECT_EQ(policy.life_seconds, 30U * 86'400);
  EXPECT_EQ(policy.when_full, core::WhenFull::hold);
  parsed = parse_config(capability + R"([capability.watch]
fuel_per_day = 5
life = "2h"
when_full = "drop-oldest"
[limits]
watchdogs = 12
watchdogs_per_caller = 3
code_cache = "64MiB"
)",
                        "/etc/nmp");
  EXPECT_TRUE(parsed.problems.empty());
  EXPECT_EQ(parsed.config.capability("c")->watch,
            (core::WatchPolicy{.fuel_per_day = 5, .life_seconds = 7200, .when_full = core::WhenFull::drop_oldest}));
  EXPECT_EQ(parsed.config.limits.watchdogs, 12U);
  EXPECT_EQ(parsed.config.limits.watchdogs_per_caller, 3U);
  EXPECT_EQ(parsed.config.limits.code_cache_bytes, 64U << 20);
  EXPECT_THAT(first_problem(capability + "[capability.watch]\nwhen_full = \"explode\"\n"),
              HasSubstr("capability[0].watch.when_full: must be \"hold\" or \"drop-oldest\""));
  EXPECT_THAT(first_problem(capability + "[capability.watch]\nfuel_per_dya = 3\n"),
              HasSubstr("did you mean \"fuel_per_day\""));
  EXPECT_THAT(first_problem(capability + "watch = true\n"), HasSubstr("must be a table"));
  EXPECT_THAT(first_problem("[[capability]]\nname = \"nmp.watch\"\n"), HasSubstr("is kept for"));
}

}  // namespace
}  // namespace nmp::server
