#pragma once

#include <memory>

#include <CLI/CLI.hpp>

#include "cli/options.hpp"

/// How the commands hang on the tree. Each add_X() declares one command and, once its arguments are parsed, stores its
/// options.
namespace nmp::cli {

struct Pending {
  std::optional<Command> command;
};

void add_node(CLI::App& root, Pending& pending);
void add_ping(CLI::App& root, Pending& pending);
void add_find(CLI::App& root, Pending& pending);
void add_describe(CLI::App& root, Pending& pending);
void add_run(CLI::App& root, Pending& pending);
void add_watch(CLI::App& root, Pending& pending);
void add_key(CLI::App& root, Pending& pending);
void add_verify(CLI::App& root, Pending& pending);
void add_config(CLI::App& root, Pending& pending);
void add_filter(CLI::App& root, Pending& pending);

/// --json, --state, --config, --verbose.
void add_common(CLI::App& command, CommonOptions& options);
/// Fills in what the environment decides; call it last.
void finish(CommonOptions& options);

/// Text of --bootstrap and --timeout, checked by take().
struct MeshFlags {
  std::vector<std::string> bootstrap;
  std::string timeout = "30s";

  void add(CLI::App& command);
  /// Throws CLI::ValidationError, as do the parsers below.
  [[nodiscard]] MeshOptions take(const CommonOptions& common) const;
};

/// Text of the limits a request or a local run may name.
struct LimitFlags {
  std::string memory, fuel, wall_time, output, event_bytes, events;

  void add(CLI::App& command);
  [[nodiscard]] core::Authorization take(core::Authorization otherwise) const;
};

/// `k=v` and `k=@FILE`.
[[nodiscard]] std::map<std::string, Bytes> parse_inputs(const std::vector<std::string>& texts);
[[nodiscard]] libp2p::Multiaddr parse_address(const std::string& option, const std::string& text, bool with_peer);
/// A peer ID, its DID, or an address with /p2p.
[[nodiscard]] NodeName parse_node(const std::string& option, const std::string& text);
[[nodiscard]] std::string parse_capability(const std::string& text);
[[nodiscard]] Bytes read_file(const std::string& option, const std::filesystem::path& path, std::size_t size_max);
[[nodiscard]] std::optional<std::filesystem::path> key_log_path(const std::string& option);

/// What is sent to a node, and what it may use there: of `run` and `watch start`.
struct FilterFlags {
  LimitFlags limits;
  std::string capability, filter, token;
  std::vector<std::string> inputs;

  /// CAPABILITY, FILTER and --input.
  void add_filter(CLI::App& command);
  /// --token and the limits.
  void add_grant(CLI::App& command);
  /// Options has members capability, module, inputs, grant and limits.
  template <class Options>
  void take(Options& options) const {
    options.capability = parse_capability(capability);
    options.module = read_filter();
    options.inputs = parse_inputs(inputs);
    options.grant = read_token();
    options.limits = limits.take({});
  }

 private:
  [[nodiscard]] Bytes read_filter() const;
  [[nodiscard]] Bytes read_token() const;
};

/// The lines after "Examples:" in a command's help.
void examples(CLI::App& command, const std::string& lines);

}  // namespace nmp::cli
