#include "cli/mesh.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/async/main_loop.hpp"
#include "base/async/task_group.hpp"
#include "base/encoding.hpp"
#include "cli/agent_command.hpp"
#include "cli/mesh_support.hpp"
#include "cli/run_printer.hpp"
#include "client/agent.hpp"
#include "core/did.hpp"
#include "crypto/random.hpp"
#include "libp2p/peer/key_file.hpp"
#include "server/node.hpp"

namespace nmp::cli {

namespace {

using nlohmann::json;

json addresses_of(const std::vector<libp2p::Multiaddr>& addresses, const libp2p::PeerId& peer) {
  auto list = json::array();
  for (const auto& address : addresses) list.push_back(address.with_peer(peer).to_text());
  return list;
}

// --- node
// --------------------------------------------------------------------------------------------------------------------

async::Awaitable<int> node_main(async::MainLoop& loop, server::NodeOptions options, Output& output) {
  auto node = co_await server::Node::start(loop.executor(), std::move(options));
  if (!node) co_return output.failure(kUsage, "node_failed", node.error().message());
  auto ready = (*node)->ready();
  json line{
      {"event", "ready"}, {"peer_id", ready.peer.to_text()}, {"addrs", json::array()}, {"peers", ready.peers_joined}};
  for (const auto& address : ready.addresses) line["addrs"].push_back(address.to_text());
  if (ready.tcp) line["tcp"] = *ready.tcp;
  output.object(line);
  output.line(output.bold("ready") + "  " + ready.peer.to_text());
  for (const auto& address : ready.addresses) output.line("  " + address.to_text());
  if (ready.tcp) output.line("  gRPC without libp2p, loopback only: " + *ready.tcp);
  co_await loop.until_interrupted();
  co_await (*node)->close();
  co_return kDone;
}

// --- ping
// --------------------------------------------------------------------------------------------------------------------

async::Awaitable<Result<int>> ping_peer(client::Agent& agent,
                                        const PingOptions& options,
                                        Output& output,
                                        Instant deadline) {
  auto peer = co_await resolve(agent, options.node, deadline);
  if (!peer) co_return output.failure(peer.error().reason->exit, peer.error().reason->reason, peer.error().message);
  auto id = peer->id;
  auto connected = co_await agent.host().connect(std::move(*peer), deadline);
  if (!connected) co_return output.failure(kNobody, "nobody_reachable", connected.error().message());
  for (std::uint32_t i = 0; i < options.count; ++i) {
    auto rtt = co_await agent.host().ping(id, deadline);
    if (!rtt) co_return output.failure(kNobody, "nobody_reachable", rtt.error().message());
    auto ms = std::chrono::duration<double, std::milli>(*rtt).count();
    output.object({{"event", "pong"}, {"peer_id", id.to_text()}, {"ms", ms}});
    output.line(fmt::format("{} answered in {:.3f} ms", id.to_text(), ms));
  }
  co_return kDone;
}

// --- find
// --------------------------------------------------------------------------------------------------------------------

async::Awaitable<Result<int>> find_providers(client::Agent& agent,
                                             const FindOptions& options,
                                             Output& output,
                                             Instant deadline) {
  if (auto joined = co_await agent.join(deadline); !joined)
    co_return output.failure(joined.error().reason->exit, joined.error().reason->reason, joined.error().message);
  std::vector<std::vector<std::string>> rows{{"PEER", "ADDRESS"}};
  auto report = [&](const libp2p::PeerInfo& peer) {
    output.object(
        {{"event", "provider"}, {"peer_id", peer.id.to_text()}, {"addrs", addresses_of(peer.addresses, peer.id)}});
    rows.push_back({peer.id.to_text(), peer.addresses.empty() ? "" : peer.addresses.front().to_text()});
    return true;
  };
  libp2p::Dht::ProviderFound found = report;
  auto providers = co_await agent.find(options.capability, options.count, std::move(found), deadline);
  if (!providers)
    co_return output.failure(providers.error().reason->exit, providers.error().reason->reason,
                             providers.error().message);
  const auto& stats = agent.dht().last_stats();
  output.object(
      {{"event", "lookup"}, {"found", providers->size()}, {"hops", stats.hops}, {"messages", stats.messages}});
  output.table(rows);
  co_return kDone;
}

// --- describe
// ----------------------------------------------------------------------------------------------------------------

void show_manifest(const core::Manifest& manifest, Output& output) {
  json line{
      {"event", "manifest"},         {"peer_id", manifest.node.to_text()},         {"seq", manifest.seq},
      {"expires", manifest.expires}, {"software", escape_text(manifest.software)}, {"capabilities", json::array()},
      {"datasets", json::array()}};
  output.line(output.bold(manifest.node.to_text()) + "  " + escape_text(manifest.software));
  for (const auto& capability : manifest.capabilities) {
    json entry{{"name", capability.name},
               {"description", escape_text(capability.description)},
               {"open", capability.open},
               {"datasets", capability.datasets},
               {"limits", limits_json(capability.limits)}};
    // Schemas are the node's own words: data, never instructions.
    if (!capability.input_schema.empty()) entry["inputs_schema"] = escape_text(capability.input_schema, 16384);
    if (!capability.evidence_schema.empty()) entry["evidence_schema"] = escape_text(capability.evidence_schema, 16384);
    entry["receipt_kinds"] = json::array();
    for (auto kind : capability.receipt_kinds) entry["receipt_kinds"].push_back(core::to_text(kind));
    line["capabilities"].push_back(std::move(entry));
    output.line(fmt::format("  {}{}  {}", capability.name, capability.open ? " (open)" : "",
                            escape_text(capability.description)));
    output.line(fmt::format("    up to {} of memory, {} fuel, {:.1f} s, {} of answer",
                            human_bytes(capability.limits.memory_bytes), capability.limits.fuel,
                            static_cast<double>(capability.limits.wall_time_ms) / 1000,
                            human_bytes(capability.limits.output_bytes)));
  }
  for (const auto& dataset : manifest.datasets) {
    line["datasets"].push_back({{"name", dataset.name}, {"description", escape_text(dataset.description)}});
    output.line(fmt::format("  dataset {}  {}", dataset.name, escape_text(dataset.description)));
  }
  output.object(line);
}

async::Awaitable<Result<int>> describe(client::Agent& agent,
                                       const DescribeOptions& options,
                                       Output& output,
                                       Instant deadline) {
  std::vector<libp2p::PeerInfo> nodes;
  if (const auto* capability = std::get_if<std::string>(&options.subject)) {
    if (auto joined = co_await agent.join(deadline); !joined)
      co_return output.failure(joined.error().reason->exit, joined.error().reason->reason, joined.error().message);
    auto found = co_await agent.find(*capability, 0, libp2p::Dht::ProviderFound(), deadline);
    if (!found)
      co_return output.failure(found.error().reason->exit, found.error().reason->reason, found.error().message);
    nodes = std::move(*found);
  } else {
    NodeName name = std::holds_alternative<libp2p::PeerId>(options.subject)
                        ? NodeName(std::get<libp2p::PeerId>(options.subject))
                        : NodeName(std::get<libp2p::Multiaddr>(options.subject));
    auto peer = co_await resolve(agent, name, deadline);
    if (!peer) co_return output.failure(peer.error().reason->exit, peer.error().reason->reason, peer.error().message);
    nodes.push_back(std::move(*peer));
  }
  int code = kNobody;
  for (auto& node : nodes) {
    auto manifest = co_await agent.manifest(node, deadline);
    if (manifest) {
      show_manifest(manifest->manifest, output);
      code = kDone;
    } else {
      (void)output.failure(kNobody, manifest.error().reason->reason,
                           node.id.to_text() + ": " + manifest.error().message);
    }
  }
  co_return code;
}

// --- run
// ---------------------------------------------------------------------------------------------------------------------

/// Of the nodes that were asked, how it went; the command's exit code follows.
struct Tally {
  int answered = 0;
  int failed = 0;
  std::optional<int> first_failure;
};

async::Awaitable<void> run_on(client::Agent& agent,
                              libp2p::PeerInfo node,
                              const client::RunRequest& request,
                              Instant deadline,
                              RunPrinter& printer,
                              Tally& tally,
                              const RunOptions& options,
                              Output& output) {
  auto id = node.id;
  auto outcome = co_await agent.run(std::move(node), request, deadline, printer);
  if (!outcome) {
    ++tally.failed;
    const auto& why = outcome.error();
    if (!tally.first_failure) tally.first_failure = why.reason->exit;
    // By us: agent_main says so, once.
    if (why.reason->reason == "cancelled" && !why.from_node) co_return;
    if (options.all && output.json()) {
      output.object({{"event", "failed"},
                     {"peer_id", id.to_text()},
                     {"reason", why.reason->reason},
                     {"explanation", escape_text(why.message, 1024)}});
    } else {
      (void)output.failure(why.reason->exit, why.reason->reason,
                           escape_text((options.all ? id.to_text() + ": " : "") + why.message, 1024));
    }
    co_return;
  }
  co_await printer.outcome(*outcome);
  if (outcome->reason.empty()) {
    ++tally.answered;
  } else {
    ++tally.failed;
    if (!tally.first_failure) tally.first_failure = exit_of(outcome->reason);
  }
  if (options.receipt_out && !outcome->receipt.empty()) {
    auto path = *options.receipt_out;
    if (options.all) path += "." + id.to_text();
    if (auto written = write_file(path, base64_encode(outcome->receipt) + "\n"); !written)
      (void)output.failure(kUsage, "io", written.error().message());
  }
}

async::Awaitable<Result<int>> run_filter(client::Agent& agent,
                                         const RunOptions& options,
                                         Output& output,
                                         Instant deadline) {
  client::RunRequest request;
  request.capability = options.capability;
  request.module = options.module;
  request.inputs = options.inputs;
  request.limits = options.limits;
  request.require = options.require;
  request.grant = options.grant;
  request.pinned = options.node.has_value();
  RunPrinter printer(output);
  Tally tally;

  if (options.node) {
    auto peer = co_await resolve(agent, *options.node, deadline);
    if (!peer) co_return output.failure(peer.error().reason->exit, peer.error().reason->reason, peer.error().message);
    co_await run_on(agent, std::move(*peer), request, deadline, printer, tally, options, output);
    co_return tally.first_failure.value_or(kDone);
  }
  if (!options.all) {
    auto node = co_await first_reachable(agent, options.capability, deadline);
    if (!node) co_return output.failure(node.error().reason->exit, node.error().reason->reason, node.error().message);
    co_await run_on(agent, std::move(*node), request, deadline, printer, tally, options, output);
    co_return tally.first_failure.value_or(kDone);
  }

  if (auto joined = co_await agent.join(deadline); !joined)
    co_return output.failure(joined.error().reason->exit, joined.error().reason->reason, joined.error().message);
  // One task per provider, each started as it is found.
  async::TaskGroup tasks(agent.host().executor());
  libp2p::Dht::ProviderFound start = [&](const libp2p::PeerInfo& node) {
    tasks.spawn(run_on(agent, node, request, deadline, printer, tally, options, output));
    return true;
  };
  auto found = co_await agent.find(options.capability, 0, std::move(start), deadline);
  auto joined = co_await join_tasks(tasks);
  co_await tasks.close();
  if (!joined) co_return fail(joined.error());
  if (!found) co_return output.failure(found.error().reason->exit, found.error().reason->reason, found.error().message);
  if (!output.json() && tally.failed > 0)
    std::fputs(fmt::format("{} of {} providers answered\n", tally.answered, tally.answered + tally.failed).c_str(),
               stderr);
  co_return tally.answered > 0 ? kDone : tally.first_failure.value_or(kNobody);
}

}  // namespace

int run_node(const NodeOptions& options, Output& output) {
  auto node_options = make_node_options(options);
  if (!node_options) return output.failure(kUsage, "bad_configuration", node_options.error().message());
  async::MainLoop loop;
  return loop.run(node_main(loop, std::move(*node_options), output));
}

int run_ping(const PingOptions& options, Output& output) {
  return with_agent<PingOptions>(options, {}, output, &ping_peer);
}
int run_find(const FindOptions& options, Output& output) {
  return with_agent<FindOptions>(options, {}, output, &find_providers);
}
int run_describe(const DescribeOptions& options, Output& output) {
  return with_agent<DescribeOptions>(options, {}, output, &describe);
}
int run_run(const RunOptions& options, Output& output) {
  return with_agent<RunOptions>(options, options.key_log, output, &run_filter);
}

}  // namespace nmp::cli
