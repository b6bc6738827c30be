#include "libp2p/resources/limits.hpp"

#include <algorithm>

namespace nmp::libp2p::resources {

namespace {

constexpr std::uint64_t kGib = 1ULL << 30;
/// However small the machine is.
constexpr std::uint64_t kSystemBytesMin = 128ULL << 20;
constexpr std::size_t kDescriptorsMin = 64;

}  // namespace

void Limits::set_connections(std::size_t count) {
  system.connections = count;
  system.connections_in = system.connections_out = count;
  trim.high = count - count / 8;
  trim.low = count - count / 4;
  // A node that is told to hold more has been given the room for it.
  const auto bytes = static_cast<std::uint64_t>(count) * kConnectionBytes;
  system.memory_bytes = std::max(system.memory_bytes, kSystemBytesMin + bytes);
  system.streams_in = system.streams_out = system.streams = std::max(kStreamsMax, 4 * count);
}

Limits Limits::scaled(const Machine& machine) {
  const auto budget = machine.memory_bytes / 8;
  Limits limits;
  limits.system.memory_bytes = std::max(budget, kSystemBytesMin);
  limits.system.descriptors = std::max(machine.descriptors / 2, kDescriptorsMin);
  const auto growth = static_cast<std::size_t>(budget * kConnectionsPerGib / kGib);
  limits.set_connections(std::min(kConnectionsBase + growth, kConnectionsMax));

  limits.transient.connections_in = limits.transient.connections_out = kTransientConnectionsMax;
  limits.transient.streams_in = kTransientStreamsMax;
  limits.transient.descriptors = std::max(limits.system.descriptors / 4, kDescriptorsMin);
  limits.transient.memory_bytes = kTransientBytesMax;

  limits.peer.connections_in = limits.peer.connections_out = kPeerConnectionsMax;
  limits.peer.streams_in = limits.peer.streams_out = kPeerStreamsMax;
  limits.peer.memory_bytes = kPeerBytesMax;
  limits.connection.memory_bytes = kConnectionBytesMax;
  limits.stream.memory_bytes = kStreamBytesMax;

  limits.protocol.all.streams_in = limits.protocol.all.streams_out = kProtocolStreamsMax;
  limits.protocol.all.memory_bytes = kProtocolBytesMax;
  limits.protocol.peer.streams_in = limits.protocol.peer.streams_out = kProtocolPeerStreamsMax;
  limits.protocol.peer.memory_bytes = kProtocolPeerBytesMax;
  return limits;
}

}  // namespace nmp::libp2p::resources
