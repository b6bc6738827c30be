#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/random.hpp"
#include "libp2p/kad/mode.hpp"
#include "libp2p/kad/network_size.hpp"
#include "libp2p/kad/policy.hpp"
#include "libp2p/kad/query.hpp"
#include "libp2p/kad/rate.hpp"
#include "libp2p/kad/routing_table.hpp"
#include "libp2p/kad/server.hpp"

namespace nmp::libp2p::kad {

/// One thing that the node was asked to do, and one message that it wants sent. Never reused, never zero.
enum class CallId : std::uint64_t {};
enum class RequestId : std::uint64_t {};

struct NodeOptions {
  Mode mode = Mode::server;
  /// k, alpha, beta, paths, diversity, request_timeout of every lookup; `deadline` is the call's.
  LookupOptions lookup;
  TableOptions table;
  Duration refresh_interval = kRefreshInterval;
  Duration provide_interval = kProvideInterval;
  /// Requests of one peer that are answered, and those of them that store something.
  PeerRates::Limit requests{kRequestsPerSecond, kRequestsBurst};
  PeerRates::Limit stores{kStoresPerSecond, kStoresBurst};
  /// Where to join, at first and again when the table runs low.
  std::vector<PeerInfo> bootstrap;
};

/// A message to send. Report its end once with on_answer(), on_sent() or on_failure(); after `deadline` nobody waits.
struct Request {
  RequestId id;
  PeerInfo peer;
  Message message;
  bool answered;  ///< false: the protocol has no answer (ADD_PROVIDER); on_sent() when it is on its way
  Instant deadline;
};

/// A provider, as it turns up during find_providers(): a claim, not a fact.
struct ProviderFound {
  CallId call;
  PeerInfo provider;
};

/// What came of a call; which fields have a value depends on the call.
struct Outcome {
  std::size_t count = 0;            ///< bootstrap: members; provide: records sent; put_value: confirmations
  std::vector<PeerInfo> providers;  ///< find_providers
  std::optional<PeerInfo> peer;     ///< find_peer
  Bytes value;                      ///< get_value
};
struct Finished {
  CallId call;
  Result<Outcome> outcome;
  LookupStats stats;  ///< of the call's lookup; of bootstrap(), of that of ourselves
};

/// A whole Kademlia node as a value: table, lookups, server, and the periodic work, without a socket or a clock. The
/// owner sends what take_requests() gives, reports what came of it, hands it others' requests, and calls on_timer() at
/// deadline(). host/dht.hpp does so over libp2p, sim/mesh.hpp in virtual time: one code, both times.
///
/// Calls return at once with an id; their end comes through take_finished(), possibly already waiting there.
/// Take requests, providers and ends after every call of a non-const function.
class Node {
 public:
  /// `policy`, `random` and `observer` outlive the node. `known`: addresses of connected peers and our own.
  Node(const PeerId& self,
       NodeOptions options,
       RoutingPolicy& policy,
       KnownPeer known,
       Random& random,
       Observer& observer = silent_observer());

  // ---- calls

  /// Joins: looks itself up through the bootstrap peers, remembered ones and the table, then looks into each bucket.
  /// Starts the periodic work. Errors: unavailable if no peer answered.
  CallId bootstrap(Instant deadline, Now now);
  /// Announces `key` (1 to 80 bytes) to the k closest peers (to kCrowdedSpread times as many where the place looks like
  /// a sybil attack), now and every provide_interval. Errors: too_large; unavailable if nobody was reached.
  CallId provide(Bytes key, Instant deadline, Now now);
  void stop_providing(ByteView key);
  /// Up to `count` providers (0: all), the own store's first. Errors: not_found, too_large.
  CallId find_providers(Bytes key, std::size_t count, Instant deadline, Now now);
  /// Errors: not_found.
  CallId find_peer(const PeerId& peer, Instant deadline, Now now);
  /// Errors: the policy's; already_exists (a better value is held here); unavailable if nobody took it.
  CallId put_value(Bytes key, Bytes value, Instant deadline, Now now);
  /// The best value after `quorum` of them (0: after asking all); holders of worse ones are sent it.
  /// Errors: not_found, unsupported.
  CallId get_value(Bytes key, std::size_t quorum, Instant deadline, Now now);
  /// Ends it with what was found so far. Unknown calls are none.
  void stop(CallId call, Now now);

  // ---- what came of requests

  [[nodiscard]] std::vector<Request> take_requests();
  [[nodiscard]] std::vector<ProviderFound> take_providers();
  [[nodiscard]] std::vector<Finished> take_finished();
  void on_answer(RequestId id, const Message& answer, Now now);
  void on_sent(RequestId id, Now now);
  void on_failure(RequestId id, Now now);
  void on_timer(Now now);
  [[nodiscard]] Instant deadline() const;

  // ---- peers

