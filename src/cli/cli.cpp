#include "cli/cli.hpp"

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "cli/commands.hpp"
#include "cli/mesh.hpp"
#include "cli/parse.hpp"

namespace nmp::cli {
namespace {

struct Dispatch {
  Output& output;
  int operator()(const NodeOptions& options) const { return run_node(options, output); }
  int operator()(const PingOptions& options) const { return run_ping(options, output); }
  int operator()(const FindOptions& options) const { return run_find(options, output); }
  int operator()(const DescribeOptions& options) const { return run_describe(options, output); }
  int operator()(const RunOptions& options) const { return run_run(options, output); }
  int operator()(const WatchStartOptions& options) const { return run_watch_start(options, output); }
  int operator()(const WatchRequestOptions& options) const { return run_watch_request(options, output); }
  int operator()(const KeyOptions& options) const { return run_key(options, output); }
  int operator()(const VerifyOptions& options) const { return run_verify(options, output); }
  int operator()(const ConfigCheckOptions& options) const { return run_config_check(options, output); }
  int operator()(const FilterNewOptions& options) const { return run_filter_new(options, output); }
  int operator()(const FilterBuildOptions& options) const { return run_filter_build(options, output); }
  int operator()(const FilterCheckOptions& options) const { return run_filter_check(options, output); }
  int operator()(const FilterRunOptions& options) const { return run_filter_run(options, output); }
};

}  // namespace

int main(int argc, const char* const* argv) {
  auto parsed = parse(std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
  if (!parsed.command) {
    std::fputs(parsed.text.c_str(), parsed.exit == kDone ? stdout : stderr);
    return parsed.exit;
  }
  const auto& common = common_of(*parsed.command);
  auto logger = spdlog::stderr_color_st("nmp");
  logger->set_level(common.verbose ? spdlog::level::debug : spdlog::level::info);
  // Agents talk to people; only a node's log is a log.
  if (!common.verbose && !std::holds_alternative<NodeOptions>(*parsed.command)) logger->set_level(spdlog::level::warn);
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
  spdlog::set_default_logger(std::move(logger));
  Output output({.json = common.json});
  return std::visit(Dispatch{output}, *parsed.command);
}

}  // namespace nmp::cli
