#pragma once

#include <map>
#include <set>
#include <vector>

#include "base/async/task_group.hpp"
#include "base/async/tcp.hpp"
#include "base/random.hpp"
#include "libp2p/host/host.hpp"
#include "libp2p/host/secured_stream.hpp"
#include "libp2p/host/transport.hpp"
#include "libp2p/peer/keys.hpp"
#include "libp2p/yamux/session.hpp"

namespace nmp::libp2p {

/// What strangers may take of a TcpTransport beside what resources::Manager counts; as for QUIC.
struct TcpLimits {
  std::size_t handshakes_max = kHandshakesMax;  ///< inbound; the oldest gives way to a newcomer
  Duration upgrade_time_max = kUpgradeTimeMax;
  /// Of inbound connections until lifted: beyond it a stream is reset, the connection closed as `gated`.
  std::optional<UntrustedLimits> untrusted;
};

/// TCP, plain or inside a WebSocket, secured by TLS or Noise, multiplexed by Yamux (libp2p.md section 9).
class TcpTransport final : public Transport {
 public:
  struct Identity {
    const KeyPair& key;
    const PeerId& id;
    tls::Context& tls;
    std::vector<Security> security;  ///< as in HostOptions
  };
  /// All references outlive the transport.
  TcpTransport(async::Executor executor,
               const Clock& clock,
               Identity identity,
               Random& random,
               TcpLimits limits,
               resources::Manager& resources,
               Listener& listener);
  TcpTransport(const TcpTransport&) = delete;
  TcpTransport& operator=(const TcpTransport&) = delete;
  ~TcpTransport() override;

  [[nodiscard]] bool handles(const Multiaddr& address) const override;
  Result<void> listen(const Multiaddr& address) override;
  void start() override;
  [[nodiscard]] std::vector<Multiaddr> listening() const override;
  Result<ConnectionId> dial(const Multiaddr& remote, const PeerId& expected) override;
  [[nodiscard]] std::optional<ConnectionState> state(ConnectionId id) const override;
  void lift_restriction(ConnectionId id) override;
  void close(ConnectionId id, std::uint64_t code) override;
  async::Awaitable<void> close_all(std::uint64_t code) override;

  Result<StreamId> open_stream(ConnectionId id) override;
  StreamRead read(ConnectionId id, StreamId stream, std::span<std::byte> buffer) override;
  std::size_t write(ConnectionId id, StreamId stream, ByteView data) override;
  [[nodiscard]] bool can_write(ConnectionId id, StreamId stream) const override;
  void finish(ConnectionId id, StreamId stream) override;
  void reset(ConnectionId id, StreamId stream, std::uint64_t code) override;
  void stop_reading(ConnectionId id, StreamId stream, std::uint64_t code) override;
  void release(ConnectionId id, StreamId stream, std::uint64_t code) override;
  [[nodiscard]] std::optional<std::uint64_t> peer_code(ConnectionId id, StreamId stream) const override;

  [[nodiscard]] std::uint64_t connections_refused() const { return refused_; }
  /// Inbound handshakes under way.
  [[nodiscard]] std::size_t half_open() const { return handshakes_.size(); }

 private:
  struct Connection;
  using ConnectionPtr = std::shared_ptr<Connection>;  // the table, the tasks that read and write
  struct Socket {
    std::unique_ptr<async::StreamListener> tcp;
    SocketAddress local;
    bool websocket = false;
  };

  [[nodiscard]] Connection* find(ConnectionId id) const;
  /// After a call on a connection's muxer.
  static void touch(Connection& connection);
  ConnectionPtr add(bool inbound, const SocketAddress& remote, bool websocket, resources::ConnectionScope share);
  async::Awaitable<void> accept_loop(std::size_t index);
  async::Awaitable<void> run(ConnectionPtr connection);
  async::Awaitable<Result<void>> upgrade(ConnectionPtr connection);
  /// Puts the agreed security around the connection's stream, which has to shake hands yet.
  Result<SecuredStream*> secure_stream(Connection& connection, std::string_view protocol);
  async::Awaitable<Result<void>> read_loop(ConnectionPtr connection);
  async::Awaitable<void> write_loop(ConnectionPtr connection);
  void dispatch(Connection& connection);
  void forget(Connection& connection);

  Identity identity_;
  Random& random_;
  TcpLimits limits_;
  std::vector<Socket> sockets_;
  std::map<std::uint64_t, ConnectionPtr> connections_;
  std::set<std::uint64_t> handshakes_;  ///< inbound, oldest first
  std::uint64_t last_id_ = 0;
  std::uint64_t refused_ = 0;
  bool closed_ = false;
  async::TaskGroup tasks_;
};

}  // namespace nmp::libp2p
