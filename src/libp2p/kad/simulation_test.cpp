#include <memory>
#include <queue>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "crypto/hash.hpp"
#include "libp2p/kad/query.hpp"
#include "libp2p/kad/routing_table.hpp"
#include "libp2p/kad/server.hpp"
#include "libp2p/kad/testing.hpp"

/// A mesh of kad machines in virtual time: one event queue, one seed for latency, loss and choice.
namespace nmp::libp2p::kad {
namespace {

using namespace std::chrono_literals;

enum class Kind : std::uint8_t { honest, dead, liar_garbage, liar_self, liar_inventor };

/// A quarter of them under the sanitizers, which are as much slower.
#ifdef NMP_SANITIZED
constexpr std::size_t kPeers = 250;
#else
constexpr std::size_t kPeers = 1000;
#endif

struct Mix {
  std::size_t peers = kPeers;
  double loss = 0;
  double dead = 0;
  double liars = 0;
  std::uint64_t seed = 1;
};

class Mesh {
 public:
  explicit Mesh(Mix mix) : mix_(mix), random_(mix.seed) {
    for (std::size_t i = 0; i < mix.peers; ++i) {
      nodes_.push_back(std::make_unique<Node>(*this, i));
      numbers_.emplace(nodes_.back()->info.id, i);
    }
    auto dead = static_cast<std::size_t>(mix.dead * static_cast<double>(mix.peers));
    auto liars = static_cast<std::size_t>(mix.liars * static_cast<double>(mix.peers));
    // Everybody joins honest and alive: the worst of them turn afterwards, when they are in the tables.
    for (std::size_t i = 1; i < mix.peers; ++i) join(i);
    for (std::size_t i = 0; i < mix.peers; ++i) refresh(i);
    for (std::size_t i = 0; i < dead + liars; ++i) {
      auto& victim = *nodes_[1 + random_.below(mix.peers - 1)];
      victim.kind = i < dead ? Kind::dead : static_cast<Kind>(2 + i % 3);
    }
  }

  struct Outcome {
    std::vector<PeerInfo> closest;
    std::vector<PeerInfo> providers;
    std::optional<Bytes> value;
    LookupStats stats;
  };

  Outcome look_up(std::size_t from, MessageType type, ByteView key, std::size_t enough = 0) {
    auto& node = *nodes_[from];
    return look_up(from, type, key, node.table.closest(Key::of(key), kK), enough);
  }

  std::size_t honest() {
    while (true) {
      auto number = random_.below(nodes_.size());
      if (nodes_[number]->kind == Kind::honest) return number;
    }
  }

  std::size_t provide(std::size_t from, ByteView key) {
    Message message;
    message.type = MessageType::add_provider;
    message.key = to_bytes(key);
    message.provider_peers.push_back(nodes_[from]->info);
    return send_to_all(from, look_up(from, MessageType::find_node, key).closest, message);
  }
  std::size_t put(std::size_t from, std::string_view key, std::string_view value) {
    Message message;
    message.type = MessageType::put_value;
    message.key = to_bytes(key);
    message.record = Record{message.key, to_bytes(value), {}};
    return send_to_all(from, look_up(from, MessageType::find_node, message.key).closest, message);
  }

  /// Everything that was sent and when it arrived, as one hash.
  [[nodiscard]] std::string history() { return hex_encode(history_.finish()); }
  [[nodiscard]] const PeerInfo& info(std::size_t number) const { return nodes_[number]->info; }
  [[nodiscard]] Kind kind(const PeerId& id) const { return nodes_[numbers_.at(id)]->kind; }
  [[nodiscard]] bool exists(const PeerId& id) const { return numbers_.contains(id); }
  /// The true k closest of those that serve honestly.
  std::vector<PeerId> truth(ByteView key) {
    std::vector<PeerId> ids;
    for (auto& node : nodes_)
      if (node->kind == Kind::honest) ids.push_back(node->info.id);
    std::ranges::sort(ids, {}, [at = Key::of(key)](const PeerId& id) { return distance(at, Key::of(id)); });
    ids.resize(kK, ids[0]);
    return ids;
  }
  SeededRandom& random() { return random_; }

 private:
  struct Node {
    Node(Mesh& mesh, std::size_t n)
        : info(peer_info(n)),
          table(info.id, TableOptions{}),
          server(table, mesh.validators_, [](const PeerId&) { return std::nullopt; }, ServerOptions{}) {}
    PeerInfo info;
    RoutingTable table;
    Server server;
    Kind kind = Kind::honest;
  };
  struct Event {
    Instant at;
    std::uint64_t order;
    std::function<void()> act;
    bool operator<(const Event& other) const { return std::tie(at, order) > std::tie(other.at, other.order); }
  };

