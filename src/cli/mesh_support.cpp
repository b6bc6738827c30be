#include "cli/mesh_support.hpp"

#include <fstream>

#include "base/encoding.hpp"
#include "crypto/random.hpp"
#include "libp2p/peer/key_file.hpp"

namespace nmp::cli {

namespace {

Result<libp2p::KeyPair> state_key(const std::filesystem::path& file) {
  std::error_code error;
  std::filesystem::create_directories(file.parent_path(), error);
  if (error) return fail(Errc::io, "state folder " + file.parent_path().string() + ": " + error.message());
  return libp2p::load_or_create_key_file(file, crypto::system_random());
}

/// An absent trust file trusts nobody.
Result<core::TrustFile> load_trust(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) return core::TrustFile();
  std::string text((std::istreambuf_iterator<char>(in)), {});
  auto parsed = core::TrustFile::parse(text);
  if (!parsed) return fail(Error{parsed.error().code, file.string() + ": " + parsed.error().context});
  return parsed;
}

std::vector<libp2p::PeerInfo> peers_of(const std::vector<libp2p::Multiaddr>& addresses) {
  std::vector<libp2p::PeerInfo> peers;
  for (const auto& address : addresses) {
    auto id = address.peer_id();
    auto where = address.without_peer();
    if (id && where) peers.push_back({*id, {*where}});
  }
  return peers;
}

}  // namespace

Result<client::AgentOptions> make_agent_options(const CommonOptions& common,
                                                const MeshOptions& mesh,
                                                std::optional<std::filesystem::path> key_log) {
  NMP_TRY(auto key, state_key(identity_file(common)));
  client::AgentOptions options(std::move(key));
  options.state = common.state;
  options.bootstrap = peers_of(mesh.bootstrap);
  NMP_TRY(options.trust, load_trust(trust_file(common)));
  options.key_log = std::move(key_log);
  return options;
}

Result<server::NodeOptions> make_node_options(const NodeOptions& options) {
  auto config = options.common.config ? server::load_config(*options.common.config)
                                      : Result<server::Config>(server::default_config());
  if (!config) return fail(config.error());
  if (!options.listen.empty()) config->listen = options.listen;
  if (!options.bootstrap.empty()) config->bootstrap = options.bootstrap;
  auto common = options.common;
  common.state = config->state.value_or(options.common.state);
  NMP_TRY(auto key, state_key(identity_file(common)));
  server::NodeOptions out(std::move(key), std::move(*config));
  out.state = common.state;
  out.key_log = options.key_log;
  return out;
}

async::Awaitable<client::Attempt<libp2p::PeerInfo>> resolve(client::Agent& agent, NodeName name, Instant deadline) {
  if (const auto* address = std::get_if<libp2p::Multiaddr>(&name)) {
    auto id = address->peer_id();
    auto where = address->without_peer();
    if (!id || !where) co_return std::unexpected(client::failure("usage", "the address must end in /p2p/ID"));
    libp2p::PeerInfo peer{*id, {*where}};
    co_return peer;
  }
  auto id = std::get<libp2p::PeerId>(name);
  auto joined = co_await agent.join(deadline);
  if (!joined) co_return std::unexpected(joined.error());
  auto found = co_await agent.dht().find_peer(id, deadline);
  if (!found) co_return std::unexpected(client::failure("nobody_found", "the mesh does not know " + id.to_text()));
  co_return std::move(*found);
}

async::Awaitable<client::Attempt<libp2p::PeerInfo>> first_reachable(client::Agent& agent,
                                                                    std::string capability,
                                                                    Instant deadline) {
  auto joined = co_await agent.join(deadline);
  if (!joined) co_return std::unexpected(joined.error());
  auto found = co_await agent.find(std::move(capability), 8, libp2p::Dht::ProviderFound(), deadline);
  if (!found) co_return std::unexpected(found.error());
  auto last = client::failure("nobody_reachable");
  for (auto& node : *found) {
    auto half = async::system_clock().now() + (deadline - async::system_clock().now()) / 2;
    auto connected = co_await agent.host().connect(node, half);
    if (connected) co_return std::move(node);
    last = client::failure("nobody_reachable", node.id.to_text() + ": " + connected.error().message());
  }
  co_return std::unexpected(std::move(last));
}

async::Awaitable<Result<void>> join_tasks(async::TaskGroup& tasks) {
  while (tasks.size() > 0)
    NMP_CO_CHECK(co_await async::sleep_until(async::system_clock().now() + std::chrono::milliseconds(5)));
  co_return Result<void>();
}

Result<void> write_file(const std::filesystem::path& path, std::string_view content) {
  auto temporary = path;
  temporary += ".part";
  std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  out.close();
  std::error_code error;
  if (!out) {
    std::filesystem::remove(temporary, error);
    return fail(Errc::io, "cannot write " + path.string());
  }
  std::filesystem::rename(temporary, path, error);
  if (error) return fail(Errc::io, path.string() + ": " + error.message());
  return {};
}

std::string escape_lines(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    auto end = std::min(text.find('\n'), text.size());
    out += escape_text(text.substr(0, end), 4096) + "\n";
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

}  // namespace nmp::cli