  /// A peer is connected and says whether it serves the protocol. One that does is asked, and becomes a member if it
  /// answers and the table wants it.
  void on_identified(PeerInfo peer, bool serves, Now now);
  void on_disconnected(const PeerId& peer);
  /// It opened the first connection between us.
  void on_inbound(const PeerId& peer, const Multiaddr& address, Now now) {
    mode_.on_inbound(peer, address, now.instant);
  }
  void on_reachability(Reachability verdict) { mode_.on_reachability(verdict); }
  /// Whether the protocol is to be advertised and served now.
  [[nodiscard]] bool serves(Now now) const { return mode_.serves(now.instant); }
  /// Answers a request. Errors, on which the stream is reset: unsupported (a client), exhausted (too many requests of
  /// this peer), and those of Server::answer.
  Result<std::optional<Message>> serve(const Message& request, const PeerId& from, Now now);

  // ---- across restarts

  /// Others' provider records and some members (snapshot.hpp). What this node itself provides is not in it: its owner
  /// says so again, or no longer.
  [[nodiscard]] Bytes snapshot(Now now) const;
  /// Records go to the store, peers are asked at the next bootstrap. Errors: malformed, too_large, truncated.
  Result<void> restore(ByteView snapshot, Now now);

  [[nodiscard]] const RoutingTable& table() const { return table_; }
  [[nodiscard]] const Server& server() const { return server_; }
  [[nodiscard]] const NetworkSize& network_size() const { return size_; }
  [[nodiscard]] std::size_t calls() const { return calls_.size(); }

 private:
  enum class Kind : std::uint8_t { bootstrap, provide, find_providers, find_peer, put_value, get_value };
  struct Call {
    CallId id;
    Kind kind;
    Instant deadline;
    bool reported = true;  ///< false: periodic work, whose end nobody takes
    std::optional<Query> query;
    std::uint64_t lookup = 0;  ///< counts the queries of this call: an answer to an earlier one is none to this
    LookupStats stats;
    Bytes key;
    // put_value
    Bytes value;
    // find_providers
    std::size_t count = 0;  ///< wanted
    std::vector<PeerInfo> providers;
    // bootstrap
    bool self_only = false;
    bool self_found = false;    ///< the first lookup is over
    std::deque<Bytes> buckets;  ///< raw keys yet to look up
    // provide, put_value: after the lookup
    bool storing = false;
    std::size_t sending = 0;
    std::size_t delivered = 0;

    /// Its query, which it has from its first step on.
    Query& running() {
      NMP_ASSERT(query.has_value());
      return *query;
    }
    [[nodiscard]] const Query& running() const {
      NMP_ASSERT(query.has_value());
      return *query;
    }
  };
  /// A request on its way.
  struct Pending {
    PeerInfo peer;
    MessageType type;
    Instant sent;
    Instant deadline;
    std::optional<CallId> call;  ///< nothing: a check of a newcomer or a stale member, a correction
    std::uint64_t lookup = 0;
    bool check = false;
  };

  // node_calls.cpp
  CallId start(Kind kind, Bytes key, Instant deadline);
  Call& open(CallId id) { return calls_.at(id); }
  void look_up(Call& call, Query::Want want, std::vector<PeerInfo> seeds, Now now);
  void drive(Call& call, Now now);
  void looked_up(Call& call, Now now);
  void next_bucket(Call& call, Now now);
  void take_found(Call& call, Now now);
  void announce(Call& call, Now now);
  void store_at(Call& call, const std::vector<PeerInfo>& peers, const Message& message, Now now);
  void correct(const Call& call, const Bytes& value, Now now);
  void settle(Call& call, Now now);
  void finish(Call& call, Result<Outcome> outcome);
  void learn_size(const Call& call);
  [[nodiscard]] std::vector<PeerInfo> seeds_for(const Key& target) const;
  [[nodiscard]] PeerInfo self() const;
  [[nodiscard]] Instant next_tick(Instant now) const;

  // node.cpp
  void send(const PeerInfo& peer, Message message, const Call* call, Now now);
  std::optional<Pending> take_pending(RequestId id);
  /// The call that a request belongs to, if it still waits for it.
  [[nodiscard]] Call* call_of(const Pending& pending);
  void check(const PeerInfo& peer, Now now);
  void maintain(Now now);
  [[nodiscard]] std::optional<PeerInfo> info_of(const PeerId& peer) const;

  PeerId self_;
  NodeOptions options_;
  RoutingPolicy& policy_;
  KnownPeer known_;
  Random& random_;
  Observer& observer_;
  RoutingTable table_;
  Server server_;
  ModeSwitch mode_;
  PeerRates requests_rate_;
  PeerRates stores_rate_;
  NetworkSize size_;

  std::map<CallId, Call> calls_;
  std::map<RequestId, Pending> pending_;
  std::set<std::pair<Instant, RequestId>> timeouts_;
  std::size_t checks_ = 0;
  std::uint64_t last_id_ = 0;
  std::map<Bytes, Instant> provided_;  ///< our keys, and when they were announced
  std::vector<PeerInfo> remembered_;   ///< members of before the restart

  std::vector<Request> requests_;
  std::vector<ProviderFound> found_;
  std::vector<Finished> finished_;

  Instant tick_ = kNever;  ///< of the periodic work; kNever until the first bootstrap
  Instant refreshed_{};
  Instant checked_{};
  bool lost_ = false;  ///< a connection to a member, since the table was looked at
};

}  // namespace nmp::libp2p::kad
