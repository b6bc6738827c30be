#include "libp2p/host/dht.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/async/testing.hpp"
#include "base/async/with_deadline.hpp"
#include "libp2p/kad/testing.hpp"
#include "libp2p/peer/multihash.hpp"

namespace nmp::libp2p {
namespace {

using namespace std::chrono_literals;

Instant in(Duration time) { return async::system_clock().now() + time; }

/// PeerInfo has no empty state, which co_spawn's results need.
async::Awaitable<Result<std::vector<Multiaddr>>> where_is(Dht* dht, PeerId peer) {
  NMP_CO_TRY(auto info, co_await dht->find_peer(peer, in(30s)));
  co_return info.addresses;
}

async::Awaitable<bool> pause(Duration time) {
  auto slept = co_await async::sleep_until(in(time));
  co_return slept.has_value();
}

struct Node {
  std::unique_ptr<Host> host;
  std::unique_ptr<Dht> dht;
  [[nodiscard]] PeerInfo info() const { return PeerInfo{host->id(), host->listen_addresses()}; }
};

class DhtTest : public testing::Test {
 protected:
  Node make(std::vector<PeerInfo> bootstrap,
            kad::Mode mode = kad::Mode::server,
            std::string_view listen = "/ip4/127.0.0.1/udp/0/quic-v1") {
    HostOptions options(KeyPair::generate(random_));
    options.listen = {kad::address(listen)};
    Node node;
    node.host = Host::make(context_.get_executor(), std::move(options)).value();
    DhtOptions dht;
    dht.mode = mode;
    dht.k = 6;
    dht.alpha = 3;
    dht.bootstrap = std::move(bootstrap);
    dht.policy = std::make_unique<kad::RoutingPolicy>(std::string(kad::kProtocol), kad::number_validators());
    node.dht = std::make_unique<Dht>(*node.host, std::move(dht));
    return node;
  }
  template <class T>
  T run(async::Awaitable<T> task) {
    return async::run_until_done(context_, std::move(task));
  }
  static async::Awaitable<bool> close_one(Node* node) {
    co_await node->dht->close();
    co_await node->host->close();
    co_return true;
  }
  static async::Awaitable<bool> close_host(Host* host) {
    co_await host->close();
    co_return true;
  }
  void close(Node& node) { run(close_one(&node)); }
  void TearDown() override {
    for (auto& node : nodes_) close(node);
  }
  /// Node 0, then the others, which join through it one after the other.
  void mesh(std::size_t size, std::string_view listen = "/ip4/127.0.0.1/udp/0/quic-v1") {
    nodes_.push_back(make({}, kad::Mode::server, listen));
    for (std::size_t i = 1; i < size; ++i) {
      nodes_.push_back(make({nodes_[0].info()}, kad::Mode::server, listen));
      auto joined = run(nodes_[i].dht->bootstrap(in(20s)));
      ASSERT_TRUE(joined) << joined.error().message();
      EXPECT_GE(*joined, 1);
    }
  }

