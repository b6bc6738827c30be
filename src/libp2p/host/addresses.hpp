#pragma once

#include "base/socket_address.hpp"
#include "libp2p/peer/multiaddr.hpp"

namespace nmp::libp2p {

[[nodiscard]] inline SocketAddress to_socket(const UdpAddress& from) {
  SocketAddress to;
  to.is_v6 = from.ip.v6;
  to.ip = from.ip.bytes;
  to.port = from.port;
  return to;
}
[[nodiscard]] inline Multiaddr to_multiaddr(const SocketAddress& from) {
  UdpAddress to;
  to.ip.v6 = from.is_v6;
  to.ip.bytes = from.ip;
  to.port = from.port;
  return Multiaddr::quic_v1(to);
}

}  // namespace nmp::libp2p
