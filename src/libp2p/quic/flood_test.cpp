#include "libp2p/quic/testing.hpp"

/// Strangers in numbers, with addresses that are not theirs. What they hold is counted, what they are sent is little,
/// and an honest client gets in.
namespace nmp::libp2p::quic {
namespace {

using namespace testing;

SocketAddress stranger(std::size_t number) {
  SocketAddress address;
  address.ip = {std::byte{100}, static_cast<std::byte>(number >> 16), static_cast<std::byte>(number >> 8),
                static_cast<std::byte>(number)};
  address.port = 1024;
  return address;
}

/// A server, an honest client, and strangers by the thousand.
struct Flood : Pair {
  explicit Flood(std::uint64_t seed, EndpointLimits limits = {}) : Pair(seed, limits) {
    net.on_sent = [this](Side& side, const SocketAddress& to, ByteView datagram) {
      if (&side != &server || to == client.address || !accounts.contains(to)) return;
      auto& account = accounts[to];
      account.received += datagram.size();
      account.last = to_bytes(datagram);
      EXPECT_LE(account.received, 3 * account.sent);
    };
  }

  /// What a stranger has sent and been sent.
  struct Account {
    std::size_t sent = 0;
    std::size_t received = 0;
    Bytes last;
  };
  std::map<SocketAddress, Account> accounts;
  std::size_t half_open_peak = 0;
  std::size_t size_peak = 0;

