#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "libp2p/sim/mesh.hpp"

/// Measures Kademlia in simulated meshes: hops, messages and time of a lookup, what churn does to provider records, and
/// what an adversary captures, with and without each defence. One seed, one result; only `seconds` depends on the
/// machine.
namespace nmp::bench {
namespace {

using namespace std::chrono_literals;
using libp2p::sim::Mesh;
using libp2p::sim::MeshOptions;
using nlohmann::json;

constexpr const char* kUsage =
    "nmp_kad_simulation [--nodes N] [--attacked-nodes N] [--lookups N] [--seed N] [--only TEXT] [--json FILE]\n"
    "  --nodes           of the meshes without an adversary (10000)\n"
    "  --attacked-nodes  of each mesh with one; there are twelve of them (2000)\n";

struct Settings {
  std::size_t nodes = 10'000;
  std::size_t attacked_nodes = 2'000;
  std::size_t lookups = 300;
  std::uint64_t seed = 1;
  std::string only;
  std::string json_file;
};

/// Defences that can be left out.
struct Defences {
  const char* name;
  bool paths;
  bool diversity;
};
constexpr Defences kDefences[] = {
    {"none", false, false}, {"disjoint paths", true, false}, {"diversity limits", false, true}, {"both", true, true}};

MeshOptions with(MeshOptions options, const Defences& defences) {
  if (!defences.paths) options.node.lookup.paths = 1;
  options.node.lookup.diversity = defences.diversity;
  options.node.table.diversity = defences.diversity;
  return options;
}

double percentile(std::vector<double> values, double part) {
  if (values.empty()) return 0;
  auto at = values.begin() + static_cast<std::ptrdiff_t>(part * static_cast<double>(values.size() - 1));
  std::ranges::nth_element(values, at);
  return *at;
}

/// Keys, each provided by one server that stays.
struct Provided {
  std::vector<Bytes> keys;
  std::vector<std::size_t> providers;
};

Provided provide(Mesh& mesh, std::size_t count) {
  Provided provided;
  for (std::size_t i = 0; i < count; ++i) {
    auto provider = mesh.any_server();
    auto key = to_bytes(fmt::format("capability {}", i));
    mesh.protect(provider);
    mesh.provide(provider, key);
    provided.keys.push_back(std::move(key));
    provided.providers.push_back(provider);
  }
  return provided;
}

/// Looks for each key from somewhere; the adversary's answers count as no answer, since it censors.
json look_up(Mesh& mesh, const Provided& provided, std::size_t lookups) {
  std::vector<double> hops, messages, ms;
  std::size_t found = 0;
  for (std::size_t i = 0; i < lookups; ++i) {
    auto which = i % provided.keys.size();
    auto report = mesh.find_providers(mesh.anyone(), provided.keys[which], 1);
    bool right = report.ok && report.providers[0].id == mesh.seat(provided.providers[which]).info.id;
    found += right ? 1 : 0;
    messages.push_back(static_cast<double>(report.stats.messages));
    if (!right) continue;
    hops.push_back(static_cast<double>(report.stats.hops));
    ms.push_back(std::chrono::duration<double, std::milli>(report.stats.duration).count());
  }
  auto mean = [](const std::vector<double>& values) {
    double sum = 0;
    for (auto value : values) sum += value;
    return values.empty() ? 0 : sum / static_cast<double>(values.size());
  };
  return {{"found", static_cast<double>(found) / static_cast<double>(lookups)},
          {"hops_mean", mean(hops)},
          {"hops_p99", percentile(hops, 0.99)},
          {"messages_mean", mean(messages)},
          {"ms_p50", percentile(ms, 0.5)},
          {"ms_p99", percentile(ms, 0.99)}};
}

MeshOptions calm(const Settings& settings) {
  MeshOptions options;
  options.nodes = settings.nodes;
  options.seed = settings.seed;
  options.clients = 0.2;
  options.unreachable = 0.1;
  options.loss = 0.01;
  return options;
}

json size_of(Mesh& mesh) {
  std::vector<double> estimates;
  for (int i = 0; i < 50; ++i)
    if (auto size = mesh.node(mesh.any_server()).network_size().estimate()) estimates.push_back(*size);
  std::size_t servers = 0;
  for (std::size_t i = 0; i < mesh.size(); ++i)
    servers += mesh.alive(i) && mesh.seat(i).kind == libp2p::sim::Kind::server ? 1 : 0;
  return {{"servers", servers}, {"estimate_p50", percentile(estimates, 0.5)}};
}

struct Scenario {
  std::string name;
  std::size_t nodes;
  std::function<json()> run;
};

std::vector<Scenario> scenarios(const Settings& settings) {
  std::vector<Scenario> all;
  for (const auto& defences : {kDefences[0], kDefences[3]})
    all.push_back({fmt::format("calm, defences: {}", defences.name), settings.nodes, [settings, defences] {
                     Mesh mesh(with(calm(settings), defences));
                     auto joined = mesh.messages();
                     auto row = look_up(mesh, provide(mesh, 50), settings.lookups);
                     row["join_messages_mean"] = static_cast<double>(joined) / static_cast<double>(settings.nodes);
                     row["size"] = size_of(mesh);
                     row["messages_in_all"] = mesh.messages();
                     return row;
                   }});
  all.push_back({"50 % churn an hour, after an hour", settings.nodes, [settings] {
                   auto options = calm(settings);
                   options.churn_per_hour = 0.5;
                   options.node.refresh_interval = 30min;
                   Mesh mesh(options);
                   auto provided = provide(mesh, 50);
                   mesh.run_for(1h);
                   auto row = look_up(mesh, provided, settings.lookups);
                   row["messages_in_all"] = mesh.messages();
                   return row;
                 }});
  auto attacked = calm(settings);
  attacked.nodes = settings.attacked_nodes;
  for (auto share : {0.02, 0.2})
    for (const auto& defences : kDefences)
      all.push_back({fmt::format("{:.0f} % of the members sybils, ten times as many named, 16 networks, defences: {}",
                                 100 * share, defences.name),
                     attacked.nodes, [settings, attacked, share, defences] {
                       auto options = with(attacked, defences);
                       options.attackers = share;
                       options.attacker_pool = 10 * attacked.nodes;
                       options.attacker_networks = 16;
                       Mesh mesh(options);
                       return look_up(mesh, provide(mesh, 50), settings.lookups);
                     }});
  for (const auto& defences : kDefences)
    all.push_back({fmt::format("40 identities made for the key, 4 networks, defences: {}", defences.name),
                   attacked.nodes, [settings, attacked, defences] {
                     auto options = with(attacked, defences);
                     options.attackers = 0.02;
                     options.attacker_networks = 4;
                     Mesh mesh(options);
                     Provided provided;
                     for (std::size_t i = 0; i < 5; ++i) {
                       provided.keys.push_back(to_bytes(fmt::format("wanted {}", i)));
                       provided.providers.push_back(mesh.any_server());
                       mesh.besiege(provided.keys[i], 40);
                       mesh.provide(provided.providers[i], provided.keys[i]);
                     }
                     return look_up(mesh, provided, settings.lookups);
                   }});
  std::erase_if(all, [&](const Scenario& one) { return one.name.find(settings.only) == std::string::npos; });
  return all;
}

int run(const Settings& settings) {
  auto all = scenarios(settings);
  std::vector<json> rows(all.size());
  std::atomic<std::size_t> next = 0;
  auto work = [&] {
    for (std::size_t i = next++; i < all.size(); i = next++) {
      auto started = std::chrono::steady_clock::now();
      rows[i] = all[i].run();
      rows[i]["scenario"] = all[i].name;
      rows[i]["nodes"] = all[i].nodes;
      rows[i]["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i) threads.emplace_back(work);
  }
  fmt::print(
      "| scenario | nodes | found | captured or lost | hops mean | hops p99 | messages | ms p50 | ms p99 | seconds "
      "|\n");
  fmt::print("|---|---|---|---|---|---|---|---|---|---|\n");
  for (const auto& row : rows)
    fmt::print("| {} | {} | {:.1f} % | {:.1f} % | {:.2f} | {:.0f} | {:.1f} | {:.0f} | {:.0f} | {:.0f} |\n",
               row["scenario"].get<std::string>(), row["nodes"].get<std::size_t>(), 100 * row["found"].get<double>(),
               100 * (1 - row["found"].get<double>()), row["hops_mean"].get<double>(), row["hops_p99"].get<double>(),
               row["messages_mean"].get<double>(), row["ms_p50"].get<double>(), row["ms_p99"].get<double>(),
               row["seconds"].get<double>());
  json all_rows = {{"seed", settings.seed}, {"lookups", settings.lookups}, {"rows", rows}};
  if (!settings.json_file.empty()) {
    std::ofstream file(settings.json_file);
    file << all_rows.dump(2) << "\n";
    if (!file.flush()) {
      fmt::print(stderr, "cannot write {}\n", settings.json_file);
      return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace nmp::bench

int main(int argc, char** argv) {
  nmp::bench::Settings settings;
  for (int i = 1; i < argc; i += 2) {
    std::string name = argv[i];
    if (i + 1 >= argc) return std::fputs(nmp::bench::kUsage, stderr), 2;
    auto number = [&] { return std::strtoull(argv[i + 1], nullptr, 10); };
    if (name == "--nodes")
      settings.nodes = number();
    else if (name == "--attacked-nodes")
      settings.attacked_nodes = number();
    else if (name == "--lookups")
      settings.lookups = number();
    else if (name == "--seed")
      settings.seed = number();
    else if (name == "--only")
      settings.only = argv[i + 1];
    else if (name == "--json")
      settings.json_file = argv[i + 1];
    else
      return std::fputs(nmp::bench::kUsage, stderr), 2;
  }
  return nmp::bench::run(settings);
}
