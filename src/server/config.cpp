#include "server/config.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <limits>
#include <set>
#include <span>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <toml++/toml.h>

#include "base/encoding.hpp"
#include "core/capability.hpp"
#include "core/limits.hpp"

namespace nmp::server {
namespace {

/// Connections or streams that a file may ask for.
constexpr std::uint64_t kNetworkCountMax = 1'000'000;
constexpr std::uint64_t kIntegerMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
constexpr std::size_t kTextShownMax = 80;

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
constexpr std::array kSizes = {
    Unit{"", 1},
    Unit{"B", 1},
    Unit{"kB", 1000},
    Unit{"KB", 1000},
    Unit{"MB", 1'000'000},
    Unit{"GB", 1'000'000'000},
    Unit{"TB", 1'000'000'000'000},
    Unit{"KiB", 1ULL << 10},
    Unit{"MiB", 1ULL << 20},
    Unit{"GiB", 1ULL << 30},
    Unit{"TiB", 1ULL << 40},
};
constexpr std::array kDurations = {Unit{"", 1000}, Unit{"ms", 1}, Unit{"s", 1000}, Unit{"m", 60'000},
                                   Unit{"h", 3'600'000}};
constexpr std::uint64_t kDurationMax = 10ULL * 366 * 24 * 3'600'000;

/// DIGITS[.DIGITS][ ]UNIT with exact arithmetic; what is below one unit of the result is refused.
Result<std::uint64_t> parse_quantity(std::string_view text, std::span<const Unit> units, std::uint64_t most) {
  std::size_t i = 0;
  std::uint64_t number = 0;
  std::uint64_t scale = 1;
  bool point = false;
  bool digits = false;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '_' && digits) continue;
    if (c == '.' && digits && !point) {
      point = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    digits = true;
    if (number > kIntegerMax / 10 - 1 || (point && scale > 1'000'000)) return fail(Errc::too_large, "too many digits");
    number = number * 10 + static_cast<std::uint64_t>(c - '0');
    if (point) scale *= 10;
  }
  if (!digits) return fail(Errc::malformed, "does not begin with a number");
  auto name = text.substr(i);
  if (name.starts_with(' ')) name.remove_prefix(1);
  const auto unit = std::ranges::find(units, name, &Unit::name);
  if (unit == units.end()) {
    std::string known;
    for (const auto& u : units) {
      if (!u.name.empty()) known += fmt::format("{}{}", known.empty() ? "" : ", ", u.name);
    }
    return fail(Errc::malformed, fmt::format("unit \"{}\" is none of {}", escape_text(name, kTextShownMax), known));
  }
  unsigned __int128 value = static_cast<unsigned __int128>(number) * unit->factor;
  if (value % scale != 0) return fail(Errc::malformed, "is not a whole number of the smallest unit");
  value /= scale;
  if (value > most) return fail(Errc::too_large, "is too large");
  return static_cast<std::uint64_t>(value);
}

/// Levenshtein's distance, for "did you mean".
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return row.back();
}

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table: return "a table";
    case toml::node_type::array: return "an array";
    case toml::node_type::string: return "text";
    case toml::node_type::integer: return "an integer";
    case toml::node_type::floating_point: return "a number with a point";
    case toml::node_type::boolean: return "true or false";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time: return "a date or time";
    case toml::node_type::none: break;
  }
  return "nothing";
}

/// Reads one table: each key is taken at most once, and what is left at the end is unknown.
class Table {
 public:
  Table(const toml::table& table, std::string path, std::vector<ConfigProblem>& problems)
      : table_(table), path_(std::move(path)), problems_(problems) {}

  [[nodiscard]] std::string key(std::string_view name) const {
    return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
  }
  void problem(const toml::source_region& where, std::string key_path, std::string words) {
    problems_.push_back({where.begin.line, where.begin.column, std::move(key_path), std::move(words)});
  }
  void problem(const toml::node& node, std::string_view name, std::string words) {
    problem(node.source(), key(name), std::move(words));
  }
  /// About the table itself: a key that should be there.
  void missing(std::string_view name, std::string words) { problem(table_.source(), key(name), std::move(words)); }

  const toml::node* take(std::string_view name) {
    known_.emplace_back(name);
    return table_.get(name);
  }
  /// Null, with a problem, if it is something else.
  template <class T>
  const T* take_as(std::string_view name, std::string_view wanted) {
    const auto* node = take(name);
    if (node == nullptr) return nullptr;
    const auto* value = node->as<T>();
    if (value == nullptr) problem(*node, name, fmt::format("must be {}, not {}", wanted, type_name(*node)));
    return value;
  }