  Outcome look_up(
      std::size_t from, MessageType type, ByteView key, const std::vector<PeerInfo>& seeds, std::size_t enough = 0) {
    auto& node = *nodes_[from];
    Query::Want want;
    want.type = type;
    want.key = to_bytes(key);
    want.enough = enough;
    LookupOptions options;
    options.deadline = now_ + 5min;
    auto query = std::make_shared<Query>(want, node.info.id, seeds, validators_, options, now_);
    Outcome outcome;
    while (!query->done()) {
      for (auto& asked : query->next(now_)) {
        request(from, asked, query->request(), [this, query, from, asked](const Result<Message>& answer) {
          auto& asker = *nodes_[from];
          if (answer) {
            asker.table.on_answer(asked.id, now_);
            asker.table.insert(asked, now_);
            query->on_answer(asked.id, *answer, now_, 0);
          } else {
            asker.table.on_failure(asked.id);
            query->on_failure(asked.id, now_);
          }
        });
      }
      for (auto& provider : query->take_providers()) outcome.providers.push_back(provider);
      step(query->deadline());
      query->on_timer(now_);
    }
    for (auto& provider : query->take_providers()) outcome.providers.push_back(provider);
    outcome.closest = query->closest();
    outcome.value = query->value();
    outcome.stats = query->stats(now_);
    drain();
    return outcome;
  }

  void join(std::size_t number) {
    auto& node = *nodes_[number];
    do {  // as Dht::bootstrap is called again when the first peer did not answer
      auto through = nodes_[random_.below(number)]->info;
      look_up(number, MessageType::find_node, node.info.id.bytes(), {through});
    } while (node.table.size() < std::min<std::size_t>(number, kTableLow));
  }
  void refresh(std::size_t number) {
    auto& table = nodes_[number]->table;
    for (std::size_t prefix = 0; prefix <= std::min<std::size_t>(table.refresh_depth(), 2); ++prefix)
      look_up(number, MessageType::find_node, raw_key_in_bucket(table.self_key(), prefix, random_));
  }

  std::size_t send_to_all(std::size_t from, const std::vector<PeerInfo>& peers, const Message& message) {
    std::size_t taken = 0;
    for (auto& to : peers)
      request(from, to, message, [&](const Result<Message>& answer) { taken += answer.has_value() ? 1 : 0; });
    drain();
    return taken;
  }

  using Answered = std::function<void(const Result<Message>&)>;

  /// A request over the wire and back, or a failed dial for a dead or invented peer. Loss is silence until the timeout,
  /// which the lookup has to notice by itself.
  void request(std::size_t from, const PeerInfo& to, const Message& message, const Answered& answered) {
    auto bytes = encode(message).value();
    auto there = latency();
    auto back = latency();
    bool lost = static_cast<double>(random_.below(1000)) < mix_.loss * 1000;
    history_.update(bytes);
    history_.update(to.id.bytes());
    auto number = numbers_.find(to.id);
    if (number == numbers_.end() || nodes_[number->second]->kind == Kind::dead) {
      // Half of the dead refuse at once, the others say nothing.
      if (there.count() % 2 == 0) at(there + back, [answered] { answered(fail(Errc::unavailable)); });
      return;
    }
    if (lost) return;
    auto target = number->second;
    at(there, [this, from, target, bytes, back, answered] {
      auto answer = serve(target, from, bytes);
      if (!answer) return;
      at(back, [this, answer = *answer, answered] {
        history_.update(answer);
        answered(decode(answer));
      });
    });
  }

  std::optional<Bytes> serve(std::size_t target, std::size_t from, ByteView bytes) {
    auto& node = *nodes_[target];
    auto request = decode(bytes).value();
    auto lie = request;
    lie.record.reset();
    lie.provider_peers.clear();
    switch (node.kind) {
      case Kind::liar_garbage: return to_bytes(random_.bytes<200>());
      case Kind::liar_self:
        for (int i = 0; i < 30; ++i) lie.closer_peers.push_back(node.info);
        lie.record = Record{request.key, to_bytes("99999"), {}};
        return encode(lie).value();
      case Kind::liar_inventor:
        for (int i = 0; i < 30; ++i) lie.closer_peers.push_back(peer_info(1'000'000 + random_.below(1'000'000)));
        return encode(lie).value();
      default: break;
    }
    // An honest server also learns of those who ask: in this mesh all of them serve.
    node.table.insert(nodes_[from]->info, now_);
    auto answer = node.server.answer(request, nodes_[from]->info.id, Now{now_, 0});
    if (!answer) return std::nullopt;
    return *answer ? encode(**answer).value() : Bytes();
  }

