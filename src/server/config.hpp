#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "core/authorization.hpp"
#include "core/watch.hpp"
#include "libp2p/peer/multiaddr.hpp"
#include "server/limits.hpp"

/// The node's TOML file as plain values. Every key is effective, or refused by name with its line and column; an
/// unknown key is refused with the nearest known one suggested. Sizes are integers (bytes) or text ("64MiB", "1kB"),
/// durations text ("3s", "500ms", "2m") or integers (seconds). Relative paths are relative to the file's folder.
/// Defaults are those written here.
namespace nmp::server {

/// `[[dataset]]`
struct DatasetConfig {
  std::string name;            ///< Required; `[a-z0-9][a-z0-9._-]{0,62}`. Filters see `/data/NAME`.
  std::string description;     ///< Public, in the manifest.
  std::filesystem::path path;  ///< Required; an absolute path of a folder once parsed.
  bool commit = true;          ///< Receipts hold a commitment to its content, which reads all of it.
};

/// `[[capability]]`. The ceilings are what a run gets at most; a request can only lower them.
struct CapabilityConfig {
  std::string name;                   ///< Required, as above; what agents search for.
  std::string description;            ///< Public.
  std::vector<std::string> datasets;  ///< Names of `[[dataset]]` tables.
  bool open = false;                  ///< Anyone may run; without it a grant is needed.
  /// Complete. Keys and defaults: memory "64MiB", fuel 10_000_000_000, wall_time "10s", output "1MiB", event_bytes
  /// "4MiB", events 10_000, diagnostics "64KiB", inputs "16MiB".
  core::Authorization limits;
  /// `[capability.watch]`: agents may leave watchdogs. Without it none. Keys and defaults: fuel_per_day
  /// 100_000_000_000, life "720h", when_full "hold" (or "drop-oldest"). `fuel` and `wall_time` are then of one wake-up.
  std::optional<core::WatchPolicy> watch;
  std::uint32_t runs_per_session = 1;  ///< Key `runs_per_session`: what one negotiation may execute.
  std::string inputs_schema;           ///< JSON-Schema text in the manifest; must be JSON.
  std::string evidence_schema;
};

/// `[tcp]`: the plain gRPC listener for grpcurl and stock clients. Off without it. Loopback or a unix socket, nothing
/// else.
struct TcpConfig {
  struct Loopback {
    libp2p::IpAddress ip;
    std::uint16_t port = 0;  ///< 0: the system chooses.
  };
  /// Of `listen`: "127.0.0.1:0", "[::1]:50051" -> `loopback`; "unix:/run/nmp/grpc.sock" -> `unix_path`. Exactly one is
  /// set.
  std::optional<Loopback> loopback;
  std::optional<std::filesystem::path> unix_path;
};

/// `[limits]`: what all callers together may make the node hold.
struct LimitsConfig {
  std::size_t sessions = kSessionsMax;                      ///< 1 to kSessionsMax.
  std::size_t sessions_per_caller = kSessionsPerCallerMax;  ///< 1 to kSessionsPerCallerMax.
  std::size_t request_bytes = kLogicRequestBytesMax;        ///< Key `request`, a LogicRequest: "64KiB" to "64MiB".
  std::uint32_t runs = 64;                                  ///< At a time: 1 to 1024.
  std::uint32_t worker_threads = 2;                         ///< 1 to 256.
  std::uint32_t watchdogs = kWatchdogsDefault;              ///< In all: 1 to 12,000.
  std::uint32_t watchdogs_per_caller = 16;                  ///< 1 to 1,000.
  std::uint64_t watchdog_memory = 4ULL << 30;               ///< Their ceilings together: "64MiB" to "1TiB".
  std::uint64_t code_cache_bytes = 1ULL << 30;  ///< Key `code_cache`: machine code on the disk; 0 (none) to "1TiB".
  // What peers together may take of the network; absent: scaled to the machine (libp2p/resources/limits.hpp).
  std::optional<std::size_t> connections;              ///< Either direction: 16 to 1,000,000.
  std::optional<std::size_t> connections_per_address;  ///< Inbound, of an IPv4 address or IPv6 /56: 1 to 1,000,000.
  std::optional<std::size_t> streams_per_peer;         ///< 8 to 1,000,000.
  std::optional<std::uint64_t> network_memory_bytes;   ///< Key `network_memory`: "64MiB" to "1TiB".
};

/// The whole file.
struct Config {
  std::vector<libp2p::Multiaddr> listen;     ///< QUIC addresses; default: /ip4/0.0.0.0/udp/4001/quic-v1 and /ip6/::/...
  std::vector<libp2p::Multiaddr> bootstrap;  ///< QUIC addresses that end in /p2p/ID; none: this node starts a mesh.
  std::optional<std::filesystem::path> state;  ///< Keys, ledgers; default: the command line's --state.
  std::vector<DatasetConfig> datasets;
  std::vector<CapabilityConfig> capabilities;
  std::optional<TcpConfig> tcp;
  LimitsConfig limits;

  [[nodiscard]] const DatasetConfig* dataset(std::string_view name) const;
  [[nodiscard]] const CapabilityConfig* capability(std::string_view name) const;
};

/// One thing that is wrong, and where (from 1; 0: the file as a whole).
struct ConfigProblem {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string key;    ///< "capability[0].memory"
  std::string words;  ///< For people.

  /// "FILE:3:10: capability[0].memory: ..."
  [[nodiscard]] std::string to_text(std::string_view file) const;
};

/// Either no problem and a valid Config, or problems and a Config not to be used.
struct ParsedConfig {
  Config config;
  std::vector<ConfigProblem> problems;
};

/// A configuration file that someone typed is far below this.
inline constexpr std::size_t kConfigBytesMax = 1024 * 1024;

/// `folder`: what relative paths start from. Looks at no file system.
[[nodiscard]] ParsedConfig parse_config(std::string_view toml, const std::filesystem::path& folder);
/// Reads the file and checks that every dataset is a folder. Errors: base io, not_found, too_large.
Result<ParsedConfig> read_config(const std::filesystem::path& file);
/// The same for a start: any problem is an error (base malformed) whose context holds them all, a line each.
Result<Config> load_config(const std::filesystem::path& file);
/// What `[]` gives: defaults only.
[[nodiscard]] Config default_config();

/// "64MiB", "1.5GiB", "10kB", "4096", "1_000". Errors: base malformed, too_large (over 2^63 - 1).
Result<std::uint64_t> parse_size(std::string_view text);
/// "3s", "1.5s", "500ms", "2m", "1h"; without a unit: seconds. Errors: base malformed, too_large (over 10 years).
Result<std::chrono::milliseconds> parse_duration(std::string_view text);
/// "64 MiB", "1000 bytes".
[[nodiscard]] std::string size_text(std::uint64_t bytes);

}  // namespace nmp::server
