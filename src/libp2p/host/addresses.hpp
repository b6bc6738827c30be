#pragma once

#include <vector>

#include "base/async/udp.hpp"
#include "base/socket_address.hpp"
#include "libp2p/peer/multiaddr.hpp"

namespace nmp::libp2p {

[[nodiscard]] inline SocketAddress to_socket(const IpEndpoint& from) {
  SocketAddress to;
  to.is_v6 = from.ip.v6;
  to.ip = from.ip.bytes;
  to.port = from.port;
  return to;
}
[[nodiscard]] inline IpEndpoint to_endpoint(const SocketAddress& from) {
  IpEndpoint to;
  to.ip.v6 = from.is_v6;
  to.ip.bytes = from.ip;
  to.port = from.port;
  return to;
}
/// A wildcard replaced by the machine's addresses.
[[nodiscard]] inline std::vector<SocketAddress> reachable(const SocketAddress& local) {
  if (!local.is_wildcard()) return {local};
  auto all = async::interface_addresses(local.is_v6);
  for (auto& address : all) address.port = local.port;
  return all;
}

}  // namespace nmp::libp2p
