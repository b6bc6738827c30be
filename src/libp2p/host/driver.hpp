#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/async/event.hpp"
#include "base/async/task_group.hpp"
#include "base/async/udp.hpp"
#include "libp2p/host/limits.hpp"
#include "libp2p/peer/multiaddr.hpp"
#include "libp2p/quic/buffers.hpp"
#include "libp2p/quic/endpoint.hpp"

namespace nmp::libp2p {

class Driver;

/// The part of a stream that the driver and the Stream object share: events arrive here.
struct StreamCore {
  StreamCore(Driver& owner, quic::ConnectionId on, quic::StreamId number, const async::Executor& executor)
      : driver(&owner), connection(on), id(number), changed(executor) {}

  Driver* driver;  ///< null once the connection is gone
  quic::ConnectionId connection;
  quic::StreamId id;
  async::Event changed;
  /// What had arrived when the connection ended.
  quic::ReceiveBuffer leftover;
  bool leftover_end = false;
  std::optional<std::uint64_t> last_code;

  quic::ReadResult read(std::span<std::byte> buffer);
  std::size_t write(ByteView data);
  [[nodiscard]] bool can_write() const;
  void finish();
  void reset(std::uint64_t code) noexcept;
  void stop_reading(std::uint64_t code) noexcept;
  [[nodiscard]] std::optional<std::uint64_t> peer_code() const;
};
using StreamCorePtr = std::shared_ptr<StreamCore>;  // the driver's table and the Stream

/// Runs a quic::Endpoint on real sockets and the real clock.
class Driver {
 public:
  /// Who is told. Called between endpoint calls: may call the driver.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void on_established(quic::ConnectionId id) = 0;
    virtual void on_stream(quic::ConnectionId id, quic::StreamId stream) = 0;
    virtual void on_streams_available(quic::ConnectionId id) = 0;
    virtual void on_closed(quic::ConnectionId id, const quic::CloseReason& reason) = 0;
  };

  /// All arguments outlive the driver.
  Driver(async::Executor executor, const Clock& clock, quic::Endpoint& endpoint, Listener& listener);
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;
  ~Driver();

  /// Errors: base io.
  Result<SocketAddress> listen(const SocketAddress& address);
  void start();
  [[nodiscard]] std::vector<SocketAddress> listening() const;

  /// Dials from a listening socket of the family if there is a fitting one. Errors: base io, quic::Errc.
  Result<quic::ConnectionId> dial(const SocketAddress& remote, const PeerId& expected);

  [[nodiscard]] quic::Connection* find(quic::ConnectionId id) { return endpoint_.find(id); }
  /// After a call on a connection: sends soon what it has to say.
  void touch(quic::ConnectionId id);
  void close(quic::ConnectionId id, std::uint64_t code);

  /// The core of a stream of a live connection.
  StreamCorePtr adopt(quic::ConnectionId id, quic::StreamId stream);
  /// The Stream object is gone. `drain`: its writing is finished but the peer's negotiation answer is still under way;
  /// it is read and dropped before the stream ends.
  void release(const StreamCorePtr& core, bool drain);

  [[nodiscard]] Instant now() const { return clock_.now(); }
  [[nodiscard]] std::uint64_t datagrams_sent() const { return datagrams_sent_; }

  /// Says goodbye to every peer and ends the loops.
  async::Awaitable<void> close_all(std::uint64_t code);

 private:
  struct Socket {
    std::unique_ptr<async::UdpSocket> udp;
    bool listening = false;
    bool blocked = false;
    Bytes backlog;  ///< the part of one batch that the kernel did not take
    quic::Batch backlog_batch;
  };
  using StreamKey = std::pair<quic::ConnectionId, quic::StreamId>;

  Result<std::size_t> open_socket(const SocketAddress& address, bool listening);
  Result<std::size_t> socket_for(const SocketAddress& remote);
  async::Awaitable<void> receive_loop(std::size_t index);
  async::Awaitable<void> write_loop(std::size_t index);
  async::Awaitable<void> timer_loop();
  void want_flush();
  void flush();
  void dispatch();
  void send(const quic::Batch& batch);
  void end_streams(quic::ConnectionId id);
  void drain(StreamCore& core);
  [[nodiscard]] bool any_blocked() const;

  async::Executor executor_;
  const Clock& clock_;
  quic::Endpoint& endpoint_;
  Listener& listener_;
  std::vector<Socket> sockets_;
  std::map<StreamKey, StreamCorePtr> streams_;
  std::map<StreamKey, StreamCorePtr> draining_;
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