  void send(const SocketAddress& from, ByteView datagram) {
    if (datagram.empty()) return;
    accounts[from].sent += datagram.size();
    server.endpoint->on_datagram({0, server.address, from}, datagram, net.clock.at);
    half_open_peak = std::max(half_open_peak, server.endpoint->half_open());
    size_peak = std::max(size_peak, server.endpoint->size());
  }
  /// Virtual time goes on, and with it the honest client's conversation.
  void pass(Duration time) {
    net.run([] { return false; }, time);
  }
  /// Whether an honest client gets in within `time`.
  bool serves(Duration time) {
    id = net.dial(client, server, server.id);
    return net.run([&] { return client.seen(Event::Kind::handshake_completed).has_value(); }, time);
  }
};

TEST(QuicFlood, NoiseTakesNoPlace) {
  Flood flood(1);
  for (std::size_t i = 0; i < 5000; ++i) {
    flood.send(stranger(i), noise_initial(flood.net.random()));
    flood.pass(milliseconds(1));
  }
  EXPECT_LE(flood.size_peak, kRetryThreshold);
  EXPECT_TRUE(flood.serves(seconds(1)));
  EXPECT_GT(flood.server.endpoint->stats().retries_sent, 4000U) << "no state, and no work on noise";
  flood.client.endpoint->close_all(0, flood.net.clock.at);
  flood.pass(seconds(20));
  EXPECT_EQ(flood.server.endpoint->size(), 0U);
  EXPECT_EQ(flood.server.endpoint->half_open(), 0U);
}

TEST(QuicFlood, HellosThatNeverGoOn) {
  Flood flood(2);
  Ghost ghost(7, flood.net.clock);
  for (std::size_t i = 0; i < 3000; ++i) {
    flood.send(stranger(i), ghost.hello(stranger(i), flood.server.address));
    ghost.vanish();
    flood.pass(milliseconds(1));
  }
  EXPECT_EQ(flood.half_open_peak, kRetryThreshold);
  EXPECT_EQ(flood.size_peak, kRetryThreshold);
  EXPECT_TRUE(flood.serves(seconds(1)));
  flood.client.endpoint->close_all(0, flood.net.clock.at);
  flood.pass(seconds(20));
  EXPECT_EQ(flood.server.endpoint->size(), 0U);
  EXPECT_EQ(flood.server.endpoint->half_open(), 0U);
}

TEST(QuicFlood, HelloAndGoodbye) {
  Flood flood(3);
  Ghost ghost(7, flood.net.clock);
  for (std::size_t i = 0; i < 3000; ++i) {
    flood.send(stranger(i), ghost.hello(stranger(i), flood.server.address));
    flood.send(stranger(i), ghost.goodbye());
    ghost.vanish();
    flood.pass(milliseconds(1));
  }
  EXPECT_LE(flood.size_peak, kRetryThreshold);
  EXPECT_TRUE(flood.serves(seconds(1)));
}

/// With addresses of their own, several each, they answer Retry and then say no more.
TEST(QuicFlood, ProvenAddressesGiveWayToNewcomers) {
  Flood flood(4);
  Ghost ghost(7, flood.net.clock);
  for (std::size_t i = 0; i < 1000; ++i) {
    auto from = stranger(i / kConnectionsPerIpMax);
    from.port = static_cast<std::uint16_t>(2000 + i);
    flood.send(from, ghost.hello(from, flood.server.address));
    flood.net.pump(flood.server);
    if (const auto& retry = flood.accounts[from].last; !retry.empty())
      flood.send(from, ghost.answer(from, flood.server.address, retry));
    ghost.vanish();
    flood.pass(milliseconds(2));
  }
  EXPECT_EQ(flood.half_open_peak, kHandshakesMax);
  EXPECT_LE(flood.size_peak, kHandshakesMax + kLingeringMax);
  EXPECT_TRUE(flood.serves(seconds(1)));
  flood.client.endpoint->close_all(0, flood.net.clock.at);
  flood.pass(seconds(20));
  EXPECT_EQ(flood.server.endpoint->size(), 0U);
}

/// Connections that are over are no reason to refuse one.
TEST(QuicFlood, EndedConnectionsGiveWay) {
  EndpointLimits limits;
  limits.connections_max = 40;
  limits.connections_per_ip_max = 1000;
  Flood flood(5, limits);
  flood.net.delay = milliseconds(150);  // a connection that is over lingers for three PTO
  for (int i = 0; i < 10; ++i) {
    flood.client.restart();
    std::vector<ConnectionId> dialled;
    dialled.reserve(20);
    for (int n = 0; n < 20; ++n) dialled.push_back(flood.net.dial(flood.client, flood.server, flood.server.id));
    flood.net.run([] { return false; }, milliseconds(650));
    for (auto one : dialled) {
      EXPECT_TRUE(flood.client.endpoint->find(one)->established()) << i;
      flood.client.endpoint->find(one)->close(0, flood.net.clock.at);
      flood.client.endpoint->touch(one);
    }
    flood.net.pump(flood.client);
  }
  EXPECT_EQ(flood.server.endpoint->stats().connections_refused, 0U);
  EXPECT_EQ(flood.server.endpoint->stats().connections_accepted, 200U);
}

TEST(QuicFlood, ASpoofedAddressDoesNotShutOutItsOwner) {
  Flood flood(6);
  Ghost ghost(7, flood.net.clock);
  for (std::uint16_t i = 0; i < 100; ++i) {
    auto from = flood.client.address;
    from.port = static_cast<std::uint16_t>(2000 + i);
    flood.send(from, ghost.hello(from, flood.server.address));
    ghost.vanish();
    flood.pass(milliseconds(1));
  }
  EXPECT_EQ(flood.half_open_peak, kConnectionsPerIpMax) << "then that address has to be proven";
  EXPECT_TRUE(flood.serves(seconds(1)));
}

/// What is asked without proof is cheap to ask: it must not use up the answers that newcomers need.
TEST(QuicFlood, BaitDoesNotUseUpRetries) {
  EndpointLimits limits;
  limits.retry_threshold = 0;
  Flood flood(8, limits);
  auto& random = flood.net.random();
  for (std::size_t i = 0; i < 4000; ++i) {
    flood.send(stranger(i), unknown_version(random));
    flood.send(stranger(i), unknown_connection(random));
    flood.send(stranger(i), noise_initial(random, forged_token(random)));
    flood.send(stranger(i), noise_initial(random));
    if (i % 20 == 0) flood.pass(milliseconds(1));
  }
  EXPECT_TRUE(flood.serves(milliseconds(100)));
  const auto& stats = flood.server.endpoint->stats();
  EXPECT_LE(stats.version_negotiations_sent + stats.stateless_resets_sent, kStatelessPerSecondMax);
  EXPECT_EQ(flood.size_peak, 0U);
}

/// More of them complete a handshake than their address may have: those above it are closed.
TEST(QuicFlood, UnprovenHandshakesAreCountedWhenTheyComplete) {
  EndpointLimits limits;
  limits.connections_per_ip_max = 2;
  Flood flood(9, limits);
  std::vector<ConnectionId> dialled;
  dialled.reserve(4);
  for (int i = 0; i < 2; ++i) dialled.push_back(flood.net.dial(flood.client, flood.server, flood.server.id));
  flood.net.pump(flood.client);
  // The server has both hellos; two more come with a token before those two go on.
  flood.net.run([] { return false; }, milliseconds(6));
  Side twin(3, flood.net.clock);
  twin.address = flood.client.address;
  twin.address.port = 5000;
  flood.net.sides.push_back(&twin);
  for (int i = 0; i < 2; ++i) dialled.push_back(flood.net.dial(twin, flood.server, flood.server.id));
  flood.net.run([] { return false; }, seconds(5));
  std::size_t live = 0;
  for (const auto& event : flood.server.events) {
    auto* connection = flood.server.endpoint->find(event.connection);
    if (event.event.kind == Event::Kind::handshake_completed && connection != nullptr && !connection->closed()) ++live;
  }
  EXPECT_EQ(live, 2U);
}

/// A connection that was closed in its handshake repeats its last word, but never more than it was paid for.
TEST(QuicFlood, ClosingIsNotAnAmplifier) {
  Flood flood(10);
  Ghost ghost(7, flood.net.clock);
  for (std::size_t i = 0; i < kRetryThreshold; ++i) {
    auto from = stranger(i);
    auto hello = ghost.hello(from, flood.server.address);
    flood.send(from, hello);
    flood.pass(seconds(4));  // the server repeats its part of the handshake, as often as it may
    // The least that reaches it: a long header with the connection ID that the stranger chose. A few of them leave
    // room for one last word.
    Bytes small = to_bytes(ByteView(hello).first(6 + std::to_integer<std::size_t>(hello[5])));
    small.push_back(std::byte{0});
    for (std::size_t n = 0; n < i; ++n) flood.send(from, small);
    flood.server.endpoint->close_all(0, flood.net.clock.at);
    flood.net.pump(flood.server);
    for (int n = 0; n < 64; ++n) {
      flood.send(from, small);
      flood.net.pump(flood.server);
    }
    ghost.vanish();
    flood.pass(seconds(10));
  }
}

}  // namespace
}  // namespace nmp::libp2p::quic
