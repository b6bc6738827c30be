#pragma once

#include "cli/options.hpp"
#include "cli/output.hpp"

/// The commands that need the mesh. Each returns an exit code (output.hpp) and has said on `output` why it is not 0.
namespace nmp::cli {

/// Prints {"event":"ready","peer_id":..,"addrs":[..],"tcp":..} and serves until SIGINT or SIGTERM.
int run_node(const NodeOptions& options, Output& output);
/// One {"event":"pong","peer_id":..,"ms":..} each.
int run_ping(const PingOptions& options, Output& output);
/// One {"event":"provider","peer_id":..,"addrs":[..]} each, as they come.
int run_find(const FindOptions& options, Output& output);
/// One {"event":"manifest",..} for a node, or for each provider of a capability.
int run_describe(const DescribeOptions& options, Output& output);
/// {"event":"push",..} lines, then {"event":"result",..}; with --all one result per provider.
int run_run(const RunOptions& options, Output& output);
/// {"event":"deployed","id":..,"peer_id":..,"limits":{..},"receipt":..}
int run_watch_start(const WatchStartOptions& options, Output& output);
/// `list`: {"event":"watchdog",..} each. `events`: {"event":"push","peer_id":..,"seq":..,"data":..} each. `logs`:
/// {"event":"log","text":..} each line. `ack`, `stop`: {"event":"acknowledged"|"stopped","id":..}
int run_watch_request(const WatchRequestOptions& options, Output& output);

}  // namespace nmp::cli
