#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/async/resolver.hpp"
#include "libp2p/host/limits.hpp"
#include "libp2p/host/stream.hpp"
#include "libp2p/peer/keys.hpp"
#include "libp2p/peer/multiaddr.hpp"
#include "libp2p/peer/peer_id.hpp"
#include "libp2p/resources/limits.hpp"
#include "libp2p/resources/observer.hpp"

namespace nmp::libp2p {

namespace host {
enum class Errc {
  no_address = 1,        ///< Nothing to dial: the peer is unknown, or none of its addresses is QUIC or TCP.
  dial_failed,           ///< Every address was tried, or failed a moment ago; the context names the last reason.
  wrong_peer,            ///< Somebody else answered at the peer's address.
  self_dial,             ///< The peer is this host.
  protocol_unsupported,  ///< The peer speaks none of the offered protocols.
  gated,                 ///< A limit of the owner refused the connection.
};
std::error_code make_error_code(Errc code);
}  // namespace host

/// What an inbound connection may do until its peer is trusted (mark_trusted).
struct UntrustedLimits {
  std::size_t streams_max = kUntrustedStreamsMax;
  std::size_t bytes_max = kUntrustedBytesMax;  ///< received on the connection in all
  Duration time_max = kUntrustedTimeMax;       ///< then the connection is closed as `gated`
};

struct HostLimits {
  /// Absent: scaled to this machine.
  std::optional<resources::Limits> resources;
  std::size_t handshakes_max = kHandshakesMax;  ///< inbound, of each transport
  Duration upgrade_time_max = kUpgradeTimeMax;  ///< of a TCP connection, either way, before it is established
  std::size_t retry_threshold =
      kRetryThreshold;  ///< unvalidated handshakes in flight above which Retry is demanded; 0: always
  /// Absent: every inbound connection has the full limits at once.
  std::optional<UntrustedLimits> untrusted;
};

/// What secures a TCP connection.
enum class Security : std::uint8_t { tls, noise };

struct HostOptions {
  explicit HostOptions(KeyPair key) : identity(std::move(key)) {}

  KeyPair identity;
  /// `/ip4|ip6/../udp/PORT/quic-v1` or `/ip4|ip6/../tcp/PORT[/ws]`; port 0 takes a free one. Empty: dial only.
  std::vector<Multiaddr> listen;
  /// In the order in which a dialler offers it; a listener takes any of them. Not empty. TLS first: its AES is cheaper
  /// than Noise's ChaCha20 where processors know AES, which the dearer handshake pays back within a few megabytes.
  std::vector<Security> security = {Security::tls, Security::noise};
  std::string agent_version = "nmp/0.1.0";
  std::string protocol_version = "nmp/1.0.0";
  HostLimits limits;
  /// For addresses with names; null: the machine's (async::system_resolver).
  std::shared_ptr<async::Resolver> resolver;
  bool identify = true;                          ///< ask each new peer who it is
  std::optional<std::filesystem::path> key_log;  ///< TLS secrets in SSLKEYLOGFILE format: for debugging only
};

/// What identify told about a peer. Its own words, capped, otherwise unchecked.
struct PeerDetails {
  std::string agent_version;
  std::string protocol_version;
  std::vector<std::string> protocols;
  std::vector<Multiaddr> listen_addresses;
  std::optional<Multiaddr> observed_address;  ///< how the peer sees us
  bool signed_record = false;                 ///< the addresses come from a record that the peer signed
};

/// Called on the network thread; must not destroy the Host.
class HostObserver {
 public:
  virtual ~HostObserver() = default;
  /// The first connection to the peer is up.
  virtual void connected(const PeerId& /*peer*/, const Multiaddr& /*address*/, bool /*inbound*/) {}
  /// The last one is gone.
  virtual void disconnected(const PeerId& /*peer*/) {}
  virtual void identified(const PeerId& /*peer*/, const PeerDetails& /*details*/) {}
};

struct ConnectionInfo {
  PeerId peer;
  Multiaddr address;
  bool inbound = false;
  std::size_t streams = 0;
  Duration smoothed_rtt{};
};

struct HostStats {
  std::uint64_t datagrams_received = 0;
  std::uint64_t datagrams_sent = 0;
  std::uint64_t connections_opened = 0;
  std::uint64_t handshakes_refused = 0;  ///< by a limit
  std::uint64_t retries_sent = 0;
  std::uint64_t stateless_resets_sent = 0;
  std::size_t half_open = 0;  ///< inbound handshakes under way now
};

using StreamHandler = std::move_only_function<async::Awaitable<void>(StreamPtr)>;

/// A libp2p node on QUIC and TCP: listens, dials, keeps one connection per peer, negotiates a protocol on each stream.
/// Network thread only. close() before destruction; the destructor asserts it.
class Host {
 public:
  /// Binds the listen addresses. Errors: io (bind), unsupported (an address that is neither QUIC nor TCP over IP).
  static Result<std::unique_ptr<Host>> make(async::Executor executor, HostOptions options);
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  ~Host();

