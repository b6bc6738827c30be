#include "server/network_limits.hpp"

#include <algorithm>

namespace nmp::server {

libp2p::resources::Limits network_limits(const LimitsConfig& wanted, const libp2p::resources::Machine& machine) {
  auto limits = libp2p::resources::Limits::scaled(machine);
  if (wanted.connections) limits.set_connections(*wanted.connections);
  if (wanted.connections_per_address) {
    auto& subnets = limits.subnets;
    subnets.per_address_max = *wanted.connections_per_address;
    subnets.per_site_max = std::max(subnets.per_site_max, subnets.per_address_max);
    subnets.burst_per_address = std::max(subnets.burst_per_address, subnets.per_address_max);
    subnets.burst_per_site = std::max(subnets.burst_per_site, subnets.per_site_max);
  }
  if (wanted.streams_per_peer) limits.peer.streams_in = limits.peer.streams_out = *wanted.streams_per_peer;
  if (wanted.network_memory_bytes) limits.system.memory_bytes = *wanted.network_memory_bytes;
  // Above its own ceiling the gRPC server chooses who gives way, so that one is reached first.
  auto grpc = limits.protocol;
  grpc.all.streams_in = 2 * kGrpcStreamsMax;
  grpc.peer.streams_in = kGrpcStreamsPerPeerMax;
  limits.named.emplace(kGrpcProtocol, grpc);
  return limits;
}

}  // namespace nmp::server
