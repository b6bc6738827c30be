#include "libp2p/host/host.hpp"

#include <gtest/gtest.h>

#include "base/async/event.hpp"
#include "base/async/task_group.hpp"
#include "base/async/tcp.hpp"
#include "base/async/testing.hpp"
#include "base/async/udp.hpp"
#include "crypto/random.hpp"
#include "libp2p/host/address_book.hpp"
#include "libp2p/host/addresses.hpp"
#include "libp2p/multistream/multistream.hpp"

namespace nmp::libp2p {
namespace {

using async::Awaitable;
using async::Executor;
using std::chrono::seconds;

constexpr const char* kEcho = "/echo/1.0.0";

constexpr const char* kQuic = "/ip4/127.0.0.1/udp/0/quic-v1";
constexpr const char* kTcp = "/ip4/127.0.0.1/tcp/0";
constexpr const char* kWebSocket = "/ip4/127.0.0.1/tcp/0/ws";
const std::vector<Security> kBoth = HostOptions(KeyPair::generate(crypto::system_random())).security;
/// Where hosts listen that are not told, and what secures them over TCP.
const char* transport = kQuic;
std::vector<Security> security = kBoth;

struct Way {
  const char* name;
  const char* listen;
  std::vector<Security> security;
};
const Way kWays[] = {{"Quic", kQuic, kBoth},
                     {"TcpNoise", kTcp, {Security::noise}},
                     {"TcpTls", kTcp, {Security::tls}},
                     {"WebSocket", kWebSocket, kBoth}};

/// What a Host promises over every transport.
class HostOver : public testing::TestWithParam<Way> {
 protected:
  HostOver() {
    transport = GetParam().listen;
    security = GetParam().security;
  }
  HostOver(const HostOver&) = delete;
  HostOver& operator=(const HostOver&) = delete;
  ~HostOver() override {
    transport = kQuic;
    security = kBoth;
  }
};
INSTANTIATE_TEST_SUITE_P(Transports, HostOver, testing::ValuesIn(kWays), [](const auto& of) { return of.param.name; });

Multiaddr address(const char* text) { return *Multiaddr::parse(text); }
Instant soon() { return async::system_clock().now() + seconds(20); }

Awaitable<void> echo(StreamPtr stream) {
  std::array<std::byte, 4096> piece;
  for (;;) {
    auto size = co_await stream->read_some(piece);
    if (!size) co_return;
    if (*size == 0) break;
    if (!co_await stream->write(ByteView(piece).first(*size))) co_return;
  }
  (void)co_await stream->close_write();
}

std::unique_ptr<Host> make_host(const Executor& executor,
                                const char* listen = transport,
                                const HostLimits& limits = {}) {
  HostOptions options(KeyPair::generate(crypto::system_random()));
  if (listen != nullptr) options.listen.push_back(address(listen));
  options.limits = limits;
  options.security = security;
  auto host = Host::make(executor, std::move(options));
  if (!host) return nullptr;
  (*host)->handle(kEcho, echo);
  return *std::move(host);
}

/// What a dialler says first, as far as the security's own messages.
Bytes multistream_hello(const char* protocol) {
  return concat({multistream::encode_token(multistream::kHeader), multistream::encode_token(protocol)});
}

PeerInfo info_of(const Host& host) { return {host.id(), host.listen_addresses()}; }

struct Two {
  explicit Two(boost::asio::io_context& context, const char* listen = transport, const HostLimits& limits = {})
      : server(make_host(context.get_executor(), listen, limits)), client(make_host(context.get_executor(), nullptr)) {}
  std::unique_ptr<Host> server;
  std::unique_ptr<Host> client;

