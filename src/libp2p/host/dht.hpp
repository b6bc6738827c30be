#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/async/event.hpp"
#include "base/async/task_group.hpp"
#include "libp2p/host/dht_streams.hpp"
#include "libp2p/host/host.hpp"
#include "libp2p/kad/node.hpp"

namespace nmp::libp2p {

struct DhtOptions {
  /// Protocol id, distance, who is in the table, whom a lookup asks next, which values are valid: kad/policy.hpp. Never
  /// null. The default is standard Kademlia under `/nmp/kad/1.0.0` without validators, for provider records only.
  std::unique_ptr<kad::RoutingPolicy> policy = std::make_unique<kad::RoutingPolicy>();
  /// A server answers and advertises the protocol; a client only asks; automatic: kad/mode.hpp.
  kad::Mode mode = kad::Mode::server;
  std::size_t k = kad::kK;
  std::size_t alpha = kad::kAlpha;
  std::size_t beta = kad::kBeta;
  /// Disjoint paths of a lookup.
  std::size_t paths = kad::kPaths;
  /// Members per IP group are limited in the table, and peers asked in a lookup; off for meshes inside one public
  /// subnet.
  bool diversity = true;
  std::size_t message_bytes_max = kad::kMessageBytesMax;
  Duration request_timeout = kad::kRequestTimeout;
  Duration refresh_interval = kad::kRefreshInterval;
  Duration provide_interval = kad::kProvideInterval;
  /// Where to join, at first and again when the table runs low.
  std::vector<PeerInfo> bootstrap;
  /// Outlives the Dht.
  kad::Observer* observer = nullptr;
};

using LookupStats = kad::LookupStats;

/// The Kademlia DHT on a Host: a thin loop around kad::Node, which decides everything. Network thread only.
/// close() before destruction, and before the Host's; the destructor asserts it.
/// Peers that answer a request become members of the table; those that identify with the protocol are asked one.
class Dht final : private HostObserver {
 public:
  /// `host` outlives the Dht. As a server it answers from here on.
  Dht(Host& host, DhtOptions options);
  Dht(const Dht&) = delete;
  Dht& operator=(const Dht&) = delete;
  ~Dht() override;

  /// Joins: looks itself up through the bootstrap peers and the table, then refreshes each bucket as far as `deadline`
  /// allows. Starts the periodic refresh, provide and expiry work at the first call. The value is the size of the
  /// table. Errors: unavailable if no peer answered; cancelled.
  async::Awaitable<Result<std::size_t>> bootstrap(Instant deadline);

  /// Announces that this node provides `key` (1 to 80 bytes; js-libp2p wants a 34-byte sha2-256 multihash) to the k
  /// closest peers, now and every `provide_interval`. The value counts peers to whom the record was sent: ADD_PROVIDER
  /// has no answer, so whether they keep it shows only in a lookup. Errors: too_large; unavailable if none; cancelled.
  async::Awaitable<Result<std::size_t>> provide(Bytes key, Instant deadline);
  /// Stops announcing it; records out there live on until they expire.
  void stop_providing(ByteView key);

  /// Called for each provider as it turns up; false ends the lookup. A claim, not a fact.
  using ProviderFound = std::function<bool(const PeerInfo&)>;
  /// Up to `count` providers (0: all that the closest peers know), this node excepted. The host knows their addresses
  /// afterwards. At the deadline the answer is what has been found. Errors: not_found if none; too_large; cancelled.
  async::Awaitable<Result<std::vector<PeerInfo>>> find_providers(Bytes key,
                                                                 std::size_t count,
                                                                 ProviderFound found,
                                                                 Instant deadline);

  /// Where `peer` is, from its connection, the table, or a lookup. The host knows the addresses afterwards.
  /// Errors: not_found, cancelled.
  async::Awaitable<Result<PeerInfo>> find_peer(PeerId peer, Instant deadline);

  /// Stores a valid value at the k closest peers, and here. The value counts peers that confirmed.
  /// Errors: the validator's; already_exists (a better value is held here); unavailable if nobody took it; cancelled.
  async::Awaitable<Result<std::size_t>> put_value(Bytes key, Bytes value, Instant deadline);
  /// The best valid value, after `quorum` of them (0: after asking all). Peers among the closest that have none or an
  /// older one are sent it. Errors: not_found, unsupported (no validator for the key), cancelled.
  async::Awaitable<Result<Bytes>> get_value(Bytes key, Instant deadline, std::size_t quorum = 0);

  /// Of the last lookup that one of the calls above made.
  [[nodiscard]] const LookupStats& last_stats() const { return last_stats_; }
  [[nodiscard]] const kad::RoutingTable& table() const { return node_.table(); }
  [[nodiscard]] const kad::Server& server() const { return node_.server(); }
  /// How many peers serve the network, as far as lookups tell; nothing after too few of them.
  [[nodiscard]] std::optional<double> network_size() const { return node_.network_size().estimate(); }
  /// Whether the protocol is served and advertised at present.
  [[nodiscard]] bool serves() const { return serving_protocol_; }
  /// What a reachability test found; moves a node in Mode::automatic.
  void on_reachability(kad::Reachability verdict);

  /// Others' provider records and some members, to be kept across a restart; at most kad::kSnapshotBytesMax.
  [[nodiscard]] Bytes snapshot() const;
  /// Before bootstrap(). Errors: malformed, truncated, too_large, unsupported.
  Result<void> restore(ByteView snapshot);

  /// Stops serving and asking; calls in progress end with `cancelled`.
  async::Awaitable<void> close();

 private:
  class Call;

  void connected(const PeerId& peer, const Multiaddr& address, bool inbound) override;
  void identified(const PeerId& peer, const PeerDetails& details) override;
  void disconnected(const PeerId& peer) override;

  /// Carries out what the node wants after each call of one of its functions.
  void pump();
  async::Awaitable<Result<kad::Outcome>> end_of(kad::CallId id);
  async::Awaitable<void> perform(kad::Request request);
  async::Awaitable<void> keep_time();
  void advertise();

  static async::Awaitable<void> accept(std::shared_ptr<Dht*> self, StreamPtr stream);
  async::Awaitable<void> serve(StreamPtr stream);
  async::Awaitable<Result<void>> serve_requests(Stream& stream);

  [[nodiscard]] std::optional<PeerInfo> known(const PeerId& peer) const;
  [[nodiscard]] bool closed() const { return self_ == nullptr; }

  Host& host_;
  DhtOptions options_;
  kad::Node node_;
  async::TaskGroup tasks_;
  DhtStreams streams_;
  async::Event call_ended_;     ///< of the public functions
  async::Event finished_news_;  ///< something in finished_
  async::Event rearm_;          ///< the node's deadline has come closer than armed_
  Instant armed_ = kNever;
  std::size_t calls_ = 0;       ///< of the public functions, in progress
  std::shared_ptr<Dht*> self_;  // this, for handlers that the host has yet to start; null once closed
  std::map<kad::CallId, kad::Finished> finished_;
  std::map<kad::CallId, ProviderFound> watchers_;
  std::map<PeerId, std::size_t> serving_;
  std::size_t serving_total_ = 0;
  bool serving_protocol_ = false;
  LookupStats last_stats_;
};

}  // namespace nmp::libp2p
