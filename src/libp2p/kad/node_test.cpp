#include "libp2p/kad/node.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libp2p/kad/testing.hpp"

namespace nmp::libp2p::kad {
namespace {

using namespace std::chrono_literals;

const Bytes kCapability = to_bytes("capability");

class KadNode : public testing::Test {
 protected:
  std::unique_ptr<Node> make(NodeOptions options = {}) {
    if (options.bootstrap.empty())
      for (std::uint64_t i = 1; i <= 5; ++i) options.bootstrap.push_back(peer_info(i));
    auto known = [](const PeerId& id) { return id == peer(0) ? std::optional(peer_info(0)) : std::nullopt; };
    return std::make_unique<Node>(peer(0), std::move(options), policy_, known, random_, observer_);
  }
  [[nodiscard]] Now in(Duration time) const {
    return Now{now_.instant + time, now_.unix_seconds + std::chrono::duration_cast<std::chrono::seconds>(time).count()};
  }
  void pass(Node& node, Duration time) {
    auto until = in(time);
    while (node.deadline() <= until.instant) {
      now_ = in(std::max(node.deadline() - now_.instant, Duration(0)));
      node.on_timer(now_);
      answer_all(node);
    }
    now_ = until;
  }
  static Message reply_to(const Request& request, std::vector<PeerInfo> closer = {}) {
    Message message;
    message.type = request.message.type;
    message.key = request.message.key;
    message.closer_peers = std::move(closer);
    return message;
  }
  /// Everybody answers and knows peers 1 to 5.
  std::vector<Request> answer_all(Node& node) {
    std::vector<Request> all;
    while (true) {
      auto requests = node.take_requests();
      if (requests.empty()) return all;
      for (auto& request : requests) {
        std::vector<PeerInfo> closer;
        for (std::uint64_t i = 1; i <= 5; ++i) closer.push_back(peer_info(i));
        if (request.answered)
          node.on_answer(request.id, reply_to(request, closer), now_);
        else
          node.on_sent(request.id, now_);
        all.push_back(std::move(request));
      }
    }
  }
  static std::size_t count(const std::vector<Request>& requests, MessageType type) {
    return static_cast<std::size_t>(
        std::ranges::count_if(requests, [&](const Request& request) { return request.message.type == type; }));
  }
  void join(Node& node) {
    node.bootstrap(in(60s).instant, now_);
    answer_all(node);
    auto finished = node.take_finished();
    ASSERT_EQ(finished.size(), 1);
    ASSERT_TRUE(finished[0].outcome);
    EXPECT_EQ(finished[0].outcome->count, 5);
    EXPECT_EQ(finished[0].stats.peers_queried, 5);
  }

