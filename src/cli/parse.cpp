#include "cli/parse.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <utility>

#include <fmt/format.h>

#include "base/encoding.hpp"
#include "cli/limits.hpp"
#include "cli/output.hpp"
#include "cli/tree.hpp"
#include "cli/unknown_command.hpp"
#include "core/capability.hpp"
#include "core/did.hpp"
#include "core/limits.hpp"
#include "server/config.hpp"

namespace nmp::cli {
namespace {

constexpr std::size_t kShownMax = 120;

[[noreturn]] void refuse(const std::string& option, const std::string& words) {
  throw CLI::ValidationError(option, words);
}

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

std::optional<libp2p::PeerId> peer_of_text(const std::string& text) {
  if (text.starts_with("did:")) {
    auto peer = core::peer_of_did(text);
    return peer ? std::optional(*peer) : std::nullopt;
  }
  auto peer = libp2p::PeerId::parse(text);
  return peer ? std::optional(*peer) : std::nullopt;
}

std::uint64_t whole_number(const std::string& option, const std::string& text) {
  auto value = server::parse_size(text);  // digits, with `_` allowed; units make no sense here
  if (!value || text.find_first_not_of("0123456789_") != std::string::npos)
    refuse(option, "takes a whole number, not " + escape_text(text, kShownMax));
  return *value;
}

std::uint64_t size(const std::string& option, const std::string& text) {
  auto value = server::parse_size(text);
  if (!value) refuse(option, fmt::format("\"{}\" {}", escape_text(text, kShownMax), value.error().context));
  return *value;
}

std::chrono::milliseconds duration(const std::string& option, const std::string& text) {
  auto value = server::parse_duration(text);
  if (!value) refuse(option, fmt::format("\"{}\" {}", escape_text(text, kShownMax), value.error().context));
  if (value->count() == 0) refuse(option, "must be more than nothing");
  return *value;
}

}  // namespace

const CommonOptions& common_of(const Command& command) {
  return std::visit([](const auto& options) -> const CommonOptions& { return options.common; }, command);
}

void add_common(CLI::App& command, CommonOptions& options) {
  command.add_flag("--json", options.json, "one JSON object a line on stdout")->group("Common");
  command.add_flag("-v,--verbose", options.verbose, "more log lines on stderr")->group("Common");
  command.add_option("--state", options.state, "folder of keys and records (NMP_STATE; ~/.local/state/nmp)")
      ->group("Common")
      ->type_name("DIR");
  command.add_option("--config", options.config, "configuration file (TOML)")->group("Common")->type_name("FILE");
}

void finish(CommonOptions& options) {
  if (!options.state.empty()) return;
  if (auto state = environment("NMP_STATE")) {
    options.state = *state;
  } else if (auto xdg = environment("XDG_STATE_HOME")) {
    options.state = std::filesystem::path(*xdg) / "nmp";
  } else if (auto home = environment("HOME")) {
    options.state = std::filesystem::path(*home) / ".local" / "state" / "nmp";
  } else {
    refuse("--state", "is needed: neither NMP_STATE nor HOME is set");
  }
}

void MeshFlags::add(CLI::App& command) {
  command
      .add_option("--bootstrap", bootstrap,
                  "address of a node of the mesh, with /p2p/ID; may be repeated (NMP_BOOTSTRAP)")
      ->group("Mesh")
      ->type_name("MULTIADDR")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command.add_option("--timeout", timeout, "how long the command may take")
      ->group("Mesh")
      ->type_name("TIME")
      ->capture_default_str();
}

MeshOptions MeshFlags::take(const CommonOptions& common) const {
  MeshOptions options;
  options.timeout = duration("--timeout", timeout);
  for (const auto& text : bootstrap)
    options.bootstrap.push_back(parse_address("--bootstrap", text, /*with_peer=*/true));
  if (!options.bootstrap.empty()) return options;
  if (common.config) {
    auto config = server::load_config(*common.config);
    if (!config) refuse("--config", config.error().message());
    options.bootstrap = config->bootstrap;
  }
  if (!options.bootstrap.empty()) return options;
  if (auto text = environment("NMP_BOOTSTRAP")) {
    std::ranges::replace(*text, ',', ' ');
    std::size_t at = 0;
    while ((at = text->find_first_not_of(' ', at)) != std::string::npos) {
      const auto end = std::min(text->find(' ', at), text->size());
      options.bootstrap.push_back(parse_address("NMP_BOOTSTRAP", text->substr(at, end - at), /*with_peer=*/true));
      at = end;
    }
  }
  return options;
}

void LimitFlags::add(CLI::App& command) {
  auto option = [&](const char* name, std::string& to, const char* words, const char* type) {
    command.add_option(name, to, words)->group("Limits (the node's own stay in force)")->type_name(type);
  };
  option("--memory", memory, "memory of the filter: 16MiB", "SIZE");
  option("--fuel", fuel, "instructions, about", "N");
  option("--wall-time", wall_time, "from start to end: 3s", "TIME");
  option("--output", output, "bytes of evidence", "SIZE");
  option("--events", events, "number of events", "N");
  option("--event-bytes", event_bytes, "bytes of all events together", "SIZE");
}

core::Authorization LimitFlags::take(core::Authorization otherwise) const {
  auto& limits = otherwise;
  if (!memory.empty()) limits.memory_bytes = size("--memory", memory);
  if (!fuel.empty()) limits.fuel = whole_number("--fuel", fuel);
  if (!wall_time.empty()) limits.wall_time_ms = static_cast<std::uint64_t>(duration("--wall-time", wall_time).count());
  if (!output.empty()) limits.output_bytes = size("--output", output);
  if (!events.empty()) limits.events = whole_number("--events", events);
  if (!event_bytes.empty()) limits.event_bytes = size("--event-bytes", event_bytes);
  return limits;
}

Bytes read_file(const std::string& option, const std::filesystem::path& path, std::size_t size_max) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) refuse(option, "no such file: " + path.string());
  if (std::filesystem::is_directory(path, error)) refuse(option, path.string() + " is a folder");
  std::ifstream stream(path, std::ios::binary);
  Bytes bytes;
  std::array<char, 64 * 1024> piece;
  while (stream.read(piece.data(), piece.size()) || stream.gcount() > 0) {
    append(bytes, bytes_of({piece.data(), static_cast<std::size_t>(stream.gcount())}));
    if (bytes.size() > size_max)
      refuse(option, fmt::format("{} is over {}", path.string(), server::size_text(size_max)));
  }
  if (!stream.eof()) refuse(option, "cannot read " + path.string());
  return bytes;
}