  Duration latency() { return 5ms + std::chrono::microseconds(random_.below(95'000)); }
  void at(Duration delay, std::function<void()> act) { queue_.push(Event{now_ + delay, ++order_, std::move(act)}); }
  /// The next event, if it comes before `until`; else time moves there.
  void step(Instant until) {
    if (queue_.empty() || queue_.top().at > until) {
      if (until != kNever) now_ = std::max(now_, until);
      return;
    }
    auto event = queue_.top();
    queue_.pop();
    now_ = event.at;
    event.act();
  }
  void drain() {
    while (!queue_.empty()) step(kNever);
  }

  Mix mix_;
  SeededRandom random_;
  Validators validators_ = number_validators();
  std::vector<std::unique_ptr<Node>> nodes_;
  std::map<PeerId, std::size_t> numbers_;
  std::priority_queue<Event> queue_;
  std::uint64_t order_ = 0;
  Instant now_{1h};
  crypto::Sha256 history_;
};

struct Tally {
  std::size_t found = 0, lookups = 0, hops_max = 0, hops = 0, messages = 0;
};

Tally provide_and_find(Mesh& mesh, std::size_t rounds) {
  Tally tally;
  for (std::size_t i = 0; i < rounds; ++i) {
    auto key = "capability " + std::to_string(i);
    auto provider = mesh.honest();
    mesh.provide(provider, bytes_of(key));
    auto outcome = mesh.look_up(mesh.honest(), MessageType::get_providers, bytes_of(key), 1);
    ++tally.lookups;
    bool found = !outcome.providers.empty() && outcome.providers[0].id == mesh.info(provider).id;
    tally.found += found ? 1 : 0;
    tally.hops += outcome.stats.hops;
    tally.hops_max = std::max(tally.hops_max, outcome.stats.hops);
    tally.messages += outcome.stats.messages;
  }
  return tally;
}

TEST(KadSimulation, AThousandPeersFindEveryProviderInFewHops) {
  Mesh mesh(Mix{});
  auto tally = provide_and_find(mesh, 50);
  EXPECT_EQ(tally.found, tally.lookups);
  EXPECT_LE(tally.hops_max, 5);  // log2(1000 / 20) and a little
  EXPECT_LE(tally.messages / tally.lookups, 60);
  RecordProperty("hops_mean_x100", static_cast<int>(100 * tally.hops / tally.lookups));
  RecordProperty("messages_mean", static_cast<int>(tally.messages / tally.lookups));

  // The k closest of a lookup are nearly the true ones.
  std::size_t right = 0;
  for (int i = 0; i < 20; ++i) {
    auto key = to_bytes(mesh.random().bytes<32>());
    auto outcome = mesh.look_up(mesh.honest(), MessageType::find_node, key);
    auto truth = mesh.truth(key);
    for (auto& found : outcome.closest) right += static_cast<std::size_t>(std::ranges::count(truth, found.id));
  }
  EXPECT_GE(right, 20 * 20 * 9 / 10);
}

TEST(KadSimulation, LossDeathAndLiarsDoNotBreakLookups) {
  Mix mix;
  mix.loss = 0.05;
  mix.dead = 0.15;
  mix.liars = 0.15;
  mix.seed = 42;
  Mesh mesh(mix);
  auto tally = provide_and_find(mesh, 50);
  EXPECT_GE(tally.found, tally.lookups - 1) << "seed " << mix.seed;
  EXPECT_LE(tally.hops_max, 8);

  std::size_t values = 0;
  for (int i = 0; i < 20; ++i) {
    auto key = "/test/" + std::to_string(i);
    mesh.put(mesh.honest(), key, "1:old");
    mesh.put(mesh.honest(), key, "2:new");
    auto outcome = mesh.look_up(mesh.honest(), MessageType::get_value, bytes_of(key));
    values += outcome.value && string_of(*outcome.value) == "2:new" ? 1 : 0;
  }
  EXPECT_GE(values, 19) << "seed " << mix.seed;
}

TEST(KadSimulation, ASeedReplays) {
  auto history = [](std::uint64_t seed) {
    Mix mix;
    mix.peers = 120;
    mix.loss = 0.1;
    mix.dead = 0.1;
    mix.liars = 0.1;
    mix.seed = seed;
    Mesh mesh(mix);
    provide_and_find(mesh, 10);
    return mesh.history();
  };
  EXPECT_EQ(history(7), history(7));
  EXPECT_NE(history(7), history(8));
}

}  // namespace
}  // namespace nmp::libp2p::kad