  SeededRandom random_{20261122};
  boost::asio::io_context context_;
  std::vector<Node> nodes_;
};

const Bytes kKey = Multihash::sha2_256(bytes_of("/nmp/capability/log_scan")).bytes();

TEST_F(DhtTest, ALookupWhoseRequestsAllFailAtOnceEnds) {
  auto gone = make({});
  auto info = gone.info();
  close(gone);
  nodes_.push_back(make({info}));
  auto first = run(nodes_[0].dht->bootstrap(in(20s)));
  EXPECT_EQ(first.error().code, Errc::unavailable);
  // The peer is in dial backoff now.
  auto second = run(async::with_deadline(in(5s), nodes_[0].dht->bootstrap(in(2s))));
  EXPECT_EQ(second.error().code, Errc::unavailable);
  auto provided = run(async::with_deadline(in(5s), nodes_[0].dht->provide(kKey, in(2s))));
  EXPECT_EQ(provided.error().code, Errc::unavailable);
}

TEST_F(DhtTest, APeerThatJustFailedAnotherCallerIsAsked) {
  auto open_host = [&](const std::vector<Multiaddr>& listen) {
    SeededRandom same(7);
    HostOptions options(KeyPair::generate(same));
    options.listen = listen;
    return Host::make(context_.get_executor(), std::move(options)).value();
  };
  // Over TCP, where nobody at the port is known at once.
  Node away;
  away.host = open_host({kad::address("/ip4/127.0.0.1/tcp/0")});
  auto info = away.info();
  ASSERT_TRUE(run(close_host(away.host.get())));
  nodes_.push_back(make({info}));
  auto& host = *nodes_[0].host;
  EXPECT_FALSE(run(host.connect(info, in(10s))));
  away.host = open_host(info.addresses);
  away.dht = std::make_unique<Dht>(*away.host, DhtOptions());
  auto refused = run(host.connect(info, in(10s)));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().context.find("moment ago"), std::string::npos) << refused.error().context;
  auto joined = run(nodes_[0].dht->bootstrap(in(20s)));
  EXPECT_TRUE(joined) << joined.error().message();
  close(away);
}

TEST_F(DhtTest, TwentyHostsFindAProviderAfterTheBootstrapIsGone) {
  mesh(20);
  close(nodes_[0]);
  nodes_.erase(nodes_.begin());

  auto sent = run(nodes_[5].dht->provide(kKey, in(30s)));
  ASSERT_TRUE(sent) << sent.error().message();
  EXPECT_GE(*sent, 3);

  std::vector<PeerInfo> streamed;
  auto found = run(nodes_[12].dht->find_providers(
      kKey, 1, [&](const PeerInfo& info) { return streamed.push_back(info), true; }, in(30s)));
  ASSERT_TRUE(found) << found.error().message();
  ASSERT_EQ(found->size(), 1);
  EXPECT_EQ((*found)[0].id, nodes_[5].host->id());
  EXPECT_EQ((*found)[0].addresses, nodes_[5].host->listen_addresses());
  EXPECT_EQ(streamed, *found);

  // A host that nobody knows, with one member of the mesh as its only contact, as a client that is no member itself.
  auto agent = make({nodes_[3].info()}, kad::Mode::client);
  auto joined = run(agent.dht->bootstrap(in(20s)));
  ASSERT_TRUE(joined) << joined.error().message();
  auto providers = run(agent.dht->find_providers(kKey, 0, nullptr, in(30s)));
  ASSERT_TRUE(providers) << providers.error().message();
  EXPECT_EQ((*providers)[0].id, nodes_[5].host->id());
  EXPECT_GE(agent.dht->last_stats().hops, 1);
  EXPECT_GE(agent.dht->last_stats().messages, 1);
  EXPECT_TRUE(run(agent.host->connect((*providers)[0], in(10s))));
  for (auto& node : nodes_) EXPECT_FALSE(node.dht->table().contains(agent.host->id()));

  auto nobody = run(agent.dht->find_providers(Multihash::sha2_256(bytes_of("none")).bytes(), 1, nullptr, in(30s)));
  EXPECT_EQ(nobody.error().code, Errc::not_found);

  auto where = run(where_is(agent.dht.get(), nodes_[17].host->id()));
  ASSERT_TRUE(where) << where.error().message();
  EXPECT_EQ(*where, nodes_[17].host->listen_addresses());
  close(agent);
}

TEST_F(DhtTest, ValuesGoToTheClosestAndTheNewestWins) {
  mesh(8);
  auto key = to_bytes("/test/value");
  auto put = run(nodes_[1].dht->put_value(key, to_bytes("1:one"), in(20s)));
  ASSERT_TRUE(put) << put.error().message();
  EXPECT_GE(*put, 3);
  auto got = run(nodes_[6].dht->get_value(key, in(20s)));
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(string_of(*got), "1:one");
  ASSERT_TRUE(run(nodes_[2].dht->put_value(key, to_bytes("2:two"), in(20s))));
  EXPECT_EQ(string_of(run(nodes_[1].dht->get_value(key, in(20s), /*quorum=*/2)).value()), "2:two");
  EXPECT_EQ(run(nodes_[2].dht->put_value(key, to_bytes("1:old"), in(20s))).error().code, Errc::already_exists);
  EXPECT_EQ(run(nodes_[2].dht->put_value(to_bytes("/other/x"), to_bytes("1:x"), in(20s))).error().code,
            Errc::unsupported);
  EXPECT_EQ(run(nodes_[2].dht->get_value(to_bytes("/test/none"), in(20s))).error().code, Errc::not_found);
}

TEST_F(DhtTest, WorksOverIpv6) {
  mesh(5, "/ip6/::1/udp/0/quic-v1");
  ASSERT_TRUE(run(nodes_[1].dht->provide(kKey, in(20s))));
  auto found = run(nodes_[4].dht->find_providers(kKey, 1, nullptr, in(20s)));
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ((*found)[0].addresses, nodes_[1].host->listen_addresses());
}

async::Awaitable<Result<std::string>> say(Host* host, PeerInfo to, Bytes bytes) {
  NMP_CO_CHECK(co_await host->connect(to, in(10s)));
  std::vector<std::string> protocols{"/nmp/kad/1.0.0"};
  NMP_CO_TRY(auto stream, co_await host->open_stream(to.id, protocols, in(10s)));
  NMP_CO_CHECK(co_await stream->write(bytes));
  Bytes buffer(64 * 1024);
  auto size = co_await async::with_deadline(in(10s), stream->read_some(buffer));
  if (!size) co_return fail(size.error());
  co_return *size == 0 ? "end" : "answer";
}

TEST_F(DhtTest, HostileRequestsAreResetAndTheServerGoesOn) {
  mesh(2);
  auto stranger = make({}, kad::Mode::client);
  auto to = nodes_[0].info();
  auto bad = {kad::hex("ffffffff07"),             // 2 GiB announced
              kad::hex("0408060101"),             // a type that is none
              kad::hex("020804"),                 // FIND_NODE without a key
              kad::hex("03ffffff"),               // no protobuf
              kad::hex("090800120374787418ff")};  // broken record
  for (const auto& bytes : bad) {
    auto said = run(say(stranger.host.get(), to, bytes));
    ASSERT_FALSE(said) << hex_encode(bytes) << " " << *said;
    EXPECT_EQ(said.error().code, Errc::closed) << hex_encode(bytes);
  }
  auto good = run(say(stranger.host.get(), to, kad::hex("06080412026869")));
  ASSERT_TRUE(good) << good.error().message();
  EXPECT_EQ(*good, "answer");
  close(stranger);
}

TEST_F(DhtTest, NobodyThereIsUnavailable) {
  nodes_.push_back(make({}));
  EXPECT_EQ(run(nodes_[0].dht->bootstrap(in(5s))).error().code, Errc::unavailable);
  EXPECT_EQ(run(nodes_[0].dht->provide(kKey, in(5s))).error().code, Errc::unavailable);
  EXPECT_EQ(run(where_is(nodes_[0].dht.get(), kad::peer(1))).error().code, Errc::not_found);
  EXPECT_EQ(run(nodes_[0].dht->provide(Bytes(81), in(5s))).error().code, Errc::too_large);
}

TEST_F(DhtTest, AnAutomaticNodeServesWhileItIsReachable) {
  nodes_.push_back(make({}));
  auto node = make({nodes_[0].info()}, kad::Mode::automatic);
  auto advertised = [&] {
    auto protocols = node.host->protocols();
    return std::ranges::find(protocols, kad::kProtocol) != protocols.end();
  };
  EXPECT_FALSE(node.dht->serves());
  EXPECT_FALSE(advertised());
  ASSERT_TRUE(run(node.dht->bootstrap(in(20s))));
  node.dht->on_reachability(kad::Reachability::reachable);
  EXPECT_TRUE(node.dht->serves());
  EXPECT_TRUE(advertised());
  auto asked = run(say(nodes_[0].host.get(), node.info(), kad::hex("06080412026869")));
  ASSERT_TRUE(asked) << asked.error().message();
  EXPECT_EQ(*asked, "answer");
  node.dht->on_reachability(kad::Reachability::unreachable);
  EXPECT_FALSE(advertised());
  close(node);
}

TEST_F(DhtTest, ARestartedNodeKnowsRecordsAndMembers) {
  mesh(3);
  ASSERT_TRUE(run(nodes_[1].dht->provide(kKey, in(20s))));
  // ADD_PROVIDER has no answer: sent is not yet received.
  for (int i = 0; i < 100 && nodes_[2].dht->server().providers().size() == 0; ++i) run(pause(50ms));
  EXPECT_EQ(nodes_[2].dht->server().providers().size(), 1);
  auto saved = nodes_[2].dht->snapshot();
  close(nodes_[2]);
  nodes_.pop_back();

  auto again = make({});  // without bootstrap peers
  ASSERT_TRUE(again.dht->restore(saved));
  EXPECT_EQ(again.dht->server().providers().size(), 1);
  auto joined = run(again.dht->bootstrap(in(20s)));
  ASSERT_TRUE(joined) << joined.error().message();
  EXPECT_EQ(*joined, 2);
  EXPECT_EQ(again.dht->restore(to_bytes("no snapshot")).error().code, Errc::malformed);
  close(again);
}

/// Counts whom it let in, under a protocol of its own.
class Doorkeeper final : public kad::RoutingPolicy {
 public:
  explicit Doorkeeper(std::size_t* admitted) : kad::RoutingPolicy("/club/kad/1.0.0"), admitted_(admitted) {}
  bool admit(const kad::Contact&, std::size_t) override { return ++*admitted_ > 0; }

