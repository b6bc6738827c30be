#pragma once

#include <vector>

#include "base/async/task_group.hpp"
#include "base/async/udp.hpp"
#include "libp2p/host/transport.hpp"
#include "libp2p/quic/endpoint.hpp"

namespace nmp::libp2p {

/// Runs a quic::Endpoint on real sockets and the real clock.
class QuicTransport final : public Transport, private quic::Gate {
 public:
  /// All arguments outlive the transport.
  QuicTransport(async::Executor executor,
                const Clock& clock,
                quic::Endpoint& endpoint,
                resources::Manager& resources,
                Listener& listener);
  QuicTransport(const QuicTransport&) = delete;
  QuicTransport& operator=(const QuicTransport&) = delete;
  ~QuicTransport() override;

  [[nodiscard]] bool handles(const Multiaddr& address) const override;
  Result<void> listen(const Multiaddr& address) override;
  void start() override;
  [[nodiscard]] std::vector<Multiaddr> listening() const override;
  /// From a listening socket of the family if there is a fitting one.
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

  [[nodiscard]] std::uint64_t datagrams_sent() const { return datagrams_sent_; }

 private:
  struct Socket {
    std::unique_ptr<async::UdpSocket> udp;
    bool listening = false;
    bool blocked = false;
    Bytes backlog;  ///< the part of one batch that the kernel did not take
    quic::Batch backlog_batch;
  };

  Verdict ask(const SocketAddress& remote, bool proven, Instant now) override;
  void accepted(quic::ConnectionId id, const SocketAddress& remote, bool proven, Instant now) override;
  [[nodiscard]] quic::Connection* find(ConnectionId id) const;
  /// After a call on a connection: sends soon what it has to say.
  void touch(ConnectionId id);
  Result<std::size_t> open_socket(const SocketAddress& address, bool listening);
  Result<std::size_t> socket_for(const SocketAddress& remote);
  async::Awaitable<void> receive_loop(std::size_t index);
  async::Awaitable<void> write_loop(std::size_t index);
  async::Awaitable<void> timer_loop();
  void want_flush();
  void flush();
  void dispatch();
  void send(const quic::Batch& batch);
  [[nodiscard]] bool any_blocked() const;

  quic::Endpoint& endpoint_;
  std::vector<Socket> sockets_;
  Bytes buffer_;
  bool started_ = false;
  bool closed_ = false;
  bool flush_wanted_ = false;
  std::uint64_t datagrams_sent_ = 0;
  Instant armed_ = kNever;
  async::Event rearm_;
  std::shared_ptr<bool> alive_;  // this, and flushes that were posted
  async::TaskGroup tasks_;
};

}  // namespace nmp::libp2p
