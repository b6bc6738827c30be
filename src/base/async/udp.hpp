#pragma once

#include <memory>
#include <optional>
#include <span>

#include "base/async/awaitable.hpp"
#include "base/bytes.hpp"
#include "base/socket_address.hpp"

namespace nmp::async {

struct UdpOptions {
  bool gso = true;  ///< hand the kernel many equal datagrams in one call; switched off when it refuses
  bool gro = true;  ///< take many equal datagrams in one buffer
  int buffer_bytes = 4 * 1024 * 1024;  ///< asked for in both directions; the kernel may give less
};

/// One received datagram. `bytes` are valid until the next receive().
struct UdpDatagram {
  ByteView bytes;
  SocketAddress remote;
  /// Where it was sent to: on a socket bound to a wildcard the address that the reply should come from.
  SocketAddress local;
};

/// A bound UDP socket with batching. Network thread only. Don't-fragment is set: QUIC discovers the path's MTU itself.
class UdpSocket {
 public:
  /// IPv6 sockets are IPv6 only, so that both families can listen on one port. Errors: io.
  static Result<std::unique_ptr<UdpSocket>> bind(Executor executor, SocketAddress address, UdpOptions options = {});
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;
  ~UdpSocket();

  /// With the real port.
  [[nodiscard]] const SocketAddress& local() const;

  /// Errors: cancelled, closed.
  Awaitable<Result<void>> wait_readable();
  Awaitable<Result<void>> wait_writable();

  /// What is there, without waiting; empty when nothing is. ICMP errors of earlier sends are skipped. Errors: io,
  /// closed.
  Result<std::span<const UdpDatagram>> receive();

  /// Sends `bytes` as datagrams of `segment_bytes` (the last may be shorter), from the address `source` if given.
  /// Returns the bytes taken: fewer than all means that the socket is full. What the network refuses counts as taken.
  std::size_t send(ByteView bytes, std::size_t segment_bytes, const SocketAddress& remote, const SocketAddress* source);

  [[nodiscard]] bool gso() const;
  [[nodiscard]] bool gro() const;

  /// Ends pending waits with `closed`.
  void close();

 private:
  class Impl;
  explicit UdpSocket(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;  // the socket and its pending waits
};

/// The machine's addresses that are up, for the family, port 0: loopback last, link-local IPv6 left out.
std::vector<SocketAddress> interface_addresses(bool v6);

}  // namespace nmp::async
