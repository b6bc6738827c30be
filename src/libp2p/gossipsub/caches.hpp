#pragma once

#include <deque>
#include <map>
#include <vector>

#include "libp2p/gossipsub/message.hpp"
#include "libp2p/gossipsub/parameters.hpp"

namespace nmp::libp2p::gossipsub {

/// Ids of messages that have been here, for as long as a copy may still come.
class SeenCache {
 public:
  explicit SeenCache(Duration ttl) : ttl_(ttl) {}

  [[nodiscard]] bool contains(const MessageId& id) const { return since_.contains(id); }
  /// When it was first here; nothing if it was not.
  [[nodiscard]] std::optional<Instant> since(const MessageId& id) const;
  /// False if it was here before. Above kSeenMax the oldest is forgotten.
  bool add(const MessageId& id, Instant now);
  void expire(Instant now);
  [[nodiscard]] std::size_t size() const { return since_.size(); }

 private:
  Duration ttl_;
  std::map<MessageId, Instant> since_;
  std::deque<MessageId> order_;
};

/// Messages of the last heartbeats, for those who ask by id: gossipsub-v1.0.md, "Message Cache".
class MessageCache {
 public:
  MessageCache(std::size_t length, std::size_t gossip) : gossip_(gossip), windows_(length) {}

  /// Above kCacheBytesMax the oldest are forgotten.
  void put(Message message);
  /// The message, for a peer that asks for it; null if it is gone or the peer has had it kRetransmissionsMax times.
  [[nodiscard]] const Message* get_for(const MessageId& id, const PeerId& peer);
  [[nodiscard]] std::vector<MessageId> gossip_of(const std::string& topic) const;
  /// One heartbeat has passed.
  void shift();
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    Message message;
    std::map<PeerId, std::size_t> sent;
  };
  void drop_oldest();

  std::size_t gossip_;
  std::deque<std::vector<MessageId>> windows_;  ///< the newest first
  std::map<MessageId, Entry> entries_;
  std::size_t bytes_ = 0;
};

}  // namespace nmp::libp2p::gossipsub
