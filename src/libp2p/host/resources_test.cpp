// What hostile peers get from a Host whose limits are reached: refusals with the right codes, while others are served.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/async/testing.hpp"
#include "base/async/udp.hpp"
#include "base/async/with_deadline.hpp"
#include "crypto/random.hpp"
#include "libp2p/host/host.hpp"
#include "libp2p/host/machine.hpp"

namespace nmp::libp2p {
namespace {

using async::Awaitable;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kEcho = "/echo/1.0.0";
constexpr const char* kSilent = "/silent/1.0.0";
constexpr const char* kQuic = "/ip4/127.0.0.1/udp/0/quic-v1";
constexpr const char* kTcp = "/ip4/127.0.0.1/tcp/0";
constexpr const char* kWebSocket = "/ip4/127.0.0.1/tcp/0/ws";

Instant now() { return async::system_clock().now(); }
Instant soon() { return now() + seconds(20); }

resources::Limits defaults() { return resources::Limits::scaled(this_machine()); }

Awaitable<void> echo(StreamPtr stream) {
  std::array<std::byte, 1024> piece;
  for (;;) {
    auto size = co_await stream->read_some(piece);
    if (!size) co_return;
    if (*size == 0) break;
    if (!co_await stream->write(ByteView(piece).first(*size))) co_return;
  }
  (void)co_await stream->close_write();
}

/// Never reads.
Awaitable<void> sit(StreamPtr /*stream*/) { (void)co_await async::sleep_until(now() + seconds(60)); }

/// One server with limits and any number of clients, none of which asks who the others are: that takes streams too.
struct Mesh {
  Mesh(boost::asio::io_context& context, const std::string& listen, const resources::Limits& limits) : io(context) {
    HostOptions options(KeyPair::generate(crypto::system_random()));
    options.listen.push_back(Multiaddr::parse(listen).value());
    options.limits.resources = limits;
    options.identify = false;
    server = Host::make(io.get_executor(), std::move(options)).value();
    server->handle(kEcho, echo);
    server->handle(kSilent, sit);
  }

  Host& client() {
    HostOptions options(KeyPair::generate(crypto::system_random()));
    options.identify = false;
    clients.push_back(Host::make(io.get_executor(), std::move(options)).value());
    return *clients.back();
  }
  [[nodiscard]] PeerInfo info() const { return {server->id(), server->listen_addresses()}; }
  Awaitable<Result<void>> connect(Host& from) { return from.connect(info(), soon()); }
  Awaitable<Result<StreamPtr>> open(Host& from, std::string protocol) {
    std::vector<std::string> protocols{std::move(protocol)};
    return from.open_stream(server->id(), std::move(protocols), soon());
  }
  /// Whether a stream says what was said to it; else the code that it was reset with.
  Awaitable<std::pair<bool, std::uint64_t>> echoes(Stream& stream) {
    std::array<std::byte, 8> piece;
    (void)co_await stream.write(bytes_of("hello"));
    auto reading = stream.read_some(piece);
    auto size = co_await async::with_deadline(soon(), std::move(reading));
    co_return std::pair(size && *size == 5, stream.peer_code().value_or(0));
  }
  Awaitable<bool> serves(Host& from) {
    if (!co_await connect(from)) co_return false;
    auto stream = co_await open(from, kEcho);
    if (!stream) co_return false;
    co_return (co_await echoes(**stream)).first;
  }
  /// Waits, as long as a test may, until the server counts so many connections.
  Awaitable<std::size_t> connections(std::size_t wanted) {
    for (const auto until = now() + seconds(10); now() < until;) {
      if (server->resources().system.usage.connections() == wanted) break;
      (void)co_await async::sleep_until(now() + milliseconds(5));
    }
    co_return server->resources().system.usage.connections();
  }
  Awaitable<void> close() {
    for (auto& host : clients) co_await host->close();
    const auto left = co_await connections(0);
    EXPECT_EQ(left, 0U);
    co_await server->close();
  }