  [[nodiscard]] const PeerId& id() const;
  [[nodiscard]] const KeyPair& identity() const;
  [[nodiscard]] const async::Executor& executor() const;
  /// Real ports, wildcards replaced by the machine's addresses; without `/p2p`.
  [[nodiscard]] std::vector<Multiaddr> listen_addresses() const;

  /// Makes sure that there is a connection: joins a dial in progress, otherwise races the known and given addresses,
  /// names resolved, those that failed a moment ago left out (libp2p/dial).
  /// Errors: host::Errc, deadline_exceeded, cancelled.
  async::Awaitable<Result<void>> connect(PeerInfo peer, Instant deadline);
  /// The next dial of the peer leaves none of its addresses out: for callers that keep a pace of their own, or act for
  /// a person who waits.
  void forget_failures(const PeerId& peer);

  /// Opens a stream and settles on the first of `protocols` that the peer speaks, dialling a known address if needed.
  /// With one protocol the negotiation is lazy: the stream is there at once, and the first read says
  /// host::Errc::protocol_unsupported if the peer refused. Errors: host::Errc, deadline_exceeded, cancelled, closed.
  async::Awaitable<Result<StreamPtr>> open_stream(PeerId peer, std::vector<std::string> protocols, Instant deadline);

  /// Serves an exact protocol id; each stream runs in its own coroutine. Replaces an earlier handler.
  void handle(std::string protocol, StreamHandler handler);
  void unhandle(const std::string& protocol);
  [[nodiscard]] std::vector<std::string> protocols() const;

  /// Addresses to dial later; forgotten after `ttl`, capped per peer and in all.
  void add_addresses(const PeerId& peer, const std::vector<Multiaddr>& addresses, Duration ttl);
  [[nodiscard]] std::vector<Multiaddr> addresses(const PeerId& peer) const;
  /// Those with a live connection.
  [[nodiscard]] std::vector<PeerId> peers() const;
  [[nodiscard]] bool is_connected(const PeerId& peer) const;
  [[nodiscard]] std::vector<ConnectionInfo> connections() const;
  [[nodiscard]] std::optional<PeerDetails> details(const PeerId& peer) const;
  [[nodiscard]] HostStats stats() const;
  /// What each scope holds, of how much.
  [[nodiscard]] resources::Snapshot resources() const;

  /// The peer's connections are not closed for newcomers while they are idle, until release().
  void keep(const PeerId& peer);
  void release(const PeerId& peer);

  /// Lifts the untrusted limits of the peer's present connections.
  void mark_trusted(const PeerId& peer);
  /// Closes the peer's connections with a libp2p connection error code; streams end with `closed`.
  void disconnect(const PeerId& peer, std::uint64_t code = 0);

  /// Observers are borrowed until removed.
  void add_observer(HostObserver* observer);
  void remove_observer(HostObserver* observer);

  /// One round trip of /ipfs/ping/1.0.0 on a fresh stream.
  async::Awaitable<Result<Duration>> ping(PeerId peer, Instant deadline);

  /// Ends dials and handlers, tells every peer, closes the sockets. Streams that are still held answer `closed`.
  async::Awaitable<void> close();

 private:
  class Impl;
  explicit Host(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;  // the host and its streams
};

}  // namespace nmp::libp2p

template <>
struct std::is_error_code_enum<nmp::libp2p::host::Errc> : std::true_type {};