std::map<std::string, Bytes> parse_inputs(const std::vector<std::string>& texts) {
  std::map<std::string, Bytes> inputs;
  std::size_t total = 0;
  for (const auto& text : texts) {
    const auto equals = text.find('=');
    const auto name = text.substr(0, equals);
    if (equals == std::string::npos || !core::is_name(name))
      refuse("--input",
             "takes NAME=VALUE or NAME=@FILE, NAME of a-z, 0-9, '.', '_', '-'; not " + escape_text(text, kShownMax));
    const auto value = text.substr(equals + 1);
    auto bytes =
        value.starts_with('@') ? read_file("--input", value.substr(1), core::kInputsBytesMax) : to_bytes(value);
    total += name.size() + bytes.size();
    if (total > core::kInputsBytesMax)
      refuse("--input", "inputs are over " + server::size_text(core::kInputsBytesMax) + " together");
    if (!inputs.emplace(name, std::move(bytes)).second) refuse("--input", "names " + name + " twice");
    if (inputs.size() > core::kInputsMax) refuse("--input", fmt::format("more than {} inputs", core::kInputsMax));
  }
  return inputs;
}

libp2p::Multiaddr parse_address(const std::string& option, const std::string& text, bool with_peer) {
  auto address = libp2p::Multiaddr::parse(text);
  if (!address || !(address->is_transport() || (with_peer && address->is_dnsaddr())))
    refuse(option, fmt::format("\"{}\" is not of the form /ip4/ADDRESS/udp/PORT/quic-v1{peer} or "
                               "/ip4/ADDRESS/tcp/PORT[/ws]{peer}{dnsaddr}",
                               escape_text(text, kShownMax), fmt::arg("peer", with_peer ? "/p2p/ID" : ""),
                               fmt::arg("dnsaddr", with_peer ? " or /dnsaddr/NAME/p2p/ID" : "")));
  if (with_peer != address->peer_id().has_value())
    refuse(option, fmt::format("\"{}\" must {}", escape_text(text, kShownMax),
                               with_peer ? "end in /p2p/ID" : "not name a peer"));
  return *std::move(address);
}