  boost::asio::io_context& io;
  std::unique_ptr<Host> server;
  std::vector<std::unique_ptr<Host>> clients;
};

class LimitsOver : public testing::TestWithParam<const char*> {
 protected:
  template <class Body>
  void with_mesh(const resources::Limits& limits, Body body) {
    boost::asio::io_context context;
    Mesh mesh(context, GetParam(), limits);
    auto run = [](Mesh& all, Body act) -> Awaitable<bool> {
      co_await act(all);
      co_await all.close();
      co_return true;
    };
    EXPECT_TRUE(async::run_until_done(context, run(mesh, std::move(body))));
    EXPECT_EQ(mesh.server->resources().system.usage, resources::Usage());
  }
};
INSTANTIATE_TEST_SUITE_P(Transports, LimitsOver, testing::Values(kQuic, kTcp, kWebSocket), [](const auto& of) {
  const std::string_view way = of.param;
  return way == kQuic ? "Quic" : way == kTcp ? "Tcp" : "WebSocket";
});

TEST_P(LimitsOver, AStreamFloodIsResetAndOthersAreServed) {
  auto limits = defaults();
  limits.peer.streams_in = 10;
  with_mesh(limits, [](Mesh& mesh) -> Awaitable<void> {
    auto& hostile = mesh.client();
    EXPECT_TRUE(co_await mesh.connect(hostile));
    std::vector<StreamPtr> streams;
    std::size_t served = 0;
    std::size_t refused = 0;
    for (int i = 0; i < 30; ++i) {
      auto stream = co_await mesh.open(hostile, kEcho);
      EXPECT_TRUE(stream);
      if (!stream) co_return;
      streams.push_back(*std::move(stream));
      const auto [ok, code] = co_await mesh.echoes(*streams.back());
      served += ok ? 1 : 0;
      refused += code == stream_code::kResourceLimit ? 1 : 0;
    }
    EXPECT_EQ(served, 10U);
    EXPECT_EQ(refused, 20U);
    EXPECT_EQ(mesh.server->resources().peers.at(0).refused, 20U);
    EXPECT_TRUE(co_await mesh.serves(mesh.client()));
    streams.clear();
    (void)co_await async::sleep_until(now() + milliseconds(100));
    EXPECT_TRUE(co_await mesh.serves(hostile));
  });
}

TEST_P(LimitsOver, OneProtocolUsedUpLeavesTheOthers) {
  auto limits = defaults();
  limits.named[kSilent].all.streams_in = 3;
  limits.named[kSilent].peer.streams_in = 2;
  with_mesh(limits, [](Mesh& mesh) -> Awaitable<void> {
    std::vector<StreamPtr> held;
    std::vector<std::uint64_t> codes;
    for (int i = 0; i < 2; ++i) {
      auto& client = mesh.client();
      EXPECT_TRUE(co_await mesh.connect(client));
      for (int k = 0; k < 3; ++k) {
        auto stream = co_await mesh.open(client, kSilent);
        EXPECT_TRUE(stream);
        if (!stream) co_return;
        held.push_back(*std::move(stream));
        std::array<std::byte, 8> piece;
        auto reading = held.back()->read_some(piece);
        (void)co_await async::with_deadline(now() + milliseconds(200), std::move(reading));
        codes.push_back(held.back()->peer_code().value_or(0));
      }
      EXPECT_TRUE(co_await mesh.serves(client));
    }
    constexpr auto kFull = stream_code::kResourceLimit;
    EXPECT_THAT(codes, testing::ElementsAre(0, 0, kFull, 0, kFull, kFull));
  });
}

TEST_P(LimitsOver, ConnectionsAreRefusedAboveTheLimitAndTakenBelowIt) {
  auto limits = defaults();
  limits.set_connections(4);
  limits.trim.grace = seconds(3600);
  with_mesh(limits, [](Mesh& mesh) -> Awaitable<void> {
    std::size_t served = 0;
    for (int i = 0; i < 8; ++i) served += co_await mesh.serves(mesh.client()) ? 1 : 0;
    EXPECT_EQ(served, 4U);
    EXPECT_GE(mesh.server->stats().handshakes_refused, 4U);
    EXPECT_TRUE(co_await mesh.serves(*mesh.clients.front()));
    co_await mesh.clients.front()->close();
    const auto left = co_await mesh.connections(3);
    EXPECT_EQ(left, 3U);
    EXPECT_TRUE(co_await mesh.serves(mesh.client()));
  });
}

TEST_P(LimitsOver, IdleConnectionsGiveWayToNewcomers) {
  auto limits = defaults();
  limits.set_connections(12);
  limits.trim = {.low = 6, .high = 8, .grace = milliseconds(1)};
  with_mesh(limits, [](Mesh& mesh) -> Awaitable<void> {
    auto& busy = mesh.client();
    auto& kept = mesh.client();
    EXPECT_TRUE(co_await mesh.connect(busy));
    auto stream = co_await mesh.open(busy, kEcho);
    EXPECT_TRUE(stream);
    if (!stream) co_return;
    EXPECT_TRUE((co_await mesh.echoes(**stream)).first);
    EXPECT_TRUE(co_await mesh.connect(kept));
    mesh.server->keep(kept.id());
    for (int i = 0; i < 20; ++i) {
      // One look a second is all that trimming does.
      if (i % 4 == 3) (void)co_await async::sleep_until(now() + milliseconds(1050));
      EXPECT_TRUE(co_await mesh.serves(mesh.client())) << i;
      EXPECT_LE(mesh.server->resources().system.usage.connections(), 12U);
    }
    EXPECT_TRUE((co_await mesh.echoes(**stream)).first);
    EXPECT_TRUE(mesh.server->is_connected(kept.id()));
    mesh.server->release(kept.id());
  });
}

TEST_P(LimitsOver, WhoFillsBuffersThatNobodyReadsIsClosed) {
  auto limits = defaults();
  limits.connection.memory_bytes = resources::kConnectionBytes + 256UZ * 1024;
  with_mesh(limits, [](Mesh& mesh) -> Awaitable<void> {
    auto& hostile = mesh.client();
    EXPECT_TRUE(co_await mesh.connect(hostile));
    const Bytes piece(64UZ * 1024);
    std::vector<StreamPtr> streams;
    const auto until = now() + seconds(10);
    // A new stream may dial again once the first connection is closed.
    while (now() < until && mesh.server->is_connected(hostile.id()) && mesh.server->stats().connections_opened == 1) {
      auto stream = co_await mesh.open(hostile, kSilent);
      if (!stream) break;
      streams.push_back(*std::move(stream));
      auto writing = streams.back()->write(piece);
      (void)co_await async::with_deadline(now() + milliseconds(100), std::move(writing));
      EXPECT_LE(mesh.server->resources().system.usage.memory_bytes, 2'000'000U);
    }
    EXPECT_LT(now(), until);
    EXPECT_EQ(mesh.server->resources().peers.empty(), !mesh.server->is_connected(hostile.id()));
    EXPECT_TRUE(co_await mesh.serves(mesh.client()));
  });
}

/// From an address of this machine that is not loopback's, to itself.
void crowd_one_address(const char* shape) {
  const auto addresses = async::interface_addresses(/*v6=*/false);
  if (addresses.empty() || addresses.front().is_loopback()) GTEST_SKIP() << "no address but loopback";
  std::string ip;
  for (std::size_t i = 0; i < 4; ++i)
    ip += (i == 0 ? "" : ".") + std::to_string(std::to_integer<unsigned>(addresses.front().ip[i]));
  auto limits = defaults();
  limits.subnets.per_address_max = 3;
  boost::asio::io_context context;
  Mesh mesh(context, "/ip4/" + ip + shape, limits);
  auto run = [](Mesh& all) -> Awaitable<bool> {
    std::size_t served = 0;
    for (int i = 0; i < 6; ++i) served += co_await all.serves(all.client()) ? 1 : 0;
    EXPECT_EQ(served, 3U);
    co_await all.clients.front()->close();
    const auto left = co_await all.connections(2);
    EXPECT_EQ(left, 2U);
    EXPECT_TRUE(co_await all.serves(all.client()));
    co_await all.close();
    co_return true;
  };
  EXPECT_TRUE(async::run_until_done(context, run(mesh)));
}
TEST(Limits, OneAddressHasSoManyConnectionsOverQuic) { crowd_one_address("/udp/0/quic-v1"); }
TEST(Limits, OneAddressHasSoManyConnectionsOverTcp) { crowd_one_address("/tcp/0"); }

TEST(Limits, TheMachineIsKnown) {
  const auto machine = this_machine();
  EXPECT_GE(machine.memory_bytes, 64ULL << 20);
  EXPECT_GE(machine.descriptors, 64U);
}

}  // namespace
}  // namespace nmp::libp2p