  void text(std::string_view name, std::string& to) {
    const auto* value = take_as<toml::value<std::string>>(name, "text");
    if (value == nullptr) return;
    if (value->get().size() > core::kTextBytesMax)
      return problem(*value, name, fmt::format("is over {} bytes", core::kTextBytesMax));
    to = value->get();
  }
  void flag(std::string_view name, bool& to) {
    if (const auto* value = take_as<toml::value<bool>>(name, "true or false")) to = value->get();
  }
  template <class T>
  void integer(std::string_view name, T& to, std::uint64_t least, std::uint64_t most) {
    const auto* value = take_as<toml::value<std::int64_t>>(name, "an integer");
    if (value == nullptr) return;
    if (value->get() < 0 || static_cast<std::uint64_t>(value->get()) < least ||
        static_cast<std::uint64_t>(value->get()) > most)
      return problem(*value, name, fmt::format("must be from {} to {}", least, most));
    to = static_cast<T>(value->get());
  }
  template <class T>
  void size(std::string_view name, T& to, std::uint64_t least, std::uint64_t most) {
    const auto* node = take(name);
    if (node == nullptr) return;
    auto value = quantity(*node, "a size: an integer, or text such as \"64MiB\"",
                          [](std::string_view text) { return parse_size(text); });
    if (!value) return problem(*node, name, value.error().context);
    if (*value < least || *value > most)
      return problem(*node, name, fmt::format("must be from {} to {}", size_text(least), size_text(most)));
    to = static_cast<T>(*value);
  }
  void duration_ms(std::string_view name, std::uint64_t& to, std::uint64_t least, std::uint64_t most) {
    const auto* node = take(name);
    if (node == nullptr) return;
    auto value = quantity(*node, "a duration: seconds, or text such as \"500ms\", \"3s\"",
                          [](std::string_view text) -> Result<std::uint64_t> {
                            NMP_TRY(auto time, parse_duration(text));
                            return static_cast<std::uint64_t>(time.count());
                          });
    if (!value) return problem(*node, name, value.error().context);
    if (*value < least || *value > most)
      return problem(*node, name, fmt::format("must be from {} ms to {} ms", least, most));
    to = *value;
  }
  /// Calls `each(node, text)` for every element of an array of text.
  template <class F>
  bool texts(std::string_view name, std::size_t most, F each) {
    const auto* array = take_as<toml::array>(name, "an array of text");
    if (array == nullptr) return false;
    if (array->size() > most) {
      problem(*array, name, fmt::format("has {} elements; {} are allowed", array->size(), most));
      return true;
    }
    for (const auto& element : *array) {
      const auto* value = element.as_string();
      if (value == nullptr) {
        problem(element, name, fmt::format("must hold text only, not {}", type_name(element)));
      } else {
        each(element, value->get());
      }
    }
    return true;
  }

  /// A table in this one, or nothing.
  std::optional<Table> table(std::string_view name) {
    const auto* value = take_as<toml::table>(name, "a table");
    if (value == nullptr) return std::nullopt;
    return Table(*value, key(name), problems_);
  }

  /// Refuses what nobody took.
  void finish() {
    for (const auto& [name, node] : table_) {
      if (std::ranges::find(known_, name.str()) != known_.end()) continue;
      const auto nearest = std::ranges::min_element(
          known_, {}, [&, &wanted = name](const std::string& k) { return distance(k, wanted.str()); });
      std::string words = "is not a key here";
      if (nearest != known_.end() &&
          distance(*nearest, name.str()) <= std::max<std::size_t>(2, name.str().size() / 3)) {
        words += fmt::format("; did you mean \"{}\"?", *nearest);
      } else {
        words += "; known are ";
        for (const auto& known : known_) words += fmt::format("{}{}", &known == known_.data() ? "" : ", ", known);
      }
      problem(name.source(), key(escape_text(name.str(), kTextShownMax)), std::move(words));
    }
  }

