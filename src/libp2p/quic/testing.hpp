#pragma once

#include <functional>
#include <queue>

#include <gtest/gtest.h>

#include "base/random.hpp"
#include "crypto/random.hpp"
#include "libp2p/quic/endpoint.hpp"

/// For tests: endpoints on a wire in memory, in virtual time.
namespace nmp::libp2p::quic::testing {

using std::chrono::milliseconds;
using std::chrono::seconds;

class FixedClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return at; }
  [[nodiscard]] UnixSeconds unix_now() const override { return unix_time; }
  Instant at = Instant(seconds(1000));
  UnixSeconds unix_time = 1'800'000'000;
};

inline SecretBytes<32> secret_of(std::uint8_t seed) {
  ByteArray<32> bytes;
  bytes.fill(static_cast<std::byte>(seed));
  return SecretBytes<32>(std::span<const std::byte, 32>(bytes));
}

inline SocketAddress address_of(std::uint8_t host, std::uint16_t port) {
  SocketAddress address;
  address.ip = {std::byte{10}, std::byte{0}, std::byte{0}, std::byte{host}};
  address.port = port;
  return address;
}

/// One side: an identity, its TLS context and its endpoint.
struct Side {
  Side(std::uint8_t number, const Clock& clock, EndpointLimits limits = {}, tls::KeyLog key_log = {})
      : address(address_of(number, 4001)),
        identity(KeyPair::from_seed(secret_of(number))),
        id(PeerId::of(identity.public_key())) {
    auto certificate = make_certificate(identity, clock.unix_now(), crypto::system_random());
    tls = *tls::Context::make(id, *certificate, clock, std::move(key_log));
    restart(limits);
  }
  void restart(EndpointLimits limits = {}) {
    Endpoint::Secrets secrets{secret_of(static_cast<std::uint8_t>(address.ip[3])), secret_of(99)};
    endpoint = std::make_unique<Endpoint>(*tls, crypto::system_random(), std::move(secrets), limits);
    endpoint->set_accepting(true);
  }
  SocketAddress address;
  KeyPair identity;
  PeerId id;
  std::unique_ptr<tls::Context> tls;
  std::unique_ptr<Endpoint> endpoint;
  std::vector<Endpoint::EndpointEvent> events;

  std::optional<ConnectionId> seen(Event::Kind kind) const {
    for (const auto& event : events) {
      if (event.event.kind == kind) return event.connection;
    }
    return std::nullopt;
  }
  std::optional<StreamId> stream(Event::Kind kind) const {
    for (const auto& event : events) {
      if (event.event.kind == kind) return event.event.stream;
    }
    return std::nullopt;
  }
};

/// Virtual time and a lossy, reordering wire between sides.
class Net {
 public:
  explicit Net(std::uint64_t seed) : random_(seed) {}
  FixedClock clock;
  double loss = 0;
  Duration jitter{};
  Duration delay = milliseconds(5);
  std::vector<Side*> sides;
  std::size_t delivered = 0;
  std::function<void(Bytes&)> tamper;
  std::function<void(Side&, const SocketAddress& to, ByteView)> on_sent;

  void pump(Side& side) {
    std::vector<std::byte> buffer(65536);
    while (auto batch = side.endpoint->next_batch(buffer, clock.at)) {
      ByteView all(buffer.data(), batch->size);
      while (!all.empty()) {
        auto piece = all.first(std::min(all.size(), batch->segment));
        all = all.subspan(piece.size());
        if (on_sent) on_sent(side, batch->remote, piece);
        if (static_cast<double>(random_.below(1000)) < loss * 1000) continue;
        auto at = clock.at + delay;
        if (jitter > Duration::zero())
          at += Duration(static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(jitter.count()))));
        inject(side.address, batch->remote, to_bytes(piece), at);
      }
    }
    for (auto& event : side.endpoint->take_events()) side.events.push_back(event);
  }
  void inject(SocketAddress from, SocketAddress to, Bytes bytes, Instant at) {
    wire_.push({at, ++sequence_, from, to, std::move(bytes)});
  }
  /// Until `done` or until virtual time has run out.
  bool run(const std::function<bool()>& done, Duration limit = seconds(120)) {
    auto end = clock.at + limit;
    for (;;) {
      for (auto* side : sides) pump(*side);
      if (done()) return true;
      Instant next = wire_.empty() ? kNever : wire_.top().at;
      for (auto* side : sides) next = std::min(next, side->endpoint->deadline());
      if (next > end) {
        clock.at = end;
        return done();
      }
      clock.at = std::max(clock.at, next);
      while (!wire_.empty() && wire_.top().at <= clock.at) {
        auto packet = wire_.top();
        wire_.pop();
        if (tamper) tamper(packet.bytes);
        for (auto* side : sides) {
          if (side->address != packet.to) continue;
          ++delivered;
          Connection::Path path{0, side->address, packet.from};
          side->endpoint->on_datagram(path, packet.bytes, clock.at);
        }
      }
      for (auto* side : sides) side->endpoint->on_deadline(clock.at);
    }
  }
  ConnectionId dial(Side& from, Side& to, std::optional<PeerId> expected) {
    Connection::Path path{0, from.address, to.address};
    return *from.endpoint->dial(path, expected, clock.at);
  }
  SeededRandom& random() { return random_; }

 private:
  struct Packet {
    Instant at;
    std::uint64_t sequence;
    SocketAddress from;
    SocketAddress to;
    Bytes bytes;
    bool operator<(const Packet& other) const { return std::tie(at, sequence) > std::tie(other.at, other.sequence); }
  };
  SeededRandom random_;
  std::priority_queue<Packet> wire_;
  std::uint64_t sequence_ = 0;
};

