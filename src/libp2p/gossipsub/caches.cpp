#include "libp2p/gossipsub/caches.hpp"

namespace nmp::libp2p::gossipsub {

namespace {

std::size_t size_of(const Message& message) { return message.data ? message.data->size() + 512 : 512; }

}  // namespace

std::optional<Instant> SeenCache::since(const MessageId& id) const {
  const auto it = since_.find(id);
  if (it == since_.end()) return std::nullopt;
  return it->second;
}

bool SeenCache::add(const MessageId& id, Instant now) {
  if (!since_.emplace(id, now).second) return false;
  order_.push_back(id);
  if (since_.size() > kSeenMax) {
    since_.erase(order_.front());
    order_.pop_front();
  }
  return true;
}

void SeenCache::expire(Instant now) {
  while (!order_.empty() && now - since_.at(order_.front()) >= ttl_) {
    since_.erase(order_.front());
    order_.pop_front();
  }
}

void MessageCache::put(Message message) {
  auto id = message.id();
  const auto size = size_of(message);
  if (!entries_.emplace(id, Entry{std::move(message), {}}).second) return;
  bytes_ += size;
  windows_.front().push_back(std::move(id));
  while (bytes_ > kCacheBytesMax) drop_oldest();
}

void MessageCache::drop_oldest() {
  for (auto window = windows_.rbegin(); window != windows_.rend(); ++window) {
    if (window->empty()) continue;
    const auto it = entries_.find(window->front());
    bytes_ -= size_of(it->second.message);
    entries_.erase(it);
    window->erase(window->begin());
    return;
  }
}

const Message* MessageCache::get_for(const MessageId& id, const PeerId& peer) {
  const auto it = entries_.find(id);
  if (it == entries_.end() || ++it->second.sent[peer] > kRetransmissionsMax) return nullptr;
  return &it->second.message;
}

std::vector<MessageId> MessageCache::gossip_of(const std::string& topic) const {
  std::vector<MessageId> ids;
  for (std::size_t i = 0; i < std::min(gossip_, windows_.size()); ++i)
    for (const auto& id : windows_[i])
      if (entries_.at(id).message.topic == topic) ids.push_back(id);
  return ids;
}

void MessageCache::shift() {
  for (const auto& id : windows_.back()) {
    const auto it = entries_.find(id);
    bytes_ -= size_of(it->second.message);
    entries_.erase(it);
  }
  windows_.pop_back();
  windows_.emplace_front();
}

}  // namespace nmp::libp2p::gossipsub
