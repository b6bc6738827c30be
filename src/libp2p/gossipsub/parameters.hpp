#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "base/time.hpp"

/// The numbers of github.com/libp2p/specs, pubsub/gossipsub: gossipsub-v1.0.md "Parameters", v1.1 "Parameters" and
/// "Peer Scoring". Defaults are go-libp2p-pubsub's where the specification leaves them open (libp2p.md section 16).
namespace nmp::libp2p::gossipsub {

struct Parameters {
  std::size_t d = 6;        ///< D, the desired degree of a mesh
  std::size_t d_low = 5;    ///< D_low; go 5, specification 4
  std::size_t d_high = 12;  ///< D_high
  std::size_t d_score = 4;  ///< of those that stay when a mesh is pruned, so many are the best
  std::size_t d_out = 2;    ///< and at least so many were dialled by us
  std::size_t d_lazy = 6;   ///< peers that get gossip, at least
  double gossip_factor = 0.25;
  Duration heartbeat = std::chrono::seconds(1);
  std::size_t history_length = 5;  ///< heartbeats that a message is kept
  std::size_t history_gossip = 3;  ///< and gossiped about
  Duration fanout_ttl = std::chrono::seconds(60);
  Duration seen_ttl = std::chrono::seconds(120);
  Duration prune_backoff = std::chrono::seconds(60);
  Duration unsubscribe_backoff = std::chrono::seconds(10);
  /// A GRAFT this soon after a PRUNE, while the backoff lasts, is a flood.
  Duration graft_flood = std::chrono::seconds(10);
  Duration iwant_follow_up = std::chrono::seconds(3);
  std::size_t opportunistic_ticks = 60;  ///< heartbeats between opportunistic grafts
  std::size_t opportunistic_peers = 2;
  bool flood_publish = true;           ///< own messages go to every peer of good score
  std::size_t dont_want_bytes = 1024;  ///< IDONTWANT is sent for messages at least as large (v1.2)
  std::size_t dont_want_heartbeats = 3;
};

/// All at most zero but the last.
struct Thresholds {
  double gossip = -10;    ///< below: no gossip to or from
  double publish = -50;   ///< below: no own messages to
  double graylist = -80;  ///< below: all RPCs are ignored
  double opportunistic_graft = 1;
};

/// What deeds in one topic are worth. Weights of P3, P3b and P4 are at most zero.
struct TopicScore {
  double weight = 1;
  // P1: time in the mesh.
  double time_weight = 0.01;
  Duration time_quantum = std::chrono::seconds(1);
  double time_cap = 300;
  // P2: messages that the peer was first to bring.
  double first_weight = 1;
  double first_decay = 0.98;
  double first_cap = 100;
  // P3: messages that a mesh peer should bring and does not. Off by default: it needs the topic's rate, and a topic
  // that is silent for hours would make everybody bad.
  double deficit_weight = 0;
  double deficit_decay = 0.97;
  double deficit_cap = 100;
  double deficit_threshold = 20;
  Duration deficit_activation = std::chrono::seconds(30);
  Duration deficit_window = std::chrono::milliseconds(10);  ///< after the first copy, a copy still counts
  // P3b: the deficit that a peer was pruned with stays with it.
  double failure_weight = 0;
  double failure_decay = 0.97;
  // P4: invalid messages.
  double invalid_weight = -20;
  double invalid_decay = 0.99;
};

struct ScoreParameters {
  TopicScore topic;                                       ///< of topics that are not named below
  std::map<std::string, TopicScore, std::less<>> topics;  ///< by name
  double topics_cap = 100;                                ///< of the sum of P1 to P4 over all topics, if positive
  double application_weight = 1;                          ///< P5
  // P6: more peers than the threshold at one address block.
  double colocation_weight = -5;
  std::size_t colocation_threshold = 8;
  // P7: broken promises, grafts during backoff.
  double behaviour_weight = -10;
  double behaviour_threshold = 0;
  double behaviour_decay = 0.99;
  Duration decay_interval = std::chrono::seconds(1);
  double decay_to_zero = 0.01;
  Duration retain = std::chrono::minutes(10);  ///< a gone peer's bad score
};

}  // namespace nmp::libp2p::gossipsub