 private:
  template <class Parse>
  static Result<std::uint64_t> quantity(const toml::node& node, std::string_view wanted, Parse parse) {
    if (const auto* integer = node.as_integer()) {
      if (integer->get() < 0) return fail(Errc::malformed, "must not be negative");
      return parse(std::to_string(integer->get()));
    }
    const auto* text = node.as_string();
    if (text == nullptr) return fail(Errc::malformed, fmt::format("must be {}, not {}", wanted, type_name(node)));
    auto value = parse(text->get());
    if (!value)
      return fail(Errc::malformed, fmt::format("must be {}; \"{}\" {}", wanted, escape_text(text->get(), kTextShownMax),
                                               value.error().context));
    return value;
  }

  const toml::table& table_;
  std::string path_;
  std::vector<ConfigProblem>& problems_;
  std::vector<std::string> known_;
};

core::Authorization default_limits() {
  return {.memory_bytes = 64ULL << 20,
          .fuel = 10'000'000'000,
          .wall_time_ms = 10'000,
          .output_bytes = 1ULL << 20,
          .event_bytes = 4ULL << 20,
          .events = 10'000,
          .diagnostic_bytes = 64ULL << 10,
          .input_bytes = 16ULL << 20};
}

std::vector<libp2p::Multiaddr> default_listen() {
  std::vector<libp2p::Multiaddr> listen;
  for (auto text : {"/ip4/0.0.0.0/udp/4001/quic-v1", "/ip6/::/udp/4001/quic-v1"}) {
    auto address = libp2p::Multiaddr::parse(text);
    NMP_ASSERT(address.has_value());
    listen.push_back(*std::move(address));
  }
  return listen;
}

constexpr std::size_t kAddressesMax = 64;

void read_addresses(Table& table, std::string_view name, bool with_peer, std::vector<libp2p::Multiaddr>& to) {
  std::vector<libp2p::Multiaddr> read;
  const bool given = table.texts(name, kAddressesMax, [&](const toml::node& node, const std::string& text) {
    auto address = libp2p::Multiaddr::parse(text);
    const auto shown = escape_text(text, kTextShownMax);
    if (!address) return table.problem(node, name, fmt::format("\"{}\" is not a multiaddr", shown));
    if (!address->is_transport() && !(with_peer && address->is_dnsaddr()))
      return table.problem(
          node, name,
          fmt::format("\"{}\" is not of the form /ip4/ADDRESS/udp/PORT/quic-v1 or /ip4/ADDRESS/tcp/PORT[/ws]{}", shown,
                      with_peer ? " or /dnsaddr/NAME" : ""));
    if (with_peer && !address->peer_id())
      return table.problem(node, name, fmt::format("\"{}\" must end in /p2p/PEER_ID", shown));
    if (!with_peer && address->peer_id())
      return table.problem(node, name, fmt::format("\"{}\" must not name a peer", shown));
    if (!with_peer && !address->ip())
      return table.problem(node, name, fmt::format("\"{}\": listen on an IP address, not a name", shown));
    read.push_back(*std::move(address));
  });
  if (given) to = std::move(read);
}

bool read_name(Table& table, std::string& to) {
  const auto* node = table.take("name");
  if (node == nullptr) {
    table.missing("name", "is required");
    return false;
  }
  const auto* text = node->as_string();
  if (text == nullptr || !core::is_name(text->get())) {
    table.problem(*node, "name", "must be 1 to 63 of a-z, 0-9, '.', '_', '-', the first a letter or digit");
    return false;
  }
  to = text->get();
  return true;
}

std::filesystem::path absolute(const std::filesystem::path& folder, const std::string& text) {
  return (folder / std::filesystem::path(text)).lexically_normal();
}

/// Text that names a file: not empty, no NUL.
bool read_path(Table& table, std::string_view name, const std::filesystem::path& folder, std::filesystem::path& to) {
  std::string text;
  table.text(name, text);
  if (text.empty() || text.find('\0') != std::string::npos) return false;
  to = absolute(folder, text);
  return true;
}

DatasetConfig read_dataset(Table& table, const std::filesystem::path& folder) {
  DatasetConfig dataset;
  read_name(table, dataset.name);
  table.text("description", dataset.description);
  if (!read_path(table, "path", folder, dataset.path))
    table.missing("path", "is required: the folder that filters read");
  table.flag("commit", dataset.commit);
  table.finish();
  return dataset;
}

void read_schema(Table& table, std::string_view name, std::string& to) {
  const auto* value = table.take_as<toml::value<std::string>>(name, "JSON-Schema text");
  if (value == nullptr) return;
  if (value->get().size() > core::kSchemaBytesMax)
    return table.problem(*value, name, fmt::format("is over {} bytes", core::kSchemaBytesMax));
  auto schema = nlohmann::json::parse(value->get(), nullptr, /*allow_exceptions=*/false);
  if (schema.is_discarded() || !(schema.is_object() || schema.is_boolean()))
    return table.problem(*value, name, "must be JSON-Schema text: a JSON object");
  to = value->get();
}

