#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/encoding.hpp"
#include "cli/commands.hpp"
#include "cli/tree.hpp"
#include "server/config.hpp"

namespace nmp::cli {
namespace {

nlohmann::json texts(const std::vector<libp2p::Multiaddr>& addresses) {
  auto list = nlohmann::json::array();
  for (const auto& address : addresses) list.push_back(address.to_text());
  return list;
}

std::string tcp_text(const server::TcpConfig& tcp) {
  if (tcp.unix_path) return "unix:" + tcp.unix_path->string();
  NMP_ASSERT(tcp.loopback);  // of the two exactly one is set
  return fmt::format(fmt::runtime(tcp.loopback->ip.v6 ? "[{}]:{}" : "{}:{}"), tcp.loopback->ip.to_text(),
                     tcp.loopback->port);
}

/// Null: scaled to the machine.
template <class T>
nlohmann::json given(const std::optional<T>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json();
}

nlohmann::json json_of(const server::Config& config) {
  nlohmann::json json{{"listen", texts(config.listen)},
                      {"bootstrap", texts(config.bootstrap)},
                      {"state", config.state ? nlohmann::json(config.state->string()) : nlohmann::json()},
                      {"tcp", config.tcp ? nlohmann::json(tcp_text(*config.tcp)) : nlohmann::json()},
                      {"limits",
                       {{"sessions", config.limits.sessions},
                        {"sessions_per_caller", config.limits.sessions_per_caller},
                        {"request", config.limits.request_bytes},
                        {"runs", config.limits.runs},
                        {"worker_threads", config.limits.worker_threads},
                        {"code_cache", config.limits.code_cache_bytes},
                        {"connections", given(config.limits.connections)},
                        {"connections_per_address", given(config.limits.connections_per_address)},
                        {"streams_per_peer", given(config.limits.streams_per_peer)},
                        {"network_memory", given(config.limits.network_memory_bytes)}}},
                      {"datasets", nlohmann::json::array()},
                      {"capabilities", nlohmann::json::array()}};
  for (const auto& dataset : config.datasets)
    json["datasets"].push_back({{"name", dataset.name},
                                {"description", dataset.description},
                                {"path", dataset.path.string()},
                                {"commit", dataset.commit}});
  for (const auto& capability : config.capabilities) {
    const auto& limits = capability.limits;
    json["capabilities"].push_back({{"name", capability.name},
                                    {"description", capability.description},
                                    {"datasets", capability.datasets},
                                    {"open", capability.open},
                                    {"memory", limits.memory_bytes},
                                    {"fuel", limits.fuel},
                                    {"wall_time_ms", limits.wall_time_ms},
                                    {"output", limits.output_bytes},
                                    {"event_bytes", limits.event_bytes},
                                    {"events", limits.events},
                                    {"diagnostics", limits.diagnostic_bytes},
                                    {"inputs", limits.input_bytes},
                                    {"runs_per_session", capability.runs_per_session}});
  }
  return json;
}

void print(const server::Config& config, Output& output) {
  for (const auto& address : config.listen) output.line("listen      " + address.to_text());
  for (const auto& address : config.bootstrap) output.line("bootstrap   " + address.to_text());
  if (config.state) output.line("state       " + config.state->string());
  if (config.tcp) output.line("plain gRPC  " + tcp_text(*config.tcp));
  output.line(fmt::format("limits      {} sessions ({} a caller), {} runs at a time on {} threads, requests of {}",
                          config.limits.sessions, config.limits.sessions_per_caller, config.limits.runs,
                          config.limits.worker_threads, server::size_text(config.limits.request_bytes)));
  output.line("            compiled filters on the disk: " + (config.limits.code_cache_bytes == 0
                                                                  ? "none, each start compiles anew"
                                                                  : server::size_text(config.limits.code_cache_bytes)));
  const auto& network = config.limits;
  const auto words = [](const auto& value) {
    return value ? std::to_string(*value) : std::string("as the machine allows");
  };
  output.line(fmt::format(
      "network     connections: {}; of one address: {}; streams of a peer: {}; memory: {}", words(network.connections),
      words(network.connections_per_address), words(network.streams_per_peer),
      network.network_memory_bytes ? server::size_text(*network.network_memory_bytes) : "as the machine allows"));
  for (const auto& dataset : config.datasets)
    output.line(fmt::format("dataset     {}: {}{}", dataset.name, escape_text(dataset.path.string(), 1000),
                            dataset.commit ? "" : " (no commitment in receipts)"));
  for (const auto& capability : config.capabilities) {
    const auto& limits = capability.limits;
    output.line(fmt::format("capability  {}{}", capability.name,
                            capability.open ? ": open, anyone may run filters on it" : ""));
    output.line(fmt::format("            datasets {}", fmt::join(capability.datasets, ", ")));
    output.line(fmt::format(
        "            memory {}, fuel {}, wall time {:.3g} s, output {}, {} events of {} together, {} runs a session",
        server::size_text(limits.memory_bytes), limits.fuel, static_cast<double>(limits.wall_time_ms) / 1000,
        server::size_text(limits.output_bytes), limits.events, server::size_text(limits.event_bytes),
        capability.runs_per_session));
    if (!capability.open)
      output.line("            nobody can run it: grants are not available in this build, and it is not open");
  }
}

}  // namespace

void add_config(CLI::App& root, Pending& pending) {
  auto& command = *root.add_subcommand("config", "The node's configuration.");
  command.require_subcommand(1);
  struct Flags {
    ConfigCheckOptions options;
    std::string file;
  };
  auto flags = std::make_shared<Flags>();  // the option declarations and the callback
  auto& check = *command.add_subcommand(
      "check", "Say what a configuration file puts in force, or everything that is wrong with it.");
  check.add_option("FILE", flags->file, "the file; or --config FILE");
  add_common(check, flags->options.common);
  examples(check, "  nmp config check node.toml\n  nmp config check node.toml --json");
  check.callback([flags, &pending] {
    auto& options = flags->options;
    finish(options.common);
    if (flags->file.empty() == !options.common.config) throw CLI::ValidationError("FILE", "name one file");
    options.file = options.common.config ? *options.common.config : std::filesystem::path(flags->file);
    pending.command = options;
  });
}

int run_config_check(const ConfigCheckOptions& options, Output& output) {
  auto parsed = server::read_config(options.file);
  if (!parsed) return output.failure(kUsage, "config", parsed.error().message());
  if (parsed->problems.empty()) {
    output.object({{"event", "config"}, {"config", json_of(parsed->config)}});
    print(parsed->config, output);
    return kDone;
  }
  for (const auto& problem : parsed->problems) {
    output.object({{"event", "problem"},
                   {"line", problem.line},
                   {"column", problem.column},
                   {"key", problem.key},
                   {"words", problem.words}});
    output.line(problem.to_text(options.file.string()));
  }
  return output.failure(kUsage, "config",
                        fmt::format("{}: {} problem{}", options.file.string(), parsed->problems.size(),
                                    parsed->problems.size() == 1 ? "" : "s"));
}

}  // namespace nmp::cli