  Awaitable<Result<StreamPtr>> open(std::string protocol = kEcho) {
    auto info = info_of(*server);
    NMP_CO_CHECK(co_await client->connect(std::move(info), soon()));
    std::vector<std::string> protocols{std::move(protocol)};
    co_return co_await client->open_stream(server->id(), std::move(protocols), soon());
  }
  Awaitable<void> close() {
    co_await client->close();
    co_await server->close();
  }
};

Awaitable<std::string> read_all(Stream& stream) {
  std::string all;
  std::array<std::byte, 4096> piece;
  for (;;) {
    auto size = co_await stream.read_some(piece);
    if (!size) co_return all + "<" + size.error().message() + ">";
    if (*size == 0) co_return all;
    all += text_of(ByteView(piece).first(*size));
  }
}

/// Runs `body(two)` and closes both hosts.
template <class Body>
void with_two(Body body, const char* listen = transport, const HostLimits& limits = {}) {
  boost::asio::io_context context;
  Two two(context, listen, limits);
  if (two.server == nullptr && std::string_view(listen).starts_with("/ip6")) GTEST_SKIP() << "no IPv6 here";
  ASSERT_TRUE(two.server && two.client);
  auto run = [](Two& both, Body act) -> Awaitable<bool> {
    co_await act(both);
    co_await both.close();
    co_return true;
  };
  EXPECT_TRUE(async::run_until_done(context, run(two, std::move(body))));
}

Awaitable<void> echo_once(Two& two) {
  auto stream = co_await two.open();
  EXPECT_TRUE(stream) << (stream ? "" : stream.error().message());
  if (!stream) co_return;
  EXPECT_EQ((*stream)->remote(), two.server->id());
  EXPECT_TRUE(co_await (*stream)->write(bytes_of("hello")));
  EXPECT_TRUE(co_await (*stream)->close_write());
  EXPECT_EQ(co_await read_all(**stream), "hello");
}

TEST_P(HostOver, EchoesOnce) { with_two(echo_once); }
TEST(Host, EchoesOverTcpAndIp6) { with_two(echo_once, "/ip6/::1/tcp/0"); }
TEST(Host, EchoesToAWildcardTcpListener) { with_two(echo_once, "/ip4/0.0.0.0/tcp/0"); }
TEST(Host, EchoesOverIp6) { with_two(echo_once, "/ip6/::1/udp/0/quic-v1"); }
TEST(Host, EchoesToAWildcardListener) { with_two(echo_once, "/ip4/0.0.0.0/udp/0/quic-v1"); }
TEST(Host, EchoesAfterRetry) {
  HostLimits limits;
  limits.retry_threshold = 0;
  with_two(
      [](Two& two) -> Awaitable<void> {
        co_await echo_once(two);
        EXPECT_EQ(two.server->stats().retries_sent, 1U);
      },
      "/ip4/127.0.0.1/udp/0/quic-v1", limits);
}

TEST(Host, ListensOnSeveralAddressesWithRealPorts) {
  boost::asio::io_context context;
  HostOptions options(KeyPair::generate(crypto::system_random()));
  options.listen = {address("/ip4/127.0.0.1/udp/0/quic-v1"), address("/ip4/127.0.0.2/udp/0/quic-v1")};
  auto host = Host::make(context.get_executor(), std::move(options));
  ASSERT_TRUE(host);
  auto addresses = (*host)->listen_addresses();
  ASSERT_EQ(addresses.size(), 2U);
  for (const auto& at : addresses) EXPECT_NE(at.udp_endpoint()->port, 0);
  auto close = [](Host& h) -> Awaitable<bool> {
    co_await h.close();
    co_return true;
  };
  async::run_until_done(context, close(**host));
  HostOptions bad(KeyPair::generate(crypto::system_random()));
  bad.listen = {address("/ip4/127.0.0.1/tcp/0/wss")};
  EXPECT_FALSE(Host::make(context.get_executor(), std::move(bad)));
}

TEST_P(HostOver, PingAndIdentify) {
  with_two([](Two& two) -> Awaitable<void> {
    auto info = info_of(*two.server);
    EXPECT_TRUE(co_await two.client->connect(std::move(info), soon()));
    auto rtt = co_await two.client->ping(two.server->id(), soon());
    EXPECT_TRUE(rtt) << (rtt ? "" : rtt.error().message());
    for (int i = 0; i < 200 && !(two.client->details(two.server->id()) && two.server->details(two.client->id())); ++i)
      (void)co_await async::sleep_until(async::system_clock().now() + std::chrono::milliseconds(10));
    auto details = two.client->details(two.server->id());
    EXPECT_TRUE(details);
    if (!details) co_return;
    EXPECT_EQ(details->agent_version, "nmp/0.1.0");
    EXPECT_TRUE(std::ranges::count(details->protocols, kEcho) == 1);
    EXPECT_TRUE(details->observed_address.has_value());
    EXPECT_TRUE(two.server->details(two.client->id()));
  });
}

TEST_P(HostOver, AnUnknownProtocolIsSaidOnTheFirstRead) {
  with_two([](Two& two) -> Awaitable<void> {
    auto stream = co_await two.open("/nobody/1.0.0");
    EXPECT_TRUE(stream);
    if (!stream) co_return;
    (void)co_await (*stream)->write(bytes_of("lazy data"));
    std::array<std::byte, 10> piece;
    auto size = co_await (*stream)->read_some(piece);
    EXPECT_FALSE(size);
    EXPECT_EQ(size.error().code, host::Errc::protocol_unsupported) << size.error().message();
  });
}

TEST_P(HostOver, TheFirstCommonProtocolIsChosen) {
  with_two([](Two& two) -> Awaitable<void> {
    two.client->add_addresses(two.server->id(), two.server->listen_addresses(), seconds(60));
    std::vector<std::string> protocols{"/nobody/1.0.0", kEcho};
    auto stream = co_await two.client->open_stream(two.server->id(), std::move(protocols), soon());
    EXPECT_TRUE(stream);
    if (!stream) co_return;
    EXPECT_EQ((*stream)->protocol(), kEcho);
    EXPECT_TRUE(co_await (*stream)->write(bytes_of("x")));
    EXPECT_TRUE(co_await (*stream)->close_write());
    EXPECT_EQ(co_await read_all(**stream), "x");
    std::vector<std::string> none{"/a", "/b"};
    auto refused = co_await two.client->open_stream(two.server->id(), std::move(none), soon());
    EXPECT_FALSE(refused);
    EXPECT_EQ(refused.error().code, host::Errc::protocol_unsupported);
  });
}

TEST_P(HostOver, TheWrongPeerIsRefused) {
  with_two([](Two& two) -> Awaitable<void> {
    PeerInfo info{PeerId::of(KeyPair::generate(crypto::system_random()).public_key()), two.server->listen_addresses()};
    auto result = co_await two.client->connect(std::move(info), soon());
    EXPECT_FALSE(result);
    EXPECT_EQ(result.error().code, host::Errc::wrong_peer) << result.error().message();
    PeerInfo self{two.client->id(), two.server->listen_addresses()};
    auto own = co_await two.client->connect(std::move(self), soon());
    EXPECT_EQ(own.error().code, host::Errc::self_dial);
    PeerInfo unknown{PeerId::of(KeyPair::generate(crypto::system_random()).public_key()), {}};
    auto nowhere = co_await two.client->connect(std::move(unknown), soon());
    EXPECT_EQ(nowhere.error().code, host::Errc::no_address);
  });
}

TEST_P(HostOver, AnotherAddressIsTriedWhenOneIsDead) {
  with_two([](Two& two) -> Awaitable<void> {
    auto info = info_of(*two.server);
    info.addresses.insert(info.addresses.begin(), address("/ip4/127.0.0.9/udp/9/quic-v1"));
    EXPECT_TRUE(co_await two.client->connect(std::move(info), soon()));
  });
}

TEST_P(HostOver, ADialEndsAtItsDeadline) {
  with_two([](Two& two) -> Awaitable<void> {
    PeerInfo info{two.server->id(), {address("/ip4/127.0.0.9/udp/9/quic-v1")}};
    auto result =
        co_await two.client->connect(std::move(info), async::system_clock().now() + std::chrono::milliseconds(50));
    EXPECT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::deadline_exceeded);
  });
}

TEST_P(HostOver, ConcurrentDialsShareOneConnection) {
  with_two([](Two& two) -> Awaitable<void> {
    async::TaskGroup tasks(two.client->executor());
    std::size_t done = 0;
    async::Event changed(two.client->executor());
    auto dial = [](Two& both, std::size_t& count, async::Event& event) -> Awaitable<void> {
      auto info = info_of(*both.server);
      EXPECT_TRUE(co_await both.client->connect(std::move(info), soon()));
      ++count;
      event.notify_all();
    };
    for (int i = 0; i < 10; ++i) tasks.spawn(dial(two, done, changed));
    while (done < 10) (void)co_await changed.wait();
    EXPECT_EQ(two.client->connections().size(), 1U);
    EXPECT_EQ(two.client->stats().connections_opened, 1U);
    co_await tasks.close();
  });
}

TEST_P(HostOver, SimultaneousDialsDoNotHurt) {
  boost::asio::io_context context;
  auto a = make_host(context.get_executor());
  auto b = make_host(context.get_executor());
  auto run = [](Host& left, Host& right) -> Awaitable<bool> {
    async::TaskGroup tasks(left.executor());
    std::size_t done = 0;
    async::Event changed(left.executor());
    auto talk = [](Host& from, Host& to, std::size_t& count, async::Event& event) -> Awaitable<void> {
      from.add_addresses(to.id(), to.listen_addresses(), seconds(60));
      std::vector<std::string> protocols{kEcho};
      auto stream = co_await from.open_stream(to.id(), std::move(protocols), soon());
      EXPECT_TRUE(stream);
      if (stream) {
        EXPECT_TRUE(co_await (*stream)->write(bytes_of("x")));
        EXPECT_TRUE(co_await (*stream)->close_write());
        EXPECT_EQ(co_await read_all(**stream), "x");
      }
      ++count;
      event.notify_all();
    };
    tasks.spawn(talk(left, right, done, changed));
    tasks.spawn(talk(right, left, done, changed));
    while (done < 2) (void)co_await changed.wait();
    co_await tasks.close();
    co_await left.close();
    co_await right.close();
    co_return true;
  };
  EXPECT_TRUE(async::run_until_done(context, run(*a, *b)));
}

TEST_P(HostOver, ResetCarriesItsCode) {
  with_two([](Two& two) -> Awaitable<void> {
    two.server->handle("/reset/1.0.0", [](StreamPtr stream) -> Awaitable<void> {
      std::array<std::byte, 10> piece;
      (void)co_await stream->read_some(piece);
      stream->reset(stream_code::kRateLimited);
    });
    auto stream = co_await two.open("/reset/1.0.0");
    EXPECT_TRUE(stream);
    if (!stream) co_return;
    EXPECT_TRUE(co_await (*stream)->write(bytes_of("x")));
    std::array<std::byte, 10> piece;
    auto size = co_await (*stream)->read_some(piece);
    EXPECT_FALSE(size);
    EXPECT_EQ(size.error().code, Errc::closed);
    EXPECT_EQ((*stream)->peer_code(), stream_code::kRateLimited);
  });
}

TEST_P(HostOver, AStalledReaderHoldsUpTheWriter) {
  with_two([](Two& two) -> Awaitable<void> {
    two.server->handle("/stall/1.0.0", [](StreamPtr stream) -> Awaitable<void> {
      (void)co_await async::sleep_until(kNever);
      stream->reset(0);
    });
    auto stream = co_await two.open("/stall/1.0.0");
    EXPECT_TRUE(stream);
    if (!stream) co_return;
    std::size_t written = 0;
    async::TaskGroup tasks(two.client->executor());
    auto pump = [](Stream& to, std::size_t& count) -> Awaitable<void> {
      Bytes data(65536);
      while (co_await to.write(data)) count += data.size();
    };
    tasks.spawn(pump(**stream, written));
    std::size_t before = 1;
    while (before != written || written == 0) {
      before = written;
      (void)co_await async::sleep_until(async::system_clock().now() + std::chrono::milliseconds(300));
    }
    EXPECT_LE(written, 4U * 1024 * 1024);
    // Another stream of the same connection is not held up.
    co_await echo_once(two);
    co_await tasks.close();
  });
}

TEST_P(HostOver, TwoHundredFiftySixStreamsAtOnce) {
  with_two([](Two& two) -> Awaitable<void> {
    std::vector<StreamPtr> streams;
    for (int i = 0; i < 300; ++i) {
      // The 257th has to wait for one to end.
      if (streams.size() == 250) streams.clear();
      auto stream = co_await two.open();
      EXPECT_TRUE(stream) << i;
      if (!stream) co_return;
      EXPECT_TRUE(co_await (*stream)->write(bytes_of("x")));
      streams.push_back(*std::move(stream));
    }
    for (auto& stream : streams) {
      EXPECT_TRUE(co_await stream->close_write());
      EXPECT_EQ(co_await read_all(*stream), "x");
    }
  });
}

TEST_P(HostOver, AKilledConnectionIsDialledAgain) {
  with_two([](Two& two) -> Awaitable<void> {
    auto stream = co_await two.open();
    EXPECT_TRUE(stream);
    if (!stream) co_return;
    EXPECT_TRUE(co_await (*stream)->write(bytes_of("x")));
    for (int i = 0; i < 200 && !two.server->is_connected(two.client->id()); ++i)
      (void)co_await async::sleep_until(async::system_clock().now() + std::chrono::milliseconds(5));
    two.server->disconnect(two.client->id(), connection_code::kGarbageCollected);
    auto rest = co_await read_all(**stream);
    EXPECT_NE(rest.find("closed"), std::string::npos) << rest;
    EXPECT_FALSE(co_await (*stream)->write(bytes_of("y")));
    co_await echo_once(two);
    EXPECT_EQ(two.client->stats().connections_opened, 2U);
  });
}

TEST_P(HostOver, StreamsSurviveTheirHost) {
  boost::asio::io_context context;
  auto run = [](Executor executor, boost::asio::io_context& io) -> Awaitable<bool> {
    StreamPtr left;
    {
      Two two(io);
      auto stream = co_await two.open();
      EXPECT_TRUE(stream);
      EXPECT_TRUE(co_await (*stream)->write(bytes_of("x")));
      left = *std::move(stream);
      co_await two.close();
    }
    (void)executor;
    EXPECT_FALSE(co_await left->write(bytes_of("y")));
    std::array<std::byte, 10> piece;
    auto size = co_await left->read_some(piece);
    EXPECT_FALSE(size);
    left->reset(1);
    co_return true;
  };
  EXPECT_TRUE(async::run_until_done(context, run(context.get_executor(), context)));
}

TEST_P(HostOver, LargeTransferBothWays) {
  with_two([](Two& two) -> Awaitable<void> {
    auto stream = co_await two.open();
    EXPECT_TRUE(stream);
    if (!stream) co_return;
    constexpr std::size_t kTotal = 20'000'000;
    async::TaskGroup tasks(two.client->executor());
    auto pump = [](Stream& to) -> Awaitable<void> {
      Bytes data(100'000);
      for (std::size_t sent = 0; sent < kTotal; sent += data.size()) EXPECT_TRUE(co_await to.write(data));
      EXPECT_TRUE(co_await to.close_write());
    };
    tasks.spawn(pump(**stream));
    std::size_t received = 0;
    Bytes piece(65536);
    for (;;) {
      auto size = co_await (*stream)->read_some(piece);
      EXPECT_TRUE(size);
      if (!size || *size == 0) break;
      received += *size;
    }
    EXPECT_EQ(received, kTotal);
    co_await tasks.close();
  });
}

TEST_P(HostOver, UntrustedConnectionsAreLimited) {
  HostLimits limits;
  limits.untrusted = UntrustedLimits{};
  limits.untrusted->time_max = std::chrono::milliseconds(700);
  with_two(
      [](Two& two) -> Awaitable<void> {
        auto stream = co_await two.open();
        EXPECT_TRUE(stream);
        if (!stream) co_return;
        EXPECT_TRUE(co_await (*stream)->write(bytes_of("x")));
        std::array<std::byte, 10> piece;
        EXPECT_TRUE(co_await (*stream)->read_some(piece));
        auto again = co_await (*stream)->read_some(piece);
        EXPECT_FALSE(again);  // closed as gated
        EXPECT_FALSE(two.client->is_connected(two.server->id()));
        auto next = co_await two.open();
        EXPECT_TRUE(next);
        if (!next) co_return;
        EXPECT_TRUE(co_await (*next)->write(bytes_of("x")));
        EXPECT_TRUE(co_await (*next)->read_some(piece));
        two.server->mark_trusted(two.client->id());
        (void)co_await async::sleep_until(async::system_clock().now() + std::chrono::milliseconds(900));
        EXPECT_TRUE(two.client->is_connected(two.server->id()));
      },
      transport, limits);
}

TEST(Host, GarbageFromTheNetworkChangesNothing) {
  with_two([](Two& two) -> Awaitable<void> {
    SocketAddress any;
    auto udp = async::UdpSocket::bind(two.client->executor(), any);
    EXPECT_TRUE(udp);
    if (!udp) co_return;
    const auto to = to_socket(*two.server->listen_addresses().front().udp_endpoint());
    SeededRandom random(5);
    for (int i = 0; i < 2000; ++i) {
      Bytes garbage(random.below(1400) + 1);
      random.fill(garbage);
      (*udp)->send(garbage, garbage.size(), to, nullptr);
    }
    co_await echo_once(two);
  });
}

TEST(Host, QuicGoesBeforeTcpAndTcpServesWithoutIt) {
  with_two([](Two& two) -> Awaitable<void> {
    HostOptions options(KeyPair::generate(crypto::system_random()));
    options.listen = {address(kTcp), address(kQuic)};
    auto both = Host::make(two.client->executor(), std::move(options));
    EXPECT_TRUE(both);
    if (!both) co_return;
    auto info = info_of(**both);
    EXPECT_TRUE(co_await two.client->connect(info, soon()));
    for (const auto& connection : two.client->connections()) EXPECT_TRUE(connection.address.is_quic_v1());
    two.client->disconnect((*both)->id());
    for (int i = 0; i < 400 && two.client->is_connected((*both)->id()); ++i)
      (void)co_await async::sleep_until(async::system_clock().now() + std::chrono::milliseconds(5));
    // Nobody answers there over UDP.
    for (auto& at : info.addresses)
      if (at.is_quic_v1()) at = address("/ip4/127.0.0.9/udp/9/quic-v1");
    EXPECT_TRUE(co_await two.server->connect(info, soon()));
    for (const auto& connection : two.server->connections()) EXPECT_TRUE(connection.address.is_tcp());
    co_await (*both)->close();
  });
}

TEST(Host, StrangersOnATcpPortChangeNothing) {
  with_two(
      [](Two& two) -> Awaitable<void> {
        const auto to = to_socket(*two.server->listen_addresses().front().tcp_endpoint());
        SeededRandom random(5);
        std::vector<async::ByteStreamPtr> held;
        for (int i = 0; i < 100; ++i) {
          auto stream = co_await async::dial_tcp(to, soon());
          EXPECT_TRUE(stream);
          if (!stream) co_return;
          Bytes garbage(random.below(3000));
          random.fill(garbage);
          if (i % 3 == 0) garbage = concat({multistream_hello(i % 2 == 0 ? "/noise" : "/tls/1.0.0"), garbage});
          if (!garbage.empty()) (void)co_await (*stream)->write(garbage);
          if (i % 2 == 0) held.push_back(*std::move(stream));
        }
        co_await echo_once(two);
      },
      kTcp);
}

TEST(Host, SilentTcpConnectionsGiveWay) {
  HostLimits limits;
  limits.handshakes_max = 8;
  with_two(
      [](Two& two) -> Awaitable<void> {
        const auto to = to_socket(*two.server->listen_addresses().front().tcp_endpoint());
        std::vector<async::ByteStreamPtr> held;
        for (int i = 0; i < 50; ++i) {
          auto stream = co_await async::dial_tcp(to, soon());
          EXPECT_TRUE(stream);
          if (stream) held.push_back(*std::move(stream));
        }
        co_await echo_once(two);
        EXPECT_LE(two.server->stats().half_open, 8U);
      },
      kTcp, limits);
}

/// Ends that offer these, as dialler and as listener.
Awaitable<bool> connects(Executor executor, std::vector<Security> dialler, std::vector<Security> listener) {
  std::vector<std::unique_ptr<Host>> hosts;
  for (auto* offered : {&listener, &dialler}) {
    HostOptions options(KeyPair::generate(crypto::system_random()));
    if (hosts.empty()) options.listen = {address(kTcp)};
    options.security = *offered;
    hosts.push_back(Host::make(executor, std::move(options)).value());
  }
  auto info = info_of(*hosts[0]);
  auto connected = co_await hosts[1]->connect(std::move(info), soon());
  for (auto& host : hosts) co_await host->close();
  co_return connected.has_value();
}

TEST(Host, SecurityIsAgreedOn) {
  using enum Security;
  boost::asio::io_context context;
  auto run = [](Executor executor) -> Awaitable<bool> {
    std::vector<Security> only_tls{tls};
    std::vector<Security> only_noise{noise};
    std::vector<Security> noise_first{noise, tls};
    EXPECT_TRUE(co_await connects(executor, kBoth, noise_first));
    EXPECT_TRUE(co_await connects(executor, kBoth, only_noise));
    EXPECT_TRUE(co_await connects(executor, only_tls, noise_first));
    EXPECT_TRUE(co_await connects(executor, noise_first, only_tls));
    EXPECT_FALSE(co_await connects(executor, only_tls, only_noise));
    co_return true;
  };
  EXPECT_TRUE(async::run_until_done(context, run(context.get_executor())));
}

TEST(Host, ATcpConnectionHasSoLongToBeSecured) {
  HostLimits limits;
  limits.upgrade_time_max = std::chrono::milliseconds(300);
  with_two(
      [](Two& two) -> Awaitable<void> {
        const auto to = to_socket(*two.server->listen_addresses().front().tcp_endpoint());
        // Silent from the start, in the middle of the negotiation, and before either handshake.
        const auto header = multistream::encode_token(multistream::kHeader);
        std::vector<Bytes> beginnings = {{}, to_bytes(ByteView(header).first(5)), header};
        for (const auto* protocol : {"/noise", "/tls/1.0.0"}) beginnings.push_back(multistream_hello(protocol));
        // A ClientHello that never comes to its end.
        beginnings.push_back(concat({beginnings.back(), ByteView(ByteArray<5>{std::byte{22}, std::byte{3}, std::byte{1},
                                                                              std::byte{2}, std::byte{0}})}));
        std::vector<async::ByteStreamPtr> held;
        for (const auto& beginning : beginnings) {
          auto stream = co_await async::dial_tcp(to, soon());
          EXPECT_TRUE(stream);
          if (!stream) co_return;
          if (!beginning.empty()) {
            EXPECT_TRUE(co_await (*stream)->write(beginning));
          }
          held.push_back(*std::move(stream));
        }
        for (int i = 0; i < 100 && two.server->stats().half_open < held.size(); ++i)
          (void)co_await async::sleep_until(async::system_clock().now() + std::chrono::milliseconds(1));
        EXPECT_EQ(two.server->stats().half_open, held.size());
        for (auto& stream : held) {
          std::array<std::byte, 100> piece;
          auto size = co_await stream->read_some(piece);
          while (size && *size > 0) size = co_await stream->read_some(piece);
        }
        EXPECT_EQ(two.server->stats().half_open, 0U);
        co_await echo_once(two);
      },
      kTcp, limits);
}

TEST(Host, AWebSocketPortAnswersOtherRequestsAndStaysBounded) {
  HostLimits limits;
  limits.upgrade_time_max = std::chrono::milliseconds(300);
  with_two(
      [](Two& two) -> Awaitable<void> {
        const auto to = to_socket(*two.server->listen_addresses().front().tcp_endpoint());
        // A browser that wants a page; a request that goes on and on; one that stops in the middle.
        for (const std::string request : {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / HTTP/1.1\r\nX: ", "GET"}) {
          auto stream = co_await async::dial_tcp(to, soon());
          EXPECT_TRUE(stream);
          if (!stream) co_return;
          EXPECT_TRUE(co_await (*stream)->write(bytes_of(request)));
          if (request.ends_with("X: ")) {
            EXPECT_TRUE(co_await (*stream)->write(Bytes(20'000, std::byte{'x'})));
          }
          std::string answer;
          std::array<std::byte, 1000> piece;
          auto size = co_await (*stream)->read_some(piece);
          for (; size && *size > 0; size = co_await (*stream)->read_some(piece))
            answer += text_of(ByteView(piece).first(*size));
          EXPECT_EQ(answer.starts_with("HTTP/1.1 400 "), request.size() > 3) << answer;
        }
        EXPECT_EQ(two.server->stats().half_open, 0U);
        co_await echo_once(two);
      },
      kWebSocket, limits);
}

TEST(AddressBook, ForgetsAndIsBounded) {
  AddressBook book;
  auto now = Instant(seconds(100));
  auto peer = PeerId::of(KeyPair::generate(crypto::system_random()).public_key());
  book.add(peer, {address("/ip4/1.2.3.4/udp/1/quic-v1"), address("/ip4/1.2.3.4/tcp/1/wss")}, now, seconds(10));
  EXPECT_EQ(book.find(peer, now + seconds(9)).size(), 1U);
  EXPECT_TRUE(book.find(peer, now + seconds(10)).empty());
  for (int i = 0; i < 200; ++i) {
    auto text = "/ip4/1.2.3.4/udp/" + std::to_string(1000 + i) + "/quic-v1";
    book.add(peer, {address(text.c_str())}, now, seconds(20 + i));
  }
  EXPECT_EQ(book.find(peer, now).size(), kAddressesPerPeerMax);
  SeededRandom random(1);
  for (std::size_t i = 0; i < kAddressBookPeersMax + 10; ++i) {
    auto other =
        PeerId::from_bytes(concat({ByteView(ByteArray<2>{std::byte{0x12}, std::byte{0x20}}), random.bytes<32>()}));
    ASSERT_TRUE(other);
    book.add(*other, {address("/ip4/1.2.3.4/udp/1/quic-v1")}, now, seconds(10));
  }
  EXPECT_LE(book.size(), kAddressBookPeersMax);
}

}  // namespace
}  // namespace nmp::libp2p