core::WatchPolicy read_watch(Table& table) {
  core::WatchPolicy policy;
  policy.fuel_per_day = 100'000'000'000;
  std::uint64_t life_ms = 30ULL * 24 * 3'600'000;
  table.integer("fuel_per_day", policy.fuel_per_day, 1, kIntegerMax);
  table.duration_ms("life", life_ms, 1000, 10ULL * 365 * 24 * 3'600'000);
  policy.life_seconds = life_ms / 1000;
  if (const auto* value = table.take_as<toml::value<std::string>>("when_full", "\"hold\" or \"drop-oldest\"")) {
    if (value->get() == "drop-oldest") {
      policy.when_full = core::WhenFull::drop_oldest;
    } else if (value->get() != "hold") {
      table.problem(*value, "when_full", "must be \"hold\" or \"drop-oldest\"");
    }
  }
  table.finish();
  return policy;
}

CapabilityConfig read_capability(Table& table) {
  CapabilityConfig capability;
  capability.limits = default_limits();
  auto& limits = capability.limits;
  if (read_name(table, capability.name) && capability.name == core::kWatchdogsCapability)
    table.problem(*table.take("name"), "name", "is kept for what agents ask about their watchdogs");
  table.text("description", capability.description);
  table.texts("datasets", core::kManifestDatasetsMax, [&](const toml::node& node, const std::string& text) {
    if (std::ranges::find(capability.datasets, text) != capability.datasets.end())
      return table.problem(node, "datasets", fmt::format("names \"{}\" twice", escape_text(text, kTextShownMax)));
    capability.datasets.push_back(text);
  });
  table.flag("open", capability.open);
  table.size("memory", limits.memory_bytes, 64ULL << 10, 1ULL << 30);
  table.integer("fuel", limits.fuel, 1, kIntegerMax);
  table.duration_ms("wall_time", limits.wall_time_ms, 1, 24ULL * 3'600'000);
  table.size("output", limits.output_bytes, 0, 1ULL << 40);
  table.size("event_bytes", limits.event_bytes, 0, 1ULL << 40);
  table.integer("events", limits.events, 0, kIntegerMax);
  table.size("diagnostics", limits.diagnostic_bytes, 0, 64ULL << 20);
  table.size("inputs", limits.input_bytes, 0, core::kInputsBytesMax);
  if (auto watch = table.table("watch")) capability.watch = read_watch(*watch);
  table.integer("runs_per_session", capability.runs_per_session, 1, 1'000'000);
  read_schema(table, "inputs_schema", capability.inputs_schema);
  read_schema(table, "evidence_schema", capability.evidence_schema);
  table.finish();
  return capability;
}

std::optional<TcpConfig::Loopback> parse_loopback(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  auto host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return std::nullopt;
  }
  const auto port_text = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [at, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  auto ip = libp2p::IpAddress::parse(host);
  if (error != std::errc{} || at != port_text.data() + port_text.size() || !ip) return std::nullopt;
  return TcpConfig::Loopback{.ip = *ip, .port = port};
}

std::optional<TcpConfig> read_tcp(Table& table, const std::filesystem::path& folder) {
  TcpConfig tcp;
  const auto* node = table.take("listen");
  table.finish();
  if (node == nullptr) {
    table.missing("listen", "is required: \"127.0.0.1:50051\", \"[::1]:50051\" or \"unix:/path\"");
    return std::nullopt;
  }
  const auto* text = node->as_string();
  if (text == nullptr) {
    table.problem(*node, "listen", "must be text: \"127.0.0.1:50051\", \"[::1]:50051\" or \"unix:/path\"");
    return std::nullopt;
  }
  const std::string& value = text->get();
  if (value.starts_with("unix:")) {
    tcp.unix_path = absolute(folder, value.substr(5));
    // sockaddr_un.sun_path with its final zero (unix(7)).
    if (value.size() == 5 || value.find('\0') != std::string::npos || tcp.unix_path->native().size() > 107) {
      table.problem(*node, "listen", "needs a path of 1 to 107 bytes after unix:");
      return std::nullopt;
    }
    return tcp;
  }
  tcp.loopback = parse_loopback(value);
  if (!tcp.loopback) {
    table.problem(*node, "listen", "must be \"127.0.0.1:PORT\", \"[::1]:PORT\" or \"unix:/path\"");
    return std::nullopt;
  }
  if (!tcp.loopback->ip.is_loopback()) {
    table.problem(*node, "listen",
                  "must be a loopback address or a unix socket: over plain TCP nobody is authenticated");
    return std::nullopt;
  }
  return tcp;
}

