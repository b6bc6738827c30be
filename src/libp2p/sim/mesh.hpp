#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <unordered_map>
#include <vector>

#include "libp2p/kad/node.hpp"
#include "libp2p/sim/world.hpp"

namespace nmp::libp2p::sim {

struct MeshOptions {
  std::size_t nodes = 1000;
  std::uint64_t seed = 1;
  /// Shares of the nodes, 0 to 1; the rest are servers.
  double clients = 0;
  double unreachable = 0;
  double attackers = 0;
  /// Identities beside the attackers that join: in nobody's table, but named in lies, and they answer. Keys are cheap:
  /// an adversary has as many as it likes, so whatever is looked up, some are closer than any honest peer.
  std::size_t attacker_pool = 0;
  /// /24 networks that the adversary owns, all in one /16 if they are no more than 256; its identities are spread
  /// evenly over them.
  std::size_t attacker_networks = 1;
  /// Among whom the others are spread, at most kOrganisationsMax.
  std::size_t organisations = 50;
  /// Share of messages that have to be sent again.
  double loss = 0;
  /// Share of the peers that leave within an hour, each for a newcomer; node 0 and protected ones stay.
  double churn_per_hour = 0;
  /// Every message goes through its encoding, as on a real wire. Half as fast.
  bool through_codec = false;
  /// Of every node; `mode` and `bootstrap` are set by the mesh.
  kad::NodeOptions node;
  /// Each node's policy; empty: standard Kademlia.
  std::function<std::unique_ptr<kad::RoutingPolicy>(const Seat&)> policy;
};

/// What one call of one node did.
struct Report {
  bool ok = false;
  std::vector<PeerInfo> providers;  ///< find_providers
  std::size_t count = 0;            ///< provide: records sent
  kad::LookupStats stats;           ///< its duration is virtual
  std::vector<std::size_t> asked;   ///< who was asked, by number, in order
};

/// A mesh of kad::Node in virtual time. Same options, same calls: the same run, to the last message (history()).
///
/// The network: a message takes the latency of world.hpp with up to 10 % of jitter; a first message between two peers
/// takes a handshake's round trip more; loss costs a probe timeout (QUIC sends again); who is gone, or behind a NAT,
/// does not answer, and is given up after kad::kDialTimeout. Whoever is contacted learns, as by identify, who it is.
///
/// The adversary owns all attackers. They join and ask like anybody else and are in tables where the tables let them;
/// asked themselves, they answer with the identities of the adversary that are closest to the key and nothing else: no
/// providers, no honest peers. besiege() adds identities made for one key.
class Mesh {
 public:
  /// Every node joins through one that is there, fifty a second of virtual time; then the mesh rests for a minute.
  explicit Mesh(MeshOptions options);
  Mesh(const Mesh&) = delete;
  Mesh& operator=(const Mesh&) = delete;
  ~Mesh();

  // ---- time

  void run_for(Duration time);
  [[nodiscard]] Instant now() const { return now_; }

  // ---- calls, each until its end

  Report provide(std::size_t number, ByteView key);
  /// `count` as kad::Node::find_providers.
  Report find_providers(std::size_t number, ByteView key, std::size_t count);

  // ---- peers

  /// Seats ever taken; those who left keep their number.
  [[nodiscard]] std::size_t size() const { return people_.size(); }
  [[nodiscard]] const Seat& seat(std::size_t number) const;
  [[nodiscard]] bool alive(std::size_t number) const;
  [[nodiscard]] const kad::Node& node(std::size_t number) const;
  [[nodiscard]] std::optional<std::size_t> number_of(const PeerId& id) const;
  /// A living server, by chance.
  [[nodiscard]] std::size_t any_server();
  /// A living server or client, by chance.
  [[nodiscard]] std::size_t anyone();
  /// It does not leave.
  void protect(std::size_t number);
  /// `count` attackers whose identities are closer to `key` than any honest peer, made by trial as a real one would;
  /// they join.
  void besiege(ByteView key, std::size_t count);

  /// Messages since the start, and a hash of all of them with their times.
  [[nodiscard]] std::uint64_t messages() const { return messages_; }
  [[nodiscard]] std::uint64_t history() const { return history_; }

 private:
  struct Person;
  enum class What : std::uint8_t { join, leave, timer, request, answer, sent, failure };
  using MessagePtr = std::shared_ptr<const kad::Message>;  // one request or answer on its way, its copies in the queue
  struct Event {
    Instant at;
    std::uint64_t order;
    What what;
    std::uint32_t to;  ///< at whom it happens
    std::uint32_t from = 0;
    kad::RequestId request{};
    MessagePtr message;
    bool operator<(const Event& other) const { return std::tie(at, order) > std::tie(other.at, other.order); }
  };

  std::uint32_t seat_newcomer(Kind kind);
  std::uint32_t seat(Seat seat);
  void schedule(Duration after, Event event);
  void step();
  void handle(const Event& event);
  void join(Person& person);
  void leave(Person& person);
  void serve(Person& person, const Event& event);
  [[nodiscard]] std::optional<kad::Message> lie(const Person& person, const kad::Message& request) const;
  void pump(Person& person);
  void transmit(Person& from, kad::Request request);
  void meet(Person& one, Person& other);
  [[nodiscard]] Duration travel(const Person& from, const Person& to);
  [[nodiscard]] MessagePtr on_wire(kad::Message message) const;
  [[nodiscard]] kad::Now both() const;
  Report finish(Person& person, kad::CallId call);

  MeshOptions options_;
  SeededRandom random_;
  std::vector<std::unique_ptr<Person>> people_;
  std::unordered_map<PeerId, std::uint32_t> numbers_;
  std::vector<std::pair<kad::Key, std::uint32_t>> attackers_;  ///< sorted
  std::priority_queue<Event> queue_;
  std::uint64_t order_ = 0;
  Instant now_{std::chrono::hours(1)};
  std::uint64_t messages_ = 0;
  std::uint64_t history_ = 0;
  /// The call that finish() waits for.
  std::optional<kad::CallId> watched_call_;
  std::uint32_t watched_ = 0;
  Report report_;
  bool reported_ = false;
};

}  // namespace nmp::libp2p::sim
