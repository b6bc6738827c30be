#pragma once

#include <memory>
#include <string_view>

#include "base/socket_address.hpp"
#include "libp2p/peer/peer_id.hpp"
#include "libp2p/resources/limits.hpp"
#include "libp2p/resources/observer.hpp"
#include "libp2p/resources/scope.hpp"

/// The scopes: the system holds everything; a connection is transient until its peer is known, then its peer's; a
/// stream counts with its peer, and is transient until its protocol is known, then the protocol's, and the protocol's
/// of that peer. Nothing is queued: what does not fit in every scope is refused, and the error says where.
namespace nmp::libp2p::resources {

namespace detail {
struct State;
struct ConnectionState;
}  // namespace detail

/// One stream's share; gives it back when it goes. May outlive its connection and the manager.
class StreamScope {
 public:
  StreamScope(StreamScope&&) noexcept = default;
  StreamScope& operator=(StreamScope&&) = delete;
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;
  ~StreamScope();

  /// Out of the transient scope. Errors: exceeded: reset the stream with libp2p's "resource limit exceeded".
  Result<void> set_protocol(std::string_view protocol);
  /// Memory beyond kStreamBytes. Errors: exceeded.
  Result<void> reserve(std::uint64_t bytes, Priority priority = Priority::always);
  void release(std::uint64_t bytes) { held_.give_back({.memory_bytes = bytes}); }
  [[nodiscard]] const Usage& used() const { return held_.used(); }

 private:
  friend class ConnectionScope;
  StreamScope(std::shared_ptr<detail::State> state, PeerId peer) : state_(std::move(state)), peer_(std::move(peer)) {}
  std::shared_ptr<detail::State> state_;  // the manager and its handles
  PeerId peer_;
  std::string protocol_;
  Holding held_;
};

/// One connection's share; gives it back when it goes. May outlive the manager.
class ConnectionScope {
 public:
  ConnectionScope(ConnectionScope&&) noexcept;
  ConnectionScope& operator=(ConnectionScope&&) = delete;
  ConnectionScope(const ConnectionScope&) = delete;
  ConnectionScope& operator=(const ConnectionScope&) = delete;
  ~ConnectionScope();

  /// The handshake is over, so its address is proven and its peer is known. Errors: exceeded, crowded, rate_limited:
  /// close the connection.
  Result<void> set_peer(const PeerId& peer, Instant now);
  /// Errors: exceeded.
  Result<StreamScope> open_stream(Direction direction);
  /// Says how many bytes the connection's buffers hold now, beyond kConnectionBytes. Errors: exceeded: close it; what
  /// was held before is still counted.
  Result<void> hold(std::uint64_t bytes);
  /// Streams of it that are open.
  [[nodiscard]] std::size_t streams() const;
  /// The connection's own, without its streams.
  [[nodiscard]] const Usage& used() const;

 private:
  friend class Manager;
  explicit ConnectionScope(std::unique_ptr<detail::ConnectionState> state);
  std::unique_ptr<detail::ConnectionState> state_;
};

class Manager {
 public:
  /// `observer` outlives the manager and every handle.
  explicit Manager(const Limits& limits, Observer& observer = silent_observer());
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;
  ~Manager();

  /// Whether an inbound connection from there would be admitted. Counts nothing. Errors: crowded, rate_limited (of the
  /// subnet: if its address is not proven, have it proven first), exceeded.
  [[nodiscard]] Result<void> check_inbound(const SocketAddress& from, Instant now) const;
  /// A connection was turned away because of what check_inbound() said.
  void note_refused(const Error& why);

  struct Inbound {
    SocketAddress from;
    bool proven = false;      ///< the sender has answered from there: TCP, or QUIC after Retry
    bool descriptor = false;  ///< it takes one of the process's
  };
  /// Errors: crowded, rate_limited (if proven), exceeded.
  Result<ConnectionScope> open_inbound(const Inbound& connection, Instant now);
  /// Errors: exceeded.
  Result<ConnectionScope> open_outbound(bool descriptor);

  [[nodiscard]] const Limits& limits() const;
  [[nodiscard]] const Usage& system() const;
  [[nodiscard]] Snapshot snapshot() const;

 private:
  std::shared_ptr<detail::State> state_;  // the manager and its handles
};

}  // namespace nmp::libp2p::resources