void read_limits(Table& table, LimitsConfig& limits) {
  table.integer("sessions", limits.sessions, 1, kSessionsMax);
  table.integer("sessions_per_caller", limits.sessions_per_caller, 1, kSessionsPerCallerMax);
  table.size("request", limits.request_bytes, 64ULL << 10, kLogicRequestBytesMax);
  table.integer("runs", limits.runs, 1, 1024);
  table.integer("worker_threads", limits.worker_threads, 1, 256);
  table.integer("watchdogs", limits.watchdogs, 1, 12'000);
  table.integer("watchdogs_per_caller", limits.watchdogs_per_caller, 1, 1000);
  table.size("watchdog_memory", limits.watchdog_memory, 64ULL << 20, 1ULL << 40);
  table.size("code_cache", limits.code_cache_bytes, 0, 1ULL << 40);
  table.integer("connections", limits.connections, 16, kNetworkCountMax);
  table.integer("connections_per_address", limits.connections_per_address, 1, kNetworkCountMax);
  table.integer("streams_per_peer", limits.streams_per_peer, 8, kNetworkCountMax);
  table.size("network_memory", limits.network_memory_bytes, 64ULL << 20, 1ULL << 40);
  table.finish();
}

/// Calls `each(table reader, index)` for every `[[name]]`.
template <class F>
void each_table(Table& root, std::string_view name, std::size_t most, std::vector<ConfigProblem>& problems, F each) {
  const auto* node = root.take(name);
  if (node == nullptr) return;
  const auto* array = node->as_array();
  if (array == nullptr) return root.problem(*node, name, fmt::format("must be written [[{}]]", name));
  if (array->size() > most)
    return root.problem(*node, name, fmt::format("is there {} times; {} are allowed", array->size(), most));
  for (std::size_t i = 0; i < array->size(); ++i) {
    const auto* table = array->get(i)->as_table();
    if (table == nullptr) return root.problem(*array->get(i), name, fmt::format("must be written [[{}]]", name));
    Table reader(*table, fmt::format("{}[{}]", name, i), problems);
    each(reader, *table);
  }
}

void read_root(const toml::table& toml,
               const std::filesystem::path& folder,
               Config& config,
               std::vector<ConfigProblem>& problems) {
  Table root(toml, "", problems);
  read_addresses(root, "listen", /*with_peer=*/false, config.listen);
  read_addresses(root, "bootstrap", /*with_peer=*/true, config.bootstrap);
  if (std::filesystem::path state; toml.contains("state") && read_path(root, "state", folder, state))
    config.state = state;
  (void)root.take("state");

  each_table(root, "dataset", core::kManifestDatasetsMax, problems, [&](Table& table, const toml::table& at) {
    auto dataset = read_dataset(table, folder);
    if (!dataset.name.empty() && config.dataset(dataset.name) != nullptr)
      table.problem(*at.get("name"), "name",
                    fmt::format("\"{}\" is already the name of another dataset", dataset.name));
    config.datasets.push_back(std::move(dataset));
  });
  each_table(root, "capability", core::kManifestCapabilitiesMax, problems, [&](Table& table, const toml::table& at) {
    auto capability = read_capability(table);
    if (!capability.name.empty() && config.capability(capability.name) != nullptr)
      table.problem(*at.get("name"), "name",
                    fmt::format("\"{}\" is already the name of another capability", capability.name));
    for (const auto& name : capability.datasets) {
      if (config.dataset(name) == nullptr)
        table.problem(*at.get("datasets"), "datasets",
                      fmt::format("no [[dataset]] is named \"{}\"", escape_text(name, kTextShownMax)));
    }
    config.capabilities.push_back(std::move(capability));
  });

  if (const auto* tcp = root.take_as<toml::table>("tcp", "a table")) {
    Table table(*tcp, "tcp", problems);
    config.tcp = read_tcp(table, folder);
  }
  if (const auto* limits = root.take_as<toml::table>("limits", "a table")) {
    Table table(*limits, "limits", problems);
    read_limits(table, config.limits);
  }
  if (const auto* grants = root.take_as<toml::table>("grants", "a table")) {
    Table table(*grants, "grants", problems);
    table.texts("issuers", kAddressesMax, [&](const toml::node& node, const std::string&) {
      table.problem(node, "issuers",
                    "grants are not available in this build: leave the list empty and mark capabilities `open = true`");
    });
    table.finish();
  }
  root.finish();
}

}  // namespace

