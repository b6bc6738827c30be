#pragma once

#include "base/async/task_group.hpp"
#include "cli/options.hpp"
#include "client/agent.hpp"
#include "server/node.hpp"

/// What the mesh commands share: options of the command line as options of agent and node.
namespace nmp::cli {

/// The state folder's key (made on first use), its trust file, and where to join: --bootstrap, else the
/// configuration's. Errors: as load_or_create_key_file, TrustFile::parse, load_config; the context names the file.
Result<client::AgentOptions> make_agent_options(const CommonOptions& common,
                                                const MeshOptions& mesh,
                                                std::optional<std::filesystem::path> key_log);
Result<server::NodeOptions> make_node_options(const NodeOptions& options);

/// A node by address, or by its ID through the mesh.
async::Awaitable<client::Attempt<libp2p::PeerInfo>> resolve(client::Agent& agent, NodeName name, Instant deadline);

/// Of the capability's providers the first that can be reached, connected; the others stand by. Joins the mesh first.
async::Awaitable<client::Attempt<libp2p::PeerInfo>> first_reachable(client::Agent& agent,
                                                                    std::string capability,
                                                                    Instant deadline);

/// Waits until every task of the group has ended. Errors: cancelled.
async::Awaitable<Result<void>> join_tasks(async::TaskGroup& tasks);

/// Whole or not at all (a temporary file beside it, then rename). Errors: io.
Result<void> write_file(const std::filesystem::path& path, std::string_view content);

/// escape_text line by line.
[[nodiscard]] std::string escape_lines(std::string_view text);

}  // namespace nmp::cli
