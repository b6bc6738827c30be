#pragma once

#include <map>
#include <set>
#include <vector>

#include "base/random.hpp"
#include "libp2p/gossipsub/caches.hpp"
#include "libp2p/gossipsub/message.hpp"
#include "libp2p/gossipsub/parameters.hpp"
#include "libp2p/gossipsub/score.hpp"

namespace nmp::libp2p::gossipsub {

/// Protocol ids, the newest first, as they are to be offered.
inline constexpr std::string_view kProtocols[] = {"/meshsub/1.2.0", "/meshsub/1.1.0", "/meshsub/1.0.0",
                                                  "/floodsub/1.0.0"};
/// What a peer speaks, by what was agreed on.
enum class Version : std::uint8_t { floodsub, v1_0, v1_1, v1_2 };

/// What its owner says of a message. `ignore`: neither passed on nor held against whoever brought it.
enum class Verdict : std::uint8_t { accept, reject, ignore };

/// A message of a topic that we subscribe to, new and signed by its author, that waits for decide().
struct Received {
  MessageId id;
  PeerId author;
  PeerId from;  ///< who brought it
  std::string topic;
  Bytes data;
};

struct Outgoing {
  PeerId to;
  Rpc rpc;
};

/// Gossipsub v1.1 (github.com/libp2p/specs, pubsub/gossipsub) with IDONTWANT of v1.2 and signed messages (StrictSign):
/// peers, RPCs and time in; RPCs, messages and a deadline out. Departures: peers are never exchanged at a PRUNE; a
/// GRAFT for a topic that we do not subscribe to gets no answer, as v1.1 asks.
class Router {
 public:
  struct Options {
    Parameters parameters;
    ScoreParameters scores;
    Thresholds thresholds;
    std::uint64_t first_seqno = 0;  ///< above all that this key has used: the time in nanoseconds does
  };
  /// `key` and `random` outlive the router.
  Router(const KeyPair& key, Random& random, Options options, Instant now);
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;
  ~Router();

  struct PeerOptions {
    Version version = Version::v1_1;
    bool outbound = false;              ///< we have dialled it
    std::optional<AddressBlock> block;  ///< of its address
  };
  /// Errors: exhausted (kPeersMax), already_exists.
  Result<void> add_peer(const PeerId& peer, const PeerOptions& options, Instant now);
  void remove_peer(const PeerId& peer, Instant now);
  /// P5 of the score.
  void set_application_score(const PeerId& peer, double value) { scores_.set_application(peer, value); }

  /// Errors: exhausted (kOwnTopicsMax), too_large (the name).
  Result<void> subscribe(const std::string& topic, Instant now);
  void unsubscribe(const std::string& topic, Instant now);
  /// Errors: too_large.
  Result<MessageId> publish(const std::string& topic, Bytes data, Instant now);
  /// Once for each Received; another id changes nothing.
  void decide(const MessageId& id, Verdict verdict, Instant now);

  void on_rpc(const PeerId& from, const Rpc& rpc, Instant now);
  void on_deadline(Instant now);
  /// The next heartbeat.
  [[nodiscard]] Instant deadline() const { return heartbeat_; }

  [[nodiscard]] std::vector<Outgoing> take_output() { return std::exchange(output_, {}); }
  [[nodiscard]] std::vector<Received> take_received() { return std::exchange(received_, {}); }

  [[nodiscard]] double score(const PeerId& peer) const { return scores_.of(peer); }
  [[nodiscard]] std::set<PeerId> mesh(const std::string& topic) const;
  [[nodiscard]] std::size_t peers() const { return peers_.size(); }

 private:
  struct Peer {
    PeerOptions options;
    std::set<std::string> topics;
    std::size_t ihaves = 0;  ///< since the heartbeat
    std::size_t asked = 0;
    std::size_t dont_want_lists = 0;
    std::map<MessageId, std::size_t> dont_want;  ///< and for how many heartbeats yet
  };
  struct Pending {
    Message message;
    PeerId author;
    PeerId from;
    Instant since;
    std::map<PeerId, Instant> copies;
  };
  struct Backoff {
    Instant until;
    Instant since;
  };
  struct Fanout {
    std::set<PeerId> peers;
    Instant used;
  };
  using Mesh = std::set<PeerId>;

  // What arrives: router_receive.cpp.
  void on_subscription(const PeerId& from, Peer& peer, const Subscription& subscription);
  void on_message(const PeerId& from, const Message& message, Instant now);
  void on_ihave(const PeerId& from, Peer& peer, const std::vector<Ihave>& lists, Instant now);
  void on_iwant(const PeerId& from, const std::vector<MessageId>& ids);
  void on_graft(const PeerId& from, const std::string& topic, Instant now);
  void on_prune(const PeerId& from, const Prune& prune, Instant now);
  void on_dont_want(Peer& peer, const std::vector<MessageId>& ids);

  // Heartbeat: router_heartbeat.cpp.
  void break_promises(Instant now);
  void maintain(const std::string& topic, Mesh& mesh, Instant now);
  void shrink(const std::string& topic, Mesh& mesh, Instant now);
  void graft_opportunistically(const std::string& topic, Mesh& mesh, Instant now);
  /// What each peer is told of in one RPC.
  using Gossip = std::map<PeerId, std::vector<Ihave>>;
  void maintain_fanout(Instant now, Gossip& out);
  void gossip(const std::string& topic, const Mesh& members, Gossip& out);

  // What is sent: router.cpp.
  void send(const PeerId& to, Rpc rpc);
  void forward(const Message& message, const std::set<PeerId>& without);
  void graft(const std::string& topic, Mesh& mesh, const PeerId& peer, Instant now);
  /// Out of the mesh, with a PRUNE and a backoff on both sides.
  void prune(const std::string& topic, Mesh& mesh, const PeerId& peer, Duration backoff, Instant now);
  void refuse_graft(const PeerId& peer, const std::string& topic, Instant now);
  void add_backoff(const PeerId& peer, const std::string& topic, Duration backoff, Instant now);
  [[nodiscard]] const Backoff* backoff(const PeerId& peer, const std::string& topic, Instant now) const;
  /// Gossipsub peers of the topic that `fits` takes, in random order.
  template <class Fits>
  [[nodiscard]] std::vector<PeerId> candidates(const std::string& topic, Fits fits);
  void shuffle(std::vector<PeerId>& peers);

  const KeyPair& key_;
  PeerId self_;
  Random& random_;
  Options options_;
  const Parameters& p_;
  Scores scores_;
  SeenCache seen_;
  MessageCache cache_;
  std::uint64_t seqno_;
  std::map<PeerId, Peer> peers_;
  std::map<std::string, Mesh> meshes_;  ///< of the topics that we subscribe to
  std::map<std::string, Fanout> fanouts_;
  std::map<std::pair<PeerId, std::string>, Backoff> backoffs_;
  std::map<MessageId, Pending> pending_;
  std::map<MessageId, std::map<PeerId, Instant>> promises_;  ///< asked for by IWANT, until when it has to come
  std::size_t ticks_ = 0;
  Instant heartbeat_;
  std::vector<Outgoing> output_;
  std::vector<Received> received_;
};

template <class Fits>
std::vector<PeerId> Router::candidates(const std::string& topic, Fits fits) {
  std::vector<PeerId> found;
  for (const auto& [id, peer] : peers_)
    if (peer.options.version != Version::floodsub && peer.topics.contains(topic) && fits(id, peer)) found.push_back(id);
  shuffle(found);
  return found;
}

}  // namespace nmp::libp2p::gossipsub