std::string ConfigProblem::to_text(std::string_view file) const {
  std::string place = line == 0 ? std::string(file) : fmt::format("{}:{}:{}", file, line, column);
  return key.empty() ? fmt::format("{}: {}", place, words) : fmt::format("{}: {}: {}", place, key, words);
}

const DatasetConfig* Config::dataset(std::string_view name) const {
  const auto found = std::ranges::find(datasets, name, &DatasetConfig::name);
  return found == datasets.end() ? nullptr : &*found;
}

const CapabilityConfig* Config::capability(std::string_view name) const {
  const auto found = std::ranges::find(capabilities, name, &CapabilityConfig::name);
  return found == capabilities.end() ? nullptr : &*found;
}

Config default_config() {
  Config config;
  config.listen = default_listen();
  return config;
}

ParsedConfig parse_config(std::string_view toml, const std::filesystem::path& folder) {
  ParsedConfig parsed{.config = default_config(), .problems = {}};
  if (toml.size() > kConfigBytesMax) {
    parsed.problems.push_back({0, 0, "", fmt::format("is over {} bytes", kConfigBytesMax)});
    return parsed;
  }
  try {
    const toml::table table = toml::parse(toml);
    read_root(table, folder, parsed.config, parsed.problems);
  } catch (const toml::parse_error& error) {
    parsed.problems.push_back(
        {error.source().begin.line, error.source().begin.column, "", escape_text(error.description(), 300)});
  }
  std::ranges::stable_sort(parsed.problems, {}, [](const ConfigProblem& p) { return std::pair(p.line, p.column); });
  return parsed;
}

Result<ParsedConfig> read_config(const std::filesystem::path& file) {
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  if (!std::filesystem::exists(status)) return fail(Errc::not_found, file.string());
  if (std::filesystem::is_directory(status)) return fail(Errc::io, file.string() + " is a folder");
  std::ifstream stream(file, std::ios::binary);
  std::string text(kConfigBytesMax + 1, '\0');
  if (!stream.read(text.data(), static_cast<std::streamsize>(text.size())) && !stream.eof())
    return fail(Errc::io, "cannot read " + file.string());
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > kConfigBytesMax) return fail(Errc::too_large, file.string());

  auto folder = std::filesystem::absolute(file, error).parent_path();
  if (error) return fail(Errc::io, error.message());
  auto parsed = parse_config(text, folder);
  for (std::size_t i = 0; i < parsed.config.datasets.size(); ++i) {
    const auto& dataset = parsed.config.datasets[i];
    if (!dataset.path.empty() && !std::filesystem::is_directory(dataset.path, error))
      parsed.problems.push_back(
          {0, 0, fmt::format("dataset[{}].path", i), fmt::format("{} is not a folder", dataset.path.string())});
  }
  return parsed;
}

Result<Config> load_config(const std::filesystem::path& file) {
  NMP_TRY(auto parsed, read_config(file));
  if (parsed.problems.empty()) return std::move(parsed.config);
  std::string all;
  for (const auto& problem : parsed.problems) all += (all.empty() ? "" : "\n") + problem.to_text(file.string());
  return fail(Errc::malformed, std::move(all));
}

Result<std::uint64_t> parse_size(std::string_view text) { return parse_quantity(text, kSizes, kIntegerMax); }

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  NMP_TRY(auto ms, parse_quantity(text, kDurations, kDurationMax));
  return std::chrono::milliseconds(ms);
}

std::string size_text(std::uint64_t bytes) {
  for (const auto& unit :
       {Unit{"TiB", 1ULL << 40}, Unit{"GiB", 1ULL << 30}, Unit{"MiB", 1ULL << 20}, Unit{"KiB", 1ULL << 10}}) {
    if (bytes >= unit.factor && bytes % unit.factor == 0) return fmt::format("{} {}", bytes / unit.factor, unit.name);
  }
  return fmt::format("{} bytes", bytes);
}

}  // namespace nmp::server