  struct Notes final : Observer {
    void on_refused(const PeerId&, MessageType, std::string_view reason) override { refused.emplace_back(reason); }
    void on_crowded_place(ByteView, double) override { ++crowded; }
    std::vector<std::string> refused;
    std::size_t crowded = 0;
  } observer_;
  RoutingPolicy policy_{std::string(kProtocol), number_validators()};
  SeededRandom random_{1};
  Now now_{Instant{100h}, 1'800'000'000};
};

TEST_F(KadNode, JoinsThroughItsBootstrapPeers) {
  auto node = make();
  EXPECT_EQ(node->deadline(), kNever);
  join(*node);
  EXPECT_EQ(node->table().size(), 5);
  EXPECT_EQ(node->calls(), 0);
}

TEST_F(KadNode, NobodyAnsweringIsUnavailable) {
  auto node = make();
  node->bootstrap(in(60s).instant, now_);
  EXPECT_EQ(node->take_requests().size(), 5);
  pass(*node, kRequestTimeout);
  auto finished = node->take_finished();
  ASSERT_EQ(finished.size(), 1);
  EXPECT_EQ(finished[0].outcome.error().code, Errc::unavailable);
  EXPECT_EQ(finished[0].stats.peers_failed, 5);
}

TEST_F(KadNode, ProvidesAtTheClosestAndAgainWhenItIsTime) {
  auto node = make();
  join(*node);
  node->provide(kCapability, in(60s).instant, now_);
  auto sent = answer_all(*node);
  EXPECT_EQ(count(sent, MessageType::add_provider), 5);
  auto finished = node->take_finished();
  ASSERT_EQ(finished.size(), 1);
  EXPECT_EQ(finished[0].outcome->count, 5);
  for (const auto& request : sent) {
    if (request.message.type != MessageType::add_provider) continue;
    EXPECT_EQ(request.message.provider_peers, std::vector{peer_info(0)});
  }

  auto announced = [&](Duration time) {
    std::size_t records = 0;
    auto until = in(time);
    while (node->deadline() <= until.instant) {
      now_ = in(std::max(node->deadline() - now_.instant, Duration(0)));
      node->on_timer(now_);
      records += count(answer_all(*node), MessageType::add_provider);
    }
    now_ = until;
    return records;
  };
  EXPECT_EQ(announced(kProvideInterval - 1min), 0);
  EXPECT_EQ(announced(2min), 5);
  node->stop_providing(kCapability);
  EXPECT_EQ(announced(2 * kProvideInterval), 0);
  EXPECT_TRUE(node->take_finished().empty());
}

TEST_F(KadNode, ARecordThatNobodyTookIsAnnouncedAgainSoon) {
  auto node = make();
  join(*node);
  node->provide(kCapability, in(60s).instant, now_);
  for (auto& request : node->take_requests()) node->on_answer(request.id, reply_to(request), now_);
  for (auto& request : node->take_requests()) node->on_failure(request.id, now_);
  EXPECT_EQ(node->take_finished()[0].outcome.error().code, Errc::unavailable);
  now_ = in(1min);
  node->on_timer(now_);
  EXPECT_EQ(count(answer_all(*node), MessageType::add_provider), 5);
}

TEST_F(KadNode, FindsProvidersAndEndsAtTheWantedNumber) {
  auto node = make();
  join(*node);
  auto call = node->find_providers(kCapability, 1, in(60s).instant, now_);
  auto requests = node->take_requests();
  auto answer = reply_to(requests[0]);
  answer.provider_peers = {peer_info(50), peer_info(51)};
  node->on_answer(requests[0].id, answer, now_);
  auto found = node->take_providers();
  ASSERT_EQ(found.size(), 1);
  EXPECT_EQ(found[0].call, call);
  EXPECT_EQ(found[0].provider, peer_info(50));
  auto finished = node->take_finished();
  ASSERT_EQ(finished.size(), 1);
  EXPECT_EQ(finished[0].outcome->providers, std::vector{peer_info(50)});
  // The others answer late: nothing comes of it.
  for (std::size_t i = 1; i < requests.size(); ++i) node->on_answer(requests[i].id, answer, now_);
  EXPECT_TRUE(node->take_providers().empty());
  EXPECT_TRUE(node->take_finished().empty());
}

TEST_F(KadNode, AStoppedCallEndsWithWhatItHas) {
  auto node = make();
  join(*node);
  auto call = node->find_providers(kCapability, 0, in(60s).instant, now_);
  auto requests = node->take_requests();
  auto answer = reply_to(requests[0]);
  answer.provider_peers = {peer_info(50)};
  node->on_answer(requests[0].id, answer, now_);
  node->stop(call, now_);
  node->stop(call, now_);
  auto finished = node->take_finished();
  ASSERT_EQ(finished.size(), 1);
  EXPECT_EQ(finished[0].outcome->providers.size(), 1);
  EXPECT_EQ(node->calls(), 0);
}

TEST_F(KadNode, ACallEndsAtItsDeadline) {
  auto node = make();
  join(*node);
  node->put_value(to_bytes("/test/x"), to_bytes("1:x"), in(2s).instant, now_);
  node->get_value(to_bytes("/test/none"), 0, in(3s).instant, now_);
  (void)node->take_requests();
  now_ = in(4s);
  node->on_timer(now_);
  now_ = in(kRequestTimeout);
  node->on_timer(now_);
  auto finished = node->take_finished();
  ASSERT_EQ(finished.size(), 2);
  EXPECT_EQ(finished[0].outcome.error().code, Errc::unavailable);
  EXPECT_EQ(finished[1].outcome.error().code, Errc::not_found);
}

TEST_F(KadNode, ValuesArePutFoundAndCorrected) {
  auto node = make();
  join(*node);
  auto key = to_bytes("/test/x");
  node->put_value(key, to_bytes("2:new"), in(60s).instant, now_);
  EXPECT_EQ(count(answer_all(*node), MessageType::put_value), 5);
  EXPECT_EQ(node->take_finished()[0].outcome->count, 5);
  node->put_value(key, to_bytes("1:old"), in(60s).instant, now_);
  EXPECT_EQ(node->take_finished()[0].outcome.error().code, Errc::already_exists);

  node->get_value(key, 0, in(60s).instant, now_);
  for (auto& request : node->take_requests()) {
    auto answer = reply_to(request);
    if (request.peer.id == peer(1)) answer.record = Record{key, to_bytes("3:newest"), {}};
    if (request.peer.id == peer(2)) answer.record = Record{key, to_bytes("forged"), {}};
    node->on_answer(request.id, answer, now_);
  }
  EXPECT_EQ(string_of(node->take_finished()[0].outcome->value), "3:newest");
  auto corrections = node->take_requests();
  EXPECT_EQ(count(corrections, MessageType::put_value), 4);
}

TEST_F(KadNode, ANewcomerIsAskedBeforeItBecomesAMember) {
  auto node = make();
  join(*node);
  node->on_identified(peer_info(60), /*serves=*/true, now_);
  EXPECT_FALSE(node->table().contains(peer(60)));
  auto asked = node->take_requests();
  ASSERT_EQ(asked.size(), 1);
  EXPECT_EQ(asked[0].message.type, MessageType::find_node);
  node->on_answer(asked[0].id, reply_to(asked[0]), now_);
  EXPECT_TRUE(node->table().contains(peer(60)));

  // One that claims to serve and does not answer stays outside; a flood of them is bounded.
  node->on_identified(peer_info(61), true, now_);
  node->on_failure(node->take_requests()[0].id, now_);
  EXPECT_FALSE(node->table().contains(peer(61)));
  for (std::uint64_t i = 100; i < 300; ++i) node->on_identified(peer_info(i), true, now_);
  EXPECT_EQ(node->take_requests().size(), kChecksMax);
  // A member that no longer serves leaves.
  node->on_identified(peer_info(60), false, now_);
  EXPECT_FALSE(node->table().contains(peer(60)));
}

TEST_F(KadNode, StaleMembersAreAskedAtARefreshAndLeaveAfterSilence) {
  NodeOptions options;
  options.table.useful_within = 1min;
  auto node = make(options);
  join(*node);
  // From now on nobody answers.
  for (int i = 0; i < 400 && node->table().size() > 0; ++i) {
    now_ = in(std::max<Duration>(node->deadline() - now_.instant, 1s));
    (void)node->take_requests();
    node->on_timer(now_);
  }
  EXPECT_EQ(node->table().size(), 0);
}

TEST_F(KadNode, AFloodOfRequestsOfOnePeerIsRefusedAndOthersAreServed) {
  NodeOptions options;
  options.requests = {.per_second = 10, .burst = 50};
  options.stores = {.per_second = 1, .burst = 5};
  auto node = make(options);
  Message find;
  find.key = kCapability;
  Message add;
  add.type = MessageType::add_provider;
  add.key = kCapability;
  add.provider_peers = {peer_info(7)};
  std::size_t stored = 0, served = 0;
  for (int i = 0; i < 20; ++i) stored += node->serve(add, peer(7), now_) ? 1 : 0;
  for (int i = 0; i < 200; ++i) served += node->serve(find, peer(7), now_) ? 1 : 0;
  EXPECT_EQ(stored, 5);
  EXPECT_EQ(served, 30);
  EXPECT_EQ(node->serve(find, peer(7), now_).error().code, Errc::exhausted);
  EXPECT_TRUE(node->serve(find, peer(8), now_));
  EXPECT_TRUE(node->serve(find, peer(7), in(1s)));
  EXPECT_EQ(observer_.refused.front(), "rate");
}

TEST_F(KadNode, AClientAnswersNobodyAndAnAutomaticOneWhenItIsReachable) {
  auto client = make({.mode = Mode::client});
  Message find;
  find.key = kCapability;
  EXPECT_EQ(client->serve(find, peer(7), now_).error().code, Errc::unsupported);
  auto automatic = make({.mode = Mode::automatic});
  EXPECT_FALSE(automatic->serves(now_));
  automatic->on_reachability(Reachability::reachable);
  EXPECT_TRUE(automatic->serve(find, peer(7), now_));
  automatic->on_reachability(Reachability::unreachable);
  EXPECT_FALSE(automatic->serve(find, peer(7), now_));
}

TEST_F(KadNode, RecordsAndMembersSurviveARestart) {
  Bytes saved;
  {
    auto node = make();
    join(*node);
    Message add;
    add.type = MessageType::add_provider;
    add.key = kCapability;
    add.provider_peers = {peer_info(7)};
    ASSERT_TRUE(node->serve(add, peer(7), now_));
    node->provide(to_bytes("own"), in(60s).instant, now_);
    answer_all(*node);
    saved = node->snapshot(in(1h));
  }
  now_ = in(1h);
  auto node = make({.bootstrap = {peer_info(999)}});
  ASSERT_TRUE(node->restore(saved, now_));
  EXPECT_EQ(node->server().providers().get(kCapability, now_.instant), std::vector{peer_info(7)});
  EXPECT_TRUE(node->server().providers().get(to_bytes("own"), now_.instant).empty());  // its owner says so again
  EXPECT_TRUE(node->server().providers().get(kCapability, in(kProviderTtl - 59min).instant).empty());
  // The bootstrap peer is gone; the members of before are not, and are members again once they answer.
  EXPECT_EQ(node->table().size(), 0);
  node->bootstrap(in(60s).instant, now_);
  auto requests = node->take_requests();
  EXPECT_EQ(requests.size(), 6);
  for (auto& request : requests)
    if (request.peer.id == peer(999))
      node->on_failure(request.id, now_);
    else
      node->on_answer(request.id, reply_to(request), now_);
  answer_all(*node);
  EXPECT_EQ(node->table().size(), 5);

  EXPECT_EQ(make()->restore(to_bytes("no snapshot"), now_).error().code, Errc::malformed);
  auto late = make();
  ASSERT_TRUE(late->restore(saved, in(kProviderTtl)));
  EXPECT_EQ(late->server().providers().size(), 0);
}

TEST_F(KadNode, AnAnswerToAnEarlierLookupIsNoneToTheNext) {
  // Bootstrap looks into one bucket after the other and asks the same peers: what was asked before the first lookup
  // ended and answers later must not count in the second.
  NodeOptions options;
  options.lookup.beta = 1;
  options.lookup.k = 1;
  options.lookup.paths = 1;
  auto node = make(options);
  node->bootstrap(in(60s).instant, now_);
  auto first = node->take_requests();
  ASSERT_EQ(first.size(), 5);
  auto self = Key::of(peer(0));
  auto nearest = std::ranges::min_element(
      first, {}, [&](const Request& request) { return distance(self, Key::of(request.peer.id)); });
  node->on_answer(nearest->id, reply_to(*nearest), now_);  // the first lookup is over
  auto second = node->take_requests();
  ASSERT_FALSE(second.empty());
  for (const auto& request : first)
    if (request.id != nearest->id) node->on_answer(request.id, reply_to(request, {peer_info(70)}), now_);
  for (const auto& request : node->take_requests()) EXPECT_NE(request.peer.id, peer(70));
}

}  // namespace
}  // namespace nmp::libp2p::kad
