#pragma once

#include <map>
#include <optional>

#include "base/address_block.hpp"
#include "libp2p/gossipsub/limits.hpp"
#include "libp2p/gossipsub/parameters.hpp"
#include "libp2p/peer/peer_id.hpp"

namespace nmp::libp2p::gossipsub {

/// What each peer's deeds are worth: gossipsub-v1.1.md, "The Score Function", P1 to P7. Decays by the clock that it is
/// told; nothing here decides what a score has for consequences.
class Scores {
 public:
  explicit Scores(ScoreParameters parameters) : parameters_(std::move(parameters)) {}

  void add_peer(const PeerId& peer, std::optional<AddressBlock> block, Instant now);
  /// A bad score is kept, so that coming back does not wash it off.
  void remove_peer(const PeerId& peer, Instant now);
  /// P5.
  void set_application(const PeerId& peer, double value);

  void joined_mesh(const PeerId& peer, const std::string& topic, Instant now);
  void left_mesh(const PeerId& peer, const std::string& topic);
  /// The peer was first to bring a valid message.
  void first_delivery(const PeerId& peer, const std::string& topic);
  /// The peer brought a copy of a valid message, `late` after the first.
  void copy(const PeerId& peer, const std::string& topic, Duration late);
  void invalid(const PeerId& peer, const std::string& topic);
  void misbehaved(const PeerId& peer, double how_much);

  /// Lets time pass: decays counters, measures the time in meshes, forgets gone peers.
  void advance(Instant now);
  /// 0 for a peer that nothing is known of.
  [[nodiscard]] double of(const PeerId& peer) const;
  [[nodiscard]] std::size_t size() const { return peers_.size(); }

 private:
  struct Topic {
    bool in_mesh = false;
    Instant since{};
    Duration time{};
    bool deficit_active = false;
    double first = 0;
    double delivered = 0;  ///< in the mesh
    double failure = 0;
    double invalid = 0;
  };
  struct Peer {
    std::map<std::string, Topic, std::less<>> topics;
    std::optional<AddressBlock> block;
    double application = 0;
    double behaviour = 0;
    std::optional<Instant> forget_at;  ///< it is gone
  };

  [[nodiscard]] const TopicScore& of_topic(std::string_view topic) const;
  [[nodiscard]] Topic* find(const PeerId& peer, const std::string& topic);
  [[nodiscard]] double worth(const Topic& topic, const TopicScore& how) const;
  void decay(Peer& peer);
  void leave_block(const Peer& peer);

  ScoreParameters parameters_;
  std::map<PeerId, Peer> peers_;
  std::map<AddressBlock, std::size_t> blocks_;  ///< present peers
  std::size_t gone_ = 0;
  Instant decayed_{};
};

}  // namespace nmp::libp2p::gossipsub
