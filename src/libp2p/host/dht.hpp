#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/async/event.hpp"
#include "base/async/task_group.hpp"
#include "base/random.hpp"
#include "libp2p/host/dht_streams.hpp"
#include "libp2p/host/host.hpp"
#include "libp2p/kad/query.hpp"
#include "libp2p/kad/routing_table.hpp"
#include "libp2p/kad/server.hpp"

namespace nmp::libp2p {

struct DhtOptions {
  /// A network of its own: tables never mix with those of IPFS (`/ipfs/kad/1.0.0`).
  std::string protocol = "/nmp/kad/1.0.0";
  /// Serves and advertises the protocol; a client only asks.
  bool server = true;
  std::size_t k = kad::kK;
  std::size_t alpha = kad::kAlpha;
  std::size_t beta = kad::kBeta;
  /// Members per /24 and /48 are limited in the table; off for meshes inside one subnet.
  bool diversity = true;
  std::size_t message_bytes_max = kad::kMessageBytesMax;
  Duration request_timeout = kad::kRequestTimeout;
  Duration refresh_interval = kad::kRefreshInterval;
  Duration provide_interval = kad::kProvideInterval;
  /// Where to join, at first and again when the table runs low.
  std::vector<PeerInfo> bootstrap;
  /// For the values of put_value, get_value and those that others store here.
  kad::Validators validators;
  kad::Observer* observer = nullptr;
};

using LookupStats = kad::LookupStats;

/// The Kademlia DHT on a Host: a thin loop around the machines of libp2p/kad. Network thread only.
/// close() before destruction, and before the Host's; the destructor asserts it.
/// Peers that identify with the protocol, and peers that answer a request of it, become members of the table.
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
  [[nodiscard]] const kad::RoutingTable& table() const { return table_; }
  [[nodiscard]] const kad::Server& server() const { return server_; }

  /// Stops serving and asking; calls in progress end with `cancelled`.
  async::Awaitable<void> close();

 private:
  struct Run;
  struct Tally;
  using RunPtr = std::shared_ptr<Run>;      // the caller's loop and its requests in flight
  using TallyPtr = std::shared_ptr<Tally>;  // likewise
  class Call;

  void identified(const PeerId& peer, const PeerDetails& details) override;
  void disconnected(const PeerId& peer) override;

  async::Awaitable<Result<RunPtr>> run(kad::Query::Want want,
                                       std::vector<PeerInfo> seeds,
                                       ProviderFound found,
                                       Instant deadline);
  async::Awaitable<void> ask(RunPtr run, PeerInfo peer);
  async::Awaitable<Result<void>> look_up_self(Instant deadline);
  async::Awaitable<Result<void>> refresh_buckets(Instant deadline);
  async::Awaitable<Result<std::size_t>> announce(Bytes key, Instant deadline);
  async::Awaitable<void> deliver(TallyPtr tally, PeerInfo peer, kad::Message message, Instant deadline);
  async::Awaitable<Result<std::size_t>> send_to_all(std::vector<PeerInfo> peers,
                                                    kad::Message message,
                                                    Instant deadline);
  async::Awaitable<void> maintain();

  static async::Awaitable<void> accept(std::shared_ptr<Dht*> self, StreamPtr stream);
  async::Awaitable<void> serve(StreamPtr stream);
  async::Awaitable<Result<void>> serve_requests(Stream& stream);

  [[nodiscard]] std::optional<PeerInfo> known(const PeerId& peer) const;
  [[nodiscard]] std::vector<PeerInfo> seeds_for(const kad::Key& target) const;
  [[nodiscard]] bool closed() const { return self_ == nullptr; }

  Host& host_;
  DhtOptions options_;
  kad::Observer& observer_;
  kad::RoutingTable table_;
  kad::Server server_;
  async::TaskGroup tasks_;
  DhtStreams streams_;
  async::Event call_ended_;
  std::size_t calls_ = 0;       ///< of the public functions, in progress
  std::shared_ptr<Dht*> self_;  // this, for handlers that the host has yet to start; null once closed
  std::map<PeerId, std::size_t> serving_;
  std::size_t serving_total_ = 0;
  std::map<Bytes, Instant> provided_;  ///< our keys, and when they were announced
  LookupStats last_stats_;
  bool maintaining_ = false;
  bool lost_ = false;  ///< a connection to a member, since the table was looked at
};

}  // namespace nmp::libp2p
