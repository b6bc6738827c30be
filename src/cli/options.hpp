#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/authorization.hpp"
#include "core/receipt_kind.hpp"
#include "core/watch.hpp"
#include "libp2p/peer/multiaddr.hpp"

/// The command line as values: parsed and checked, nothing opened but what `@FILE` and FILTER name.
namespace nmp::cli {

struct CommonOptions {
  bool json = false;
  bool verbose = false;         ///< Debug logs on stderr.
  std::filesystem::path state;  ///< --state, else NMP_STATE, else $XDG_STATE_HOME/nmp, else ~/.local/state/nmp.
  std::optional<std::filesystem::path> config;  ///< --config
};

struct MeshOptions {
  std::vector<libp2p::Multiaddr>
      bootstrap;  ///< --bootstrap, else the configuration's, else NMP_BOOTSTRAP (spaces or commas).
  std::chrono::milliseconds timeout{30'000};  ///< --timeout, for the whole command.
};

/// A node by name: a peer ID (or its DID), or an address that ends in /p2p/ID.
using NodeName = std::variant<libp2p::PeerId, libp2p::Multiaddr>;

struct NodeOptions {
  CommonOptions common;
  std::vector<libp2p::Multiaddr> listen;         ///< Replaces the configuration's, if given.
  std::vector<libp2p::Multiaddr> bootstrap;      ///< Replaces the configuration's, if given; NMP_BOOTSTRAP if neither.
  std::optional<std::filesystem::path> key_log;  ///< --key-log, or SSLKEYLOGFILE.
};

struct PingOptions {
  CommonOptions common;
  MeshOptions mesh;
  NodeName node;  ///< An address needs no mesh.
  std::uint32_t count = 4;
};

struct FindOptions {
  CommonOptions common;
  MeshOptions mesh;
  std::string capability;
  std::uint32_t count = 20;
};

struct DescribeOptions {
  CommonOptions common;
  MeshOptions mesh;
  std::variant<std::string, libp2p::PeerId, libp2p::Multiaddr> subject;  ///< A capability's name, or a node.
};

struct RunOptions {
  CommonOptions common;
  MeshOptions mesh;
  std::string capability;
  std::filesystem::path filter;
  Bytes module;                         ///< The filter's bytes.
  std::map<std::string, Bytes> inputs;  ///< Names checked.
  std::optional<NodeName> node;         ///< --node
  bool all = false;                     ///< --all; not together with node.
  Bytes grant;                          ///< --token FILE's bytes; empty without.
  core::Authorization limits;  ///< --memory, --fuel, --wall-time, --output, --events, --event-bytes; else kNoCeiling.
  core::ReceiptKind require = core::ReceiptKind::is_signed;
  std::optional<std::filesystem::path> receipt_out;
  std::optional<std::filesystem::path> key_log;  ///< --key-log, or SSLKEYLOGFILE.
};

struct WatchStartOptions {
  CommonOptions common;
  MeshOptions mesh;
  std::string capability;
  Bytes module;                         ///< The filter's bytes.
  std::map<std::string, Bytes> inputs;  ///< Names checked.
  std::optional<NodeName> node;         ///< --node; else the first provider that can be reached.
  Bytes grant;
  core::Authorization limits;  ///< --fuel and --wall-time of a wake-up, --events and --event-bytes undelivered.
};

/// `nmp watch list|events|ack|logs|stop`
struct WatchRequestOptions {
  explicit WatchRequestOptions(NodeName where) : node(std::move(where)) {}
  CommonOptions common;
  MeshOptions mesh;
  NodeName node;
  std::string op;                      ///< core/watch.hpp
  std::optional<core::WatchId> watch;  ///< All but `list`.
  std::uint64_t from = 0;              ///< `events --from`
  std::optional<std::uint64_t> count;  ///< `events --count`
  std::uint64_t up_to = 0;             ///< `ack ID SEQ`
  bool ack = false;                    ///< `events --ack`
};

struct KeyOptions {
  CommonOptions common;
  bool make = false;  ///< `key new` refuses to replace a key; `key show` makes none.
};

struct VerifyOptions {
  CommonOptions common;
  std::filesystem::path receipt;
  std::vector<libp2p::PeerId> peers;           ///< --peer: pinned.
  std::optional<std::filesystem::path> trust;  ///< --trust, else STATE/trust if there.
  std::optional<std::filesystem::path> module;
  std::map<std::string, Bytes> inputs;
  std::optional<std::filesystem::path> evidence;
  std::optional<ByteArray<32>> commitment;
};

struct ConfigCheckOptions {
  CommonOptions common;
  std::filesystem::path file;
};

struct FilterNewOptions {
  CommonOptions common;
  std::filesystem::path folder;
};

struct FilterBuildOptions {
  CommonOptions common;
  std::filesystem::path source;                 ///< A .cpp, .c, .rs or .go file, or a folder of one such language.
  std::optional<std::filesystem::path> output;  ///< -o, else SOURCE's name with .wasm in the current folder.
};

struct FilterCheckOptions {
  CommonOptions common;
  std::filesystem::path filter;
  bool inspect = false;  ///< Also shows what is in it.
};

struct FilterRunOptions {
  CommonOptions common;
  std::filesystem::path filter;
  std::vector<std::pair<std::string, std::filesystem::path>> data;  ///< --data DIR (named `data`) or NAME=DIR
  std::map<std::string, Bytes> inputs;
  core::Authorization limits;  ///< Complete.
};

using Command = std::variant<NodeOptions,
                             PingOptions,
                             FindOptions,
                             DescribeOptions,
                             RunOptions,
                             WatchStartOptions,
                             WatchRequestOptions,
                             KeyOptions,
                             VerifyOptions,
                             ConfigCheckOptions,
                             FilterNewOptions,
                             FilterBuildOptions,
                             FilterCheckOptions,
                             FilterRunOptions>;

/// Where this state's identity is kept.
[[nodiscard]] inline std::filesystem::path identity_file(const CommonOptions& options) {
  return options.state / "identity.key";
}
/// Peers that this state's owner vouches for (core/trust.hpp); need not be there.
[[nodiscard]] inline std::filesystem::path trust_file(const CommonOptions& options) { return options.state / "trust"; }

/// What every command has.
[[nodiscard]] const CommonOptions& common_of(const Command& command);

}  // namespace nmp::cli
