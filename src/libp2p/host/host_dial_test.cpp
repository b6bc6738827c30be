#include <gtest/gtest.h>

#include "base/async/task_group.hpp"
#include "base/async/testing.hpp"
#include "crypto/random.hpp"
#include "libp2p/dial/limits.hpp"
#include "libp2p/host/host.hpp"

/// Which addresses a Host dials, and which it does not.
namespace nmp::libp2p {
namespace {

using async::Awaitable;
using std::chrono::milliseconds;
using std::chrono::seconds;

Multiaddr at(std::string_view text) { return Multiaddr::parse(text).value(); }
Instant in(Duration time) { return async::system_clock().now() + time; }

/// Knows what is written down; questions about `nobody.test` are never answered.
class Zone final : public async::Resolver {
 public:
  Awaitable<Result<std::vector<SocketAddress>>> addresses(std::string name, bool is_v6, Instant deadline) override {
    ++asked;
    most_at_once = std::max(most_at_once, ++at_once);
    if (name.starts_with("slow")) (void)co_await async::sleep_until(in(milliseconds(50)));
    --at_once;
    if (name == "nobody.test") NMP_CO_CHECK(co_await async::sleep_until(deadline));
    if (is_v6 || !names.contains(name)) co_return fail(Errc::not_found, name);
    SocketAddress loopback;
    loopback.ip = {std::byte{127}, std::byte{0}, std::byte{0}, std::byte{1}};
    co_return std::vector<SocketAddress>{loopback};
  }
  Awaitable<Result<std::vector<std::string>>> texts(std::string name, Instant) override {
    ++asked;
    const auto it = records.find(name);
    if (it == records.end()) co_return fail(Errc::not_found, name);
    co_return it->second;
  }
  std::set<std::string> names;  ///< of 127.0.0.1
  std::map<std::string, std::vector<std::string>> records;
  std::size_t asked = 0;
  std::size_t at_once = 0;  ///< of addresses()
  std::size_t most_at_once = 0;
};

struct Pair {
  explicit Pair(boost::asio::io_context& context) : executor(context.get_executor()), zone(std::make_shared<Zone>()) {
    server = make("/ip4/127.0.0.1/tcp/0");
    client = make("/ip4/127.0.0.1/tcp/0");
    port = std::to_string(server->listen_addresses().front().tcp_endpoint()->port);
  }
  std::unique_ptr<Host> make(const char* listen) {
    HostOptions options(KeyPair::generate(crypto::system_random()));
    options.listen = {at(listen)};
    options.resolver = zone;
    options.identify = false;  // which would teach them each other's addresses
    return Host::make(executor, std::move(options)).value();
  }
  Awaitable<Result<void>> connect(std::vector<std::string> addresses, Duration time = seconds(20)) {
    PeerInfo info{server->id(), {}};
    for (const auto& address : addresses) info.addresses.push_back(at(address));
    co_return co_await client->connect(std::move(info), in(time));
  }
  Awaitable<void> disconnect() {
    client->disconnect(server->id());
    for (int i = 0; i < 400 && (client->is_connected(server->id()) || server->is_connected(client->id())); ++i)
      (void)co_await async::sleep_until(in(milliseconds(5)));
  }
  async::Executor executor;
  std::shared_ptr<Zone> zone;  // both hosts
  std::unique_ptr<Host> server;
  std::unique_ptr<Host> client;
  std::string port;
};

template <class Body>
void with_pair(Body body) {
  boost::asio::io_context context;
  Pair pair(context);
  auto run = [](Pair& of, Body act) -> Awaitable<bool> {
    co_await act(of);
    co_await of.client->close();
    co_await of.server->close();
    co_return true;
  };
  EXPECT_TRUE(async::run_until_done(context, run(pair, body)));
}

TEST(HostDial, NamesAreResolved) {
  with_pair([](Pair& pair) -> Awaitable<void> {
    pair.zone->names = {"a.test"};
    for (const auto* kind : {"/dns4", "/dns"}) {
      std::vector<std::string> addresses = {std::string(kind) + "/a.test/tcp/" + pair.port};
      EXPECT_TRUE(co_await pair.connect(addresses)) << kind;
      EXPECT_EQ(pair.client->connections().front().address.to_text(), "/ip4/127.0.0.1/tcp/" + pair.port);
      co_await pair.disconnect();
    }
  });
}

TEST(HostDial, QuestionsOfAllDialsWaitForTheirTurn) {
  with_pair([](Pair& pair) -> Awaitable<void> {
    async::TaskGroup dials(pair.executor);
    std::size_t failed = 0;
    auto dial = [](Pair& of, std::size_t& count) -> Awaitable<void> {
      PeerInfo info{PeerId::of(KeyPair::generate(crypto::system_random()).public_key()), {}};
      for (int i = 0; i < 16; ++i) info.addresses.push_back(at("/dns/slow" + std::to_string(i) + ".test/tcp/1"));
      const auto result = co_await of.client->connect(std::move(info), in(seconds(20)));
      count += !result && result.error().code == host::Errc::dial_failed ? 1 : 0;
    };
    for (int i = 0; i < 3; ++i) dials.spawn(dial(pair, failed));
    for (int i = 0; i < 400 && dials.size() > 0; ++i) (void)co_await async::sleep_until(in(milliseconds(10)));
    EXPECT_EQ(failed, 3U);
    EXPECT_EQ(pair.zone->asked, 3 * dial::kQuestionsMax);
    EXPECT_EQ(pair.zone->most_at_once, kLookupsMax);
    co_await dials.close();
  });
}

TEST(HostDial, DnsaddrLeadsToThePeerAndToNobodyElse) {
  with_pair([](Pair& pair) -> Awaitable<void> {
    pair.zone->names = {"a.test"};
    const auto id = "/p2p/" + pair.server->id().to_text();
    pair.zone->records["_dnsaddr.example.test"] = {"dnsaddr=/dnsaddr/more.test" + id, "dnsaddr=/ip4/127.0.0.1/tcp/1"};
    pair.zone->records["_dnsaddr.more.test"] = {"dnsaddr=/dns4/a.test/tcp/" + pair.port + id};
    pair.zone->records["_dnsaddr.other.test"] = {"dnsaddr=/ip4/127.0.0.1/tcp/" + pair.port + "/p2p/" +
                                                 pair.client->id().to_text()};
    std::vector<std::string> good = {"/dnsaddr/example.test" + id};
    EXPECT_TRUE(co_await pair.connect(good));
    EXPECT_EQ(pair.zone->asked, 3U);
  });
  with_pair([](Pair& pair) -> Awaitable<void> {
    pair.zone->records["_dnsaddr.other.test"] = {"dnsaddr=/ip4/127.0.0.1/tcp/" + pair.port + "/p2p/" +
                                                 pair.client->id().to_text()};
    std::vector<std::string> bad = {"/dnsaddr/other.test"};
    auto connected = co_await pair.connect(bad);
    EXPECT_FALSE(connected);
    if (!connected) {
      EXPECT_EQ(connected.error().code, host::Errc::dial_failed);
    }
  });
}

TEST(HostDial, ANameThatNobodyKnowsIsSaid) {
  with_pair([](Pair& pair) -> Awaitable<void> {
    std::vector<std::string> addresses = {"/dns4/unknown.test/tcp/1"};
    auto connected = co_await pair.connect(addresses);
    EXPECT_FALSE(connected);
    if (connected) co_return;
    EXPECT_EQ(connected.error().code, host::Errc::dial_failed);
    EXPECT_NE(connected.error().context.find("unknown.test"), std::string::npos) << connected.error().context;
  });
}

TEST(HostDial, SilentNameServersHoldUpNothing) {
  with_pair([](Pair& pair) -> Awaitable<void> {
    std::vector<std::string> addresses = {"/dns4/nobody.test/tcp/1", "/ip4/127.0.0.1/tcp/" + pair.port};
    const auto begin = async::system_clock().now();
    EXPECT_TRUE(co_await pair.connect(addresses));
    EXPECT_LT(async::system_clock().now() - begin, seconds(4));
  });
}

TEST(HostDial, WhatFailedIsLetAloneUntilThePeerShowsItself) {
  with_pair([](Pair& pair) -> Awaitable<void> {
    const std::vector<std::string> dead = {"/ip4/127.0.0.1/tcp/1"};
    auto first = co_await pair.connect(dead);
    EXPECT_FALSE(first);
    if (!first) {
      EXPECT_EQ(first.error().context.find("moment ago"), std::string::npos) << first.error().context;
    }
    auto second = co_await pair.connect(dead);
    EXPECT_FALSE(second);
    if (!second) {
      EXPECT_EQ(second.error().code, host::Errc::dial_failed);
      EXPECT_NE(second.error().context.find("moment ago"), std::string::npos) << second.error().context;
    }
    PeerInfo client{pair.client->id(), pair.client->listen_addresses()};
    EXPECT_TRUE(co_await pair.server->connect(std::move(client), in(seconds(20))));
    for (int i = 0; i < 400 && !pair.client->is_connected(pair.server->id()); ++i)
      (void)co_await async::sleep_until(in(milliseconds(5)));
    co_await pair.disconnect();
    auto third = co_await pair.connect(dead);
    EXPECT_FALSE(third);
    if (!third) {
      EXPECT_EQ(third.error().context.find("moment ago"), std::string::npos) << third.error().context;
    }
    // Another address of the peer is tried all the while.
    std::vector<std::string> good = {"/ip4/127.0.0.1/tcp/" + pair.port};
    EXPECT_TRUE(co_await pair.connect(good));
  });
}

TEST(HostDial, ManyAddressesOfOneKindDoNotHideAnother) {
  with_pair([](Pair& pair) -> Awaitable<void> {
    std::vector<std::string> addresses;
    for (int i = 1; i <= 20; ++i) addresses.push_back("/ip4/127.0.0." + std::to_string(i) + "/udp/9/quic-v1");
    addresses.push_back("/ip4/127.0.0.1/tcp/" + pair.port);
    EXPECT_TRUE(co_await pair.connect(addresses, seconds(3)));
  });
}

}  // namespace
}  // namespace nmp::libp2p
