#pragma once

#include <deque>
#include <map>
#include <set>

#include "base/address_block.hpp"
#include "libp2p/quic/connection.hpp"

namespace nmp::libp2p::quic {

enum class ConnectionId : std::uint64_t {};

struct EndpointLimits {
  std::size_t connections_max = kConnectionsMax;
  /// Inbound; IPv4 /32, IPv6 /56; loopback is free. Those that have not proven their address do not shut out its owner:
  /// when they are as many, the next has to prove it.
  std::size_t connections_per_ip_max = kConnectionsPerIpMax;
  std::size_t handshakes_max = kHandshakesMax;  ///< inbound, in flight; the oldest gives way to a newcomer
  /// Unvalidated ones above which Retry is demanded; 0: always. Those that failed count until they are forgotten.
  std::size_t retry_threshold = kRetryThreshold;
  std::optional<Restriction> restriction;  ///< of inbound connections until lifted
};

struct EndpointStats {
  std::uint64_t datagrams_received = 0;
  std::uint64_t datagrams_dropped = 0;
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_refused = 0;
  std::uint64_t retries_sent = 0;
  std::uint64_t version_negotiations_sent = 0;
  std::uint64_t stateless_resets_sent = 0;
};

/// Who counts the connections of all transports. Asked before an endpoint makes one for a stranger, after its own
/// limits.
class Gate {
 public:
  virtual ~Gate() = default;
  enum class Verdict : std::uint8_t {
    accept,
    prove,  ///< once the sender has answered from its address (Retry)
    refuse,
  };
  /// Counts nothing. `proven`: the sender has answered from there.
  virtual Verdict ask(const SocketAddress& remote, bool proven, Instant now) = 0;
  /// The connection exists until its event `closed` has been taken.
  virtual void accepted(ConnectionId id, const SocketAddress& remote, bool proven, Instant now) = 0;
};

/// All connections that share a set of UDP sockets, as a value: finds the connection of each datagram (by connection
/// ID, or by the last 16 bytes for a stateless reset), answers strangers, counts against the limits.
class Endpoint {
 public:
  struct Secrets {
    SecretBytes<32> reset;  ///< survives restarts
    SecretBytes<32> token;  ///< seals Retry tokens; may be new at each start
  };
  struct EndpointEvent {
    ConnectionId connection;
    Event event;
  };

  /// `tls` and `random` outlive the endpoint.
  Endpoint(tls::Context& tls, Random& random, Secrets secrets, EndpointLimits limits);
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;
  ~Endpoint();

  /// `gate` is borrowed; null, as at first: the endpoint's own limits are all.
  void set_gate(Gate* gate) { gate_ = gate; }
  /// Whether Initial packets from strangers are answered; off at first.
  void set_accepting(bool accepting) { accepting_ = accepting; }

  /// Errors: Errc::refused (connections_max), internal.
  Result<ConnectionId> dial(Connection::Path path, std::optional<PeerId> expected, Instant now);
  void on_datagram(const Connection::Path& path, ByteView datagram, Instant now);
  void on_deadline(Instant now);
  [[nodiscard]] Instant deadline() const;
  /// The next datagrams of any connection, in turns. `buffer` is 64 KiB or more.
  std::optional<Batch> next_batch(std::span<std::byte> buffer, Instant now);
  [[nodiscard]] std::vector<EndpointEvent> take_events();

  /// Null once the connection is forgotten. After calls on it, touch() it.
  [[nodiscard]] Connection* find(ConnectionId id);
  void touch(ConnectionId id);
  void close_all(std::uint64_t code, Instant now);

  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  /// Inbound handshakes under way.
  [[nodiscard]] std::size_t half_open() const { return handshakes_.size(); }
  [[nodiscard]] const EndpointStats& stats() const { return stats_; }

 private:
  struct Entry;
  struct PerIp {
    std::size_t all = 0;
    std::size_t proven = 0;
  };
  struct Reply {
    Connection::Path path;
    Bytes bytes;
  };
  /// So many in each second.
  struct Budget {
    Instant since{};
    std::size_t used = 0;
    bool take(Instant now, std::size_t per_second_max);
  };

  void on_stranger(const Connection::Path& path, ByteView datagram, Instant now);
  void send_version_negotiation(const Connection::Path& path, ByteView dcid, ByteView scid, Instant now);
  void send_stateless_reset(const Connection::Path& path, ByteView datagram, ByteView dcid, Instant now);
  void send_retry(const Connection::Path& path, const Connection::Incoming& incoming, Instant now);
  void refuse(const Connection::Path& path, const Connection::Incoming& incoming, std::uint64_t code, Instant now);
  /// False when strangers have had their share of answers for this second.
  bool may_reply(Instant now);
  /// Unvalidated connections, and those that were for a moment.
  std::size_t unproven(Instant now);
  /// Whether there is place for one connection more; one that is over may be forgotten for it.
  bool make_room();
  void collect(Entry& entry);
  void prove(Entry& entry);
  void uncount(Entry& entry);
  void forget(ConnectionId id);

  Connection::Common common() { return {tls_, random_, secrets_.reset}; }

  tls::Context& tls_;
  Random& random_;
  Secrets secrets_;
  EndpointLimits limits_;
  Gate* gate_ = nullptr;
  bool accepting_ = false;
  std::uint64_t last_id_ = 0;
  // Before the entries: their destructors take themselves off these.
  std::map<Cid, ConnectionId> by_cid_;
  std::map<ResetToken, ConnectionId> by_token_;
  std::map<ConnectionId, std::unique_ptr<Entry>> entries_;
  std::set<std::pair<Instant, ConnectionId>> deadlines_;
  std::deque<ConnectionId> dirty_;
  std::map<AddressBlock, PerIp> per_ip_;
  std::set<ConnectionId> handshakes_;  // oldest first
  std::set<ConnectionId> over_;        // closed, and the owner knows: kept only to answer latecomers
  std::size_t unvalidated_ = 0;
  std::deque<Instant> strays_;  // until when each counts as unvalidated
  std::deque<Reply> replies_;
  Budget reply_budget_;
  Budget retry_budget_;
  std::vector<EndpointEvent> events_;
  EndpointStats stats_;
};

}  // namespace nmp::libp2p::quic
