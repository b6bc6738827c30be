#pragma once

#include <functional>
#include <queue>
#include <tuple>

#include "crypto/random.hpp"
#include "libp2p/gossipsub/router.hpp"

/// For tests: routers on links with delay and loss, in virtual time. What they say goes through the codec.
namespace nmp::libp2p::gossipsub::testing {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline KeyPair key_of(std::uint64_t number) {
  SeededRandom random(number + 77);
  const auto seed = random.bytes<32>();
  return KeyPair::from_seed(SecretBytes<32>(std::span<const std::byte, 32>(seed)));
}

inline SocketAddress address_of(std::uint32_t number) {
  SocketAddress address;
  for (std::size_t i = 0; i < 4; ++i) address.ip[i] = static_cast<std::byte>((0x0a000000 + number) >> (24 - 8 * i));
  return address;
}

struct Node {
  Node(std::size_t at, Router::Options options, Instant now)
      : number(at),
        random(1000 + at),
        key(key_of(at)),
        id(PeerId::of(key.public_key())),
        router(key, random, std::move(options), now) {}

  std::size_t number;
  SeededRandom random;
  KeyPair key;
  PeerId id;
  Router router;
  std::map<std::string, std::size_t> got;  ///< how often, by data
  std::size_t copies = 0;                  ///< messages that came, new or not
  /// Instead of the router: what a hostile node does with an RPC.
  std::function<void(Node& self, const PeerId& from, const Rpc& rpc)> hostile;
};

class Network {
 public:
  explicit Network(std::uint64_t seed) : random_(seed) {}

  Node& add(Router::Options options = {}) {
    nodes_.push_back(std::make_unique<Node>(nodes_.size(), std::move(options), now));
    by_id_[nodes_.back()->id] = nodes_.size() - 1;
    return *nodes_.back();
  }
  void add_many(std::size_t count, const Router::Options& options = {}) {
    while (count-- > 0) add(options);
  }
  Node& operator[](std::size_t at) { return *nodes_.at(at); }
  [[nodiscard]] std::size_t size() const { return nodes_.size(); }
  Node& find(const PeerId& id) { return *nodes_.at(by_id_.at(id)); }

  /// `a` has dialled `b`.
  void connect(std::size_t a, std::size_t b, Version version = Version::v1_2) {
    if (a == b || !links_.insert({std::min(a, b), std::max(a, b)}).second) return;
    const auto block = [](std::size_t at) { return block_of(address_of(static_cast<std::uint32_t>(at))); };
    // A router that is full refuses, which some tests are about.
    std::ignore =
        nodes_[a]->router.add_peer(nodes_[b]->id, {.version = version, .outbound = true, .block = block(b)}, now);
    std::ignore =
        nodes_[b]->router.add_peer(nodes_[a]->id, {.version = version, .outbound = false, .block = block(a)}, now);
  }
  /// Everybody dials so many at random.
  void connect_randomly(std::size_t degree) {
    for (std::size_t a = 0; a < nodes_.size(); ++a)
      for (std::size_t i = 0; i < degree; ++i) connect(a, random_.below(nodes_.size()));
  }
  void connect_all() {
    for (std::size_t a = 0; a < nodes_.size(); ++a)
      for (std::size_t b = a + 1; b < nodes_.size(); ++b) connect(a, b);
  }
  void subscribe_all(const std::string& topic) {
    for (auto& node : nodes_) std::ignore = node->router.subscribe(topic, now);
  }

  /// An RPC of a hostile node's own making.
  void inject(const Node& from, const PeerId& to, const Rpc& rpc) { deliver_later(from, {to, rpc}); }

  void run_for(Duration time) {
    const auto end = now + time;
    for (;;) {
      for (auto& node : nodes_) collect(*node);
      auto next = end;
      if (!wire_.empty()) next = std::min(next, wire_.top().at);
      for (auto& node : nodes_) next = std::min(next, node->router.deadline());
      now = std::max(now, next);
      if (now >= end) return;
      for (auto& node : nodes_) node->router.on_deadline(now);
      while (!wire_.empty() && wire_.top().at <= now) {
        const auto packet = wire_.top();
        wire_.pop();
        arrive(packet);
      }
    }
  }

  Instant now = Instant(seconds(1000));
  Duration delay_min = milliseconds(5);
  Duration delay_max = milliseconds(50);
  double publish_loss = 0;
  /// What the owner of a node says; all is well unless set.
  std::function<Verdict(Node& node, const Received& message)> validate;

 private:
  struct Packet {
    Instant at;
    std::uint64_t order;
    PeerId from;
    PeerId to;
    Bytes bytes;
    bool operator<(const Packet& other) const { return std::pair(other.at, other.order) < std::pair(at, order); }
  };

  void deliver_later(const Node& from, const Outgoing& out) {
    if (!out.rpc.publish.empty() && publish_loss > 0 &&
        static_cast<double>(random_.below(1'000'000)) < publish_loss * 1e6)
      return;
    const auto spread = static_cast<std::uint64_t>((delay_max - delay_min).count()) + 1;
    // A link keeps its order.
    auto at = now + delay_min + Duration(static_cast<Duration::rep>(random_.below(spread)));
    auto& last = last_[{from.id, out.to}];
    at = last = std::max(at, last);
    wire_.push({at, ++order_, from.id, out.to, encode_delimited(out.rpc)});
  }
  void collect(Node& node) {
    for (const auto& out : node.router.take_output())
      if (!node.hostile) deliver_later(node, out);
    for (const auto& message : node.router.take_received()) {
      ++node.got[string_of(message.data)];
      node.router.decide(message.id, validate ? validate(node, message) : Verdict::accept, now);
    }
    for (const auto& out : node.router.take_output())
      if (!node.hostile) deliver_later(node, out);
  }
  void arrive(const Packet& packet) {
    auto& node = find(packet.to);
    Splitter splitter;
    splitter.feed(packet.bytes);
    const auto rpc = decode(**splitter.next()).value();
    node.copies += rpc.publish.size();
    if (node.hostile) {
      node.hostile(node, packet.from, rpc);
    } else {
      node.router.on_rpc(packet.from, rpc, now);
      collect(node);
    }
  }

  SeededRandom random_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::map<PeerId, std::size_t> by_id_;
  std::set<std::pair<std::size_t, std::size_t>> links_;
  std::map<std::pair<PeerId, PeerId>, Instant> last_;
  std::priority_queue<Packet> wire_;
  std::uint64_t order_ = 0;
};

}  // namespace nmp::libp2p::gossipsub::testing