NodeName parse_node(const std::string& option, const std::string& text) {
  if (text.starts_with('/')) return parse_address(option, text, /*with_peer=*/true);
  auto peer = peer_of_text(text);
  if (!peer)
    refuse(option,
           fmt::format("\"{}\" is neither a peer ID, nor a did:key, nor an address", escape_text(text, kShownMax)));
  return *peer;
}

std::string parse_capability(const std::string& text) {
  if (!core::is_name(text))
    refuse("CAPABILITY",
           fmt::format("\"{}\" is not a name: 1 to 63 of a-z, 0-9, '.', '_', '-', the first a letter or digit",
                       escape_text(text, kShownMax)));
  return text;
}

std::optional<std::filesystem::path> key_log_path(const std::string& option) {
  if (!option.empty()) return option;
  if (auto path = environment("SSLKEYLOGFILE")) return *path;
  return std::nullopt;
}

void examples(CLI::App& command, const std::string& lines) { command.footer("Examples:\n" + lines); }

Parsed parse(std::vector<std::string> arguments) {
  CLI::App root("nmp: send a small program to the data, get its answer back.", "nmp");
  root.set_version_flag("--version", "nmp " + std::string(kVersion));
  root.require_subcommand(1);
  root.footer(
      "`nmp COMMAND --help` shows a command's options and examples.\n"
      "Exit codes: 0 done, 1 the filter failed, 2 usage, 3 refused by the node, 4 nobody found or reachable, 5 not "
      "verified, 130 interrupted.");
  Pending pending;
  for (auto* add :
       {add_node, add_run, add_watch, add_find, add_describe, add_ping, add_key, add_verify, add_filter, add_config})
    add(root, pending);
  // CLI11 would say "a subcommand is required" of a command that it does not know.
  if (!arguments.empty() && !arguments.front().starts_with('-')) {
    std::vector<std::string> known;
    const auto every = [](const CLI::App*) { return true; };
    for (const auto* app : std::as_const(root).get_subcommands(every)) known.push_back(app->get_name());
    if (std::ranges::find(known, arguments.front()) == known.end()) {
      const auto unknown = unknown_command(arguments.front(), known);
      return {.command = std::nullopt,
              .exit = unknown.exit,
              .text = fmt::format("nmp: {}\nTry: nmp --help\n", unknown.text)};
    }
  }
  std::ranges::reverse(arguments);  // CLI11 takes them from the back
  try {
    root.parse(std::move(arguments));
  } catch (const CLI::Success&) {
    // Help of the deepest command that was named.
    CLI::App* named = &root;
    while (!named->get_subcommands().empty()) named = named->get_subcommands().front();
    return {.command = std::nullopt,
            .exit = kDone,
            .text = root.get_option("--version")->count() > 0 ? "nmp " + std::string(kVersion) + "\n" : named->help()};
  } catch (const CLI::Error& error) {
    CLI::App* named = &root;
    while (!named->get_subcommands().empty()) named = named->get_subcommands().front();
    std::string path;
    for (auto* app = named; app != nullptr; app = app->get_parent())
      path = fmt::format("{}{}{}", app->get_name(), path.empty() ? "" : " ", path);
    return {
        .command = std::nullopt, .exit = kUsage, .text = fmt::format("nmp: {}\nTry: {} --help\n", error.what(), path)};
  }
  return {.command = std::move(pending.command), .exit = kDone, .text = ""};
}

}  // namespace nmp::cli