struct Pair {
  explicit Pair(std::uint64_t seed, EndpointLimits server_limits = {})
      : net(seed), client(1, net.clock), server(2, net.clock, server_limits) {
    net.sides = {&client, &server};
  }
  void connect() {
    id = net.dial(client, server, server.id);
    ASSERT_TRUE(net.run([&] {
      return client.seen(Event::Kind::handshake_completed) && server.seen(Event::Kind::handshake_completed);
    }));
    server_id = *server.seen(Event::Kind::handshake_completed);
  }
  Connection& c() { return *client.endpoint->find(id); }
  Connection& s() { return *server.endpoint->find(server_id); }
  /// The stream's number is the same on both sides.
  StreamId open() { return *c().open_stream(); }
  void touch() {
    client.endpoint->touch(id);
    server.endpoint->touch(server_id);
  }
  Net net;
  Side client;
  Side server;
  ConnectionId id{};
  ConnectionId server_id{};
};

/// A datagram that looks like the first Initial packet of a client, and is noise.
inline Bytes noise_initial(Random& random, ByteView token = {}) {
  Bytes out(5, std::byte{0});
  out[0] = std::byte{0xc0} | static_cast<std::byte>(random.below(4));
  out[4] = std::byte{1};
  for (int cid = 0; cid < 2; ++cid) {
    out.push_back(std::byte{16});
    append(out, random.bytes<16>());
  }
  out.push_back(static_cast<std::byte>(0x40 | token.size() >> 8));
  out.push_back(static_cast<std::byte>(token.size()));
  append(out, token);
  const auto left = kInitialDatagramMin - out.size() - 2;
  out.push_back(static_cast<std::byte>(0x40 | left >> 8));
  out.push_back(static_cast<std::byte>(left));
  Bytes rest(left);
  random.fill(rest);
  append(out, rest);
  return out;
}
/// A long header of a version that nobody speaks: bait for version negotiation.
inline Bytes unknown_version(Random& random) {
  auto out = noise_initial(random);
  out[1] = out[4] = std::byte{0xfa};
  return out;
}
/// A short header for a connection that nobody knows: bait for a stateless reset.
inline Bytes unknown_connection(Random& random) {
  Bytes out(64);
  random.fill(out);
  out[0] = std::byte{0x40} | (out[0] & std::byte{0x3f});
  return out;
}
/// As 0xb6 Retry tokens begin, and nobody's.
inline Bytes forged_token(Random& random) {
  Bytes out(80);
  random.fill(out);
  out[0] = std::byte{0xb6};
  return out;
}

/// A client that begins and goes on as a test likes: datagrams come out of it, and in if the test says so.
class Ghost {
 public:
  Ghost(std::uint8_t number, const Clock& clock) : side_(number, clock), now_(clock) {}
  /// A new connection's first datagram: a whole ClientHello.
  Bytes hello(const SocketAddress& from, const SocketAddress& to) {
    id_ = *side_.endpoint->dial({0, from, to}, std::nullopt, now_.now());
    return next();
  }
  /// What the connection says to `datagram`.
  Bytes answer(const SocketAddress& from, const SocketAddress& to, ByteView datagram) {
    side_.endpoint->on_datagram({0, from, to}, datagram, now_.now());
    return next();
  }
  /// CONNECTION_CLOSE; empty if it was said.
  Bytes goodbye() {
    if (auto* connection = side_.endpoint->find(id_); connection != nullptr) connection->close(0, now_.now());
    side_.endpoint->touch(id_);
    return next();
  }
  /// Forgets all connections.
  void vanish() { side_.restart(); }

 private:
  Bytes next() {
    Bytes buffer(65536);
    auto batch = side_.endpoint->next_batch(buffer, now_.now());
    if (!batch) return {};
    buffer.resize(std::min(batch->size, batch->segment));
    return buffer;
  }
  Side side_;
  const Clock& now_;
  ConnectionId id_{};
};

}  // namespace nmp::libp2p::quic::testing
