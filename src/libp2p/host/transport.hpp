#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>

#include "base/async/event.hpp"
#include "base/time.hpp"
#include "libp2p/host/limits.hpp"
#include "libp2p/peer/multiaddr.hpp"
#include "libp2p/quic/buffers.hpp"
#include "libp2p/resources/manager.hpp"

/// What a Host needs of a way to reach peers, and what all of them share: the streams of their connections.
namespace nmp::libp2p {

enum class TransportKind : std::uint8_t { quic, tcp };

/// A connection of this host; never used twice.
struct ConnectionId {
  TransportKind transport{};
  std::uint64_t number = 0;
  friend auto operator<=>(const ConnectionId&, const ConnectionId&) = default;
};

/// A stream of one connection, by its transport's numbers.
enum class StreamId : std::int64_t {};

struct StreamRead {
  std::size_t size = 0;
  bool end = false;     ///< the peer has finished, and all was read
  bool broken = false;  ///< reset by either side, or unknown
};

/// A connection whose handshake is over.
struct ConnectionState {
  PeerId peer;
  Multiaddr address;
  bool inbound = false;
  bool restricted = false;  ///< smaller windows until lift_restriction()
  std::size_t streams = 0;
  Duration smoothed_rtt{};
};

struct StreamCore;
using StreamCorePtr = std::shared_ptr<StreamCore>;  // the transport's table and the Stream

/// Dials, listens, secures and multiplexes. Network thread only. Calls that name a connection or stream which is gone
/// do nothing and answer as the methods say.
class Transport {
 public:
  /// Who is told. May call the transport.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void on_established(ConnectionId id) = 0;
    virtual void on_stream(ConnectionId id, StreamId stream) = 0;
    virtual void on_streams_available(ConnectionId id) = 0;
    /// The last word about a connection, established or not. `why` is a host::Errc.
    virtual void on_closed(ConnectionId id, const Error& why) = 0;
  };

  /// What is borrowed outlives the transport.
  Transport(async::Executor executor, const Clock& clock, resources::Manager& resources, Listener& listener)
      : executor_(std::move(executor)), clock_(clock), resources_(resources), listener_(listener) {}
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport();

  /// Whether listen() and dial() take it.
  [[nodiscard]] virtual bool handles(const Multiaddr& address) const = 0;
  /// Errors: base io, unsupported.
  virtual Result<void> listen(const Multiaddr& address) = 0;
  virtual void start() = 0;
  /// With real ports, wildcards replaced by the machine's addresses.
  [[nodiscard]] virtual std::vector<Multiaddr> listening() const = 0;
  /// on_established() or on_closed() follows. Errors: base io, unsupported; of the transport's limits.
  virtual Result<ConnectionId> dial(const Multiaddr& remote, const PeerId& expected) = 0;
  /// Nothing unless established and not closed.
  [[nodiscard]] virtual std::optional<ConnectionState> state(ConnectionId id) const = 0;
  virtual void lift_restriction(ConnectionId id) = 0;
  virtual void close(ConnectionId id, std::uint64_t code) = 0;
  /// Says goodbye to every peer and ends all tasks.
  virtual async::Awaitable<void> close_all(std::uint64_t code) = 0;

  /// Errors: exhausted (wait for on_streams_available), closed.
  virtual Result<StreamId> open_stream(ConnectionId id) = 0;
  /// An unknown stream is broken.
  virtual StreamRead read(ConnectionId id, StreamId stream, std::span<std::byte> buffer) = 0;
  /// Takes what fits into the send buffer.
  virtual std::size_t write(ConnectionId id, StreamId stream, ByteView data) = 0;
  [[nodiscard]] virtual bool can_write(ConnectionId id, StreamId stream) const = 0;
  virtual void finish(ConnectionId id, StreamId stream) = 0;
  virtual void reset(ConnectionId id, StreamId stream, std::uint64_t code) = 0;
  virtual void stop_reading(ConnectionId id, StreamId stream, std::uint64_t code) = 0;
  /// The last word on a stream: what is unfinished is reset.
  virtual void release(ConnectionId id, StreamId stream, std::uint64_t code) = 0;
  [[nodiscard]] virtual std::optional<std::uint64_t> peer_code(ConnectionId id, StreamId stream) const = 0;

  /// A connection's share of the host's limits; null once it is gone.
  [[nodiscard]] resources::ConnectionScope* scope(ConnectionId id);
  /// The core of a stream of a live connection whose peer is set. Errors: resources::Errc; release the stream then.
  Result<StreamCorePtr> adopt(ConnectionId id, StreamId stream, resources::Direction direction);
  /// The Stream object is gone. `drain`: its writing is finished but the peer's negotiation answer is still under way;
  /// it is read and dropped before the stream ends.
  void let_go(const StreamCorePtr& core, bool drain);

  [[nodiscard]] Instant now() const { return clock_.now(); }

 protected:
  /// A connection is counted from here until dismiss().
  void admit(ConnectionId id, resources::ConnectionScope scope);
  void dismiss(ConnectionId id);
  /// Says what a connection's buffers hold now; closes the connection that may not hold it.
  void account(ConnectionId id, std::uint64_t held_bytes);
  /// The stream is readable or writable again.
  void stream_changed(ConnectionId id, StreamId stream);
  /// The connection is over while its streams can still be read. `by_us`: what had arrived is dropped; else it stays
  /// readable, at most the stream's window.
  void end_streams(ConnectionId id, bool by_us);
  /// Of all connections, when nothing can be read any more.
  void forget_streams();

  async::Executor executor_;
  const Clock& clock_;
  resources::Manager& resources_;
  Listener& listener_;

 private:
  struct Admitted {
    resources::ConnectionScope scope;
    std::uint64_t held_bytes = 0;  ///< as counted last
  };
  using StreamKey = std::pair<ConnectionId, StreamId>;
  void drain(StreamCore& core);

  std::map<ConnectionId, Admitted> admitted_;
  std::map<StreamKey, StreamCorePtr> streams_;
  std::map<StreamKey, StreamCorePtr> draining_;
};

/// The part of a stream that its transport and the Stream object share: events arrive here.
struct StreamCore {
  StreamCore(
      Transport& owner, ConnectionId on, StreamId number, resources::StreamScope share, const async::Executor& executor)
      : transport(&owner), connection(on), id(number), scope(std::move(share)), changed(executor) {}

  Transport* transport;  ///< null once the connection is gone
  ConnectionId connection;
  StreamId id;
  resources::StreamScope scope;
  async::Event changed;
  /// What had arrived when the connection ended.
  quic::ReceiveBuffer leftover;
  bool leftover_end = false;
  std::optional<std::uint64_t> last_code;

  StreamRead read(std::span<std::byte> buffer);
  std::size_t write(ByteView data);
  [[nodiscard]] bool can_write() const;
  void finish();
  void reset(std::uint64_t code) noexcept;
  void stop_reading(std::uint64_t code) noexcept;
  [[nodiscard]] std::optional<std::uint64_t> peer_code() const;
};

}  // namespace nmp::libp2p