 private:
  std::size_t* admitted_;
};

TEST_F(DhtTest, APolicyDecidesForARealNode) {
  std::size_t admitted = 0;
  std::vector<Node> club;
  for (int i = 0; i < 2; ++i) {
    HostOptions options(KeyPair::generate(random_));
    options.listen = {kad::address("/ip4/127.0.0.1/udp/0/quic-v1")};
    Node node;
    node.host = Host::make(context_.get_executor(), std::move(options)).value();
    DhtOptions dht;
    dht.policy = std::make_unique<Doorkeeper>(&admitted);
    if (i == 1) dht.bootstrap = {club[0].info()};
    node.dht = std::make_unique<Dht>(*node.host, std::move(dht));
    club.push_back(std::move(node));
  }
  ASSERT_TRUE(run(club[1].dht->bootstrap(in(20s))));
  EXPECT_GE(admitted, 1);
  auto protocols = club[0].host->protocols();
  EXPECT_NE(std::ranges::find(protocols, "/club/kad/1.0.0"), protocols.end());
  // A node of another network does not get in.
  auto stranger = make({club[0].info()});
  EXPECT_EQ(run(stranger.dht->bootstrap(in(5s))).error().code, Errc::unavailable);
  close(stranger);
  for (auto& node : club) close(node);
}

TEST_F(DhtTest, CloseEndsCallsInProgress) {
  // A bootstrap address where nobody answers keeps the call waiting.
  auto silent = kad::peer_at(7, "/ip4/127.0.0.1/udp/9/quic-v1");
  nodes_.push_back(make({silent}));
  std::optional<Result<std::size_t>> outcome;
  boost::asio::co_spawn(context_, nodes_[0].dht->bootstrap(in(60s)),
                        [&](std::exception_ptr, Result<std::size_t> result) { outcome = std::move(result); });
  context_.poll();
  close(nodes_[0]);
  context_.poll();
  ASSERT_TRUE(outcome);
  EXPECT_FALSE(*outcome);
  nodes_.clear();
}

}  // namespace
}  // namespace nmp::libp2p
