#include "libp2p/quic/testing.hpp"

namespace nmp::libp2p::quic {
namespace {

using namespace testing;

std::size_t transfer(Pair& pair, StreamId stream, std::size_t total) {
  std::size_t written = 0;
  std::size_t received = 0;
  bool finished = false;
  bool ended = false;
  bool intact = true;
  Bytes data(65536);
  pair.net.run([&] {
    while (written < total) {
      auto size = std::min(data.size(), total - written);
      for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<std::byte>((written + i) * 31 >> 3);
      auto taken = pair.c().write(stream, ByteView(data).first(size));
      written += taken;
      if (taken < size) break;
    }
    if (written == total && !finished) {
      finished = true;
      pair.c().finish(stream);
    }
    Bytes out(30000);
    for (;;) {
      auto got = pair.s().read(stream, out);
      for (std::size_t i = 0; i < got.size; ++i)
        intact = intact && out[i] == static_cast<std::byte>((received + i) * 31 >> 3);
      received += got.size;
      ended = got.end;
      if (got.size == 0) break;
    }
    pair.touch();
    return ended;
  });
  EXPECT_TRUE(intact);
  EXPECT_TRUE(ended);
  return received;
}

TEST(Quic, BothSidesKnowEachOther) {
  Pair pair(1);
  pair.connect();
  EXPECT_EQ(pair.c().peer(), pair.server.id);
  EXPECT_EQ(pair.s().peer(), pair.client.id);
  EXPECT_TRUE(pair.s().inbound());
}

TEST(Quic, DataArrivesWholeThroughLossAndReordering) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    Pair pair(seed);
    pair.net.loss = 0.05;
    pair.net.jitter = milliseconds(4);
    pair.connect();
    EXPECT_EQ(transfer(pair, pair.open(), 700'000), 700'000U);
  }
}

TEST(Quic, TheWrongPeerIsRefused) {
  Pair pair(3);
  auto id = pair.net.dial(
      pair.client, pair.server,
      pair.client.id == pair.server.id ? pair.client.id : PeerId::of(KeyPair::from_seed(secret_of(77)).public_key()));
  ASSERT_TRUE(pair.net.run([&] { return pair.client.seen(Event::Kind::closed).has_value(); }));
  auto* connection = pair.client.endpoint->find(id);
  ASSERT_NE(connection, nullptr);
  EXPECT_EQ(connection->close_reason()->error, Errc::wrong_peer);
  EXPECT_FALSE(pair.server.seen(Event::Kind::handshake_completed));
}

TEST(Quic, DiallingOneselfIsRefused) {
  Pair pair(4);
  Side twin(1, pair.net.clock);
  twin.address = address_of(3, 4001);
  pair.net.sides.push_back(&twin);
  auto id = pair.net.dial(pair.client, twin, std::nullopt);
  ASSERT_TRUE(pair.net.run([&] { return pair.client.seen(Event::Kind::closed).has_value(); }));
  EXPECT_EQ(pair.client.endpoint->find(id)->close_reason()->error, Errc::self_dial);
}

TEST(Quic, AnExpiredCertificateIsRefused) {
  Pair pair(5);
  pair.net.clock.unix_time += 200LL * 365 * 86400;
  auto id = pair.net.dial(pair.client, pair.server, pair.server.id);
  ASSERT_TRUE(pair.net.run([&] { return pair.client.seen(Event::Kind::closed).has_value(); }));
  EXPECT_EQ(pair.client.endpoint->find(id)->close_reason()->error, Errc::certificate);
}

TEST(Quic, ACorruptExtensionIsRefusedByTheServer) {
  Pair pair(6);
  auto certificate = make_certificate(pair.client.identity, pair.net.clock.unix_now(), crypto::system_random());
  // The extension's value: SEQUENCE, key, then the 64 bytes of the host's signature. Flip one of them.
  auto& der = certificate->certificate_der;
  const Bytes oid = {std::byte{0x2b}, std::byte{6},    std::byte{1},    std::byte{4}, std::byte{1},
                     std::byte{0x83}, std::byte{0xa2}, std::byte{0x5a}, std::byte{1}, std::byte{1}};
  auto at = std::ranges::search(der, oid).begin();
  ASSERT_NE(at, der.end());
  *(at + 80) ^= std::byte{1};
  auto tls = tls::Context::make(pair.client.id, *certificate, pair.net.clock);
  ASSERT_TRUE(tls);
  pair.client.endpoint.reset();
  pair.client.tls = *std::move(tls);
  pair.client.restart();
  auto id = pair.net.dial(pair.client, pair.server, pair.server.id);
  ASSERT_TRUE(pair.net.run([&] {
    return pair.client.seen(Event::Kind::closed).has_value() && pair.server.seen(Event::Kind::closed).has_value();
  }));
  EXPECT_FALSE(pair.server.seen(Event::Kind::handshake_completed));
  // TLS alert 42, bad_certificate, says no more than that.
  EXPECT_EQ(pair.client.endpoint->find(id)->close_reason()->error, Errc::peer_close);
  EXPECT_EQ(pair.client.endpoint->find(id)->close_reason()->code, 0x12aU);
}

TEST(Quic, RetryProvesTheAddress) {
  EndpointLimits limits;
  limits.retry_threshold = 0;
  Pair pair(7, limits);
  pair.connect();
  EXPECT_EQ(pair.server.endpoint->stats().retries_sent, 1U);
  EXPECT_EQ(transfer(pair, pair.open(), 100'000), 100'000U);
}

TEST(Quic, RetryStartsAboveTheThreshold) {
  EndpointLimits limits;
  limits.retry_threshold = 3;
  Pair pair(8, limits);
  // Initial packets whose senders never answer.
  for (std::uint8_t i = 0; i < 6; ++i) {
    Side ghost(static_cast<std::uint8_t>(20 + i), pair.net.clock);
    pair.net.sides.push_back(&ghost);
    (void)pair.net.dial(ghost, pair.server, std::nullopt);
    pair.net.pump(ghost);
    pair.net.sides.pop_back();
    pair.net.run([] { return false; }, milliseconds(6));
  }
  EXPECT_EQ(pair.server.endpoint->stats().connections_accepted, 3U);
  EXPECT_EQ(pair.server.endpoint->stats().retries_sent, 3U);
  pair.connect();
}

TEST(Quic, ARestartedServerEndsOldConnectionsByStatelessReset) {
  Pair pair(9);
  pair.connect();
  auto stream = pair.open();
  EXPECT_EQ(transfer(pair, stream, 5000), 5000U);
  pair.server.restart();
  auto next = pair.open();
  EXPECT_EQ(pair.c().write(next, Bytes(300)), 300U);
  pair.client.endpoint->touch(pair.id);
  ASSERT_TRUE(pair.net.run([&] { return pair.client.seen(Event::Kind::closed).has_value(); }));
  EXPECT_EQ(pair.c().close_reason()->error, Errc::stateless_reset);
  EXPECT_GE(pair.server.endpoint->stats().stateless_resets_sent, 1U);
}

TEST(Quic, ARestartedServerEndsIdleConnectionsAtTheirNextKeepAlive) {
  Pair pair(9);
  pair.connect();
  EXPECT_EQ(transfer(pair, pair.open(), 5000), 5000U);
  pair.server.restart();
  // A keep-alive after two fifths of the idle timeout.
  ASSERT_TRUE(pair.net.run([&] { return pair.client.seen(Event::Kind::closed).has_value(); }, kIdleTimeout / 2));
  EXPECT_EQ(pair.c().close_reason()->error, Errc::stateless_reset);
}

TEST(Quic, AForgedResetIsNotRecognised) {
  Pair pair(10);
  pair.connect();
  for (int i = 0; i < 50; ++i) {
    Bytes forged(41);
    pair.net.random().fill(forged);
    forged[0] = std::byte{0x40};
    pair.net.inject(pair.server.address, pair.client.address, forged, pair.net.clock.at);
  }
  EXPECT_EQ(transfer(pair, pair.open(), 5000), 5000U);
}

TEST(Quic, GarbageChangesNothing) {
  Pair pair(11);
  pair.connect();
  SeededRandom random(11);
  for (int i = 0; i < 3000; ++i) {
    Bytes garbage(random.below(1400) + 1);
    random.fill(garbage);
    if (i % 3 == 0) garbage[0] |= std::byte{0xc0};
    if (i % 5 == 0 && garbage.size() > 5) {
      garbage[1] = garbage[2] = garbage[3] = std::byte{0};
      garbage[4] = std::byte{1};
    }
    pair.net.inject(address_of(9, 9), pair.server.address, garbage, pair.net.clock.at);
  }
  EXPECT_EQ(transfer(pair, pair.open(), 50'000), 50'000U);
  EXPECT_LE(pair.server.endpoint->size(), 1U + kRetryThreshold);
}

TEST(Quic, FlippedBitsOnTheWireAreLostPackets) {
  Pair pair(12);
  pair.connect();
  SeededRandom random(12);
  pair.net.tamper = [&](Bytes& bytes) {
    if (random.below(20) == 0) bytes[random.below(bytes.size())] ^= std::byte{4};
  };
  EXPECT_EQ(transfer(pair, pair.open(), 200'000), 200'000U);
}

TEST(Quic, AnUnknownVersionIsNegotiated) {
  Pair pair(13);
  Bytes initial(1200);
  initial[0] = std::byte{0xc3};
  initial[1] = std::byte{0xfa};
  initial[4] = std::byte{0xfa};
  initial[5] = std::byte{8};
  initial[14] = std::byte{8};
  pair.net.inject(address_of(9, 9), pair.server.address, initial, pair.net.clock.at);
  pair.net.run([] { return false; }, milliseconds(10));
  EXPECT_EQ(pair.server.endpoint->stats().version_negotiations_sent, 1U);
  Bytes small(initial.begin(), initial.begin() + 400);
  pair.net.inject(address_of(9, 9), pair.server.address, small, pair.net.clock.at);
  pair.net.run([] { return false; }, milliseconds(10));
  EXPECT_EQ(pair.server.endpoint->stats().version_negotiations_sent, 1U);
}

TEST(Quic, AStalledReaderStopsTheWriterWithinBounds) {
  Pair pair(14);
  pair.connect();
  auto stream = pair.open();
  std::size_t written = 0;
  Bytes data(65536);
  pair.net.run(
      [&] {
        while (auto taken = pair.c().write(stream, data)) written += taken;
        pair.touch();
        return false;
      },
      seconds(10));
  // The reader's first window, and what the writer may hold.
  EXPECT_LE(written, kStreamWindowInitial + kSendBufferMax);
  EXPECT_GE(written, kStreamWindowInitial);
  // Reading lets it go on.
  std::size_t received = 0;
  EXPECT_TRUE(pair.net.run([&] {
    Bytes out(65536);
    while (auto size = pair.s().read(stream, out).size) received += size;
    while (auto taken = pair.c().write(stream, data)) written += taken;
    pair.touch();
    return received > 20'000'000;
  }));
  EXPECT_LE(written - received, kStreamWindowMax + kSendBufferMax);
}

TEST(Quic, AStalledStreamDoesNotStopAnother) {
  Pair pair(15);
  pair.connect();
  auto stalled = pair.open();
  pair.net.run(
      [&] {
        while (pair.c().write(stalled, Bytes(65536)) > 0) {
        }
        pair.touch();
        return false;
      },
      seconds(2));
  EXPECT_EQ(transfer(pair, pair.open(), 3'000'000), 3'000'000U);
}

TEST(Quic, DiscardedDataIsCredited) {
  Pair pair(16);
  pair.connect();
  std::size_t total = 0;
  // Far more than a connection window in all; each stream abandoned by its reader half way.
  for (int i = 0; i < 60; ++i) {
    auto stream = pair.open();
    std::size_t written = 0;
    bool stopped = false;
    ASSERT_TRUE(pair.net.run([&] {
      written += pair.c().write(stream, Bytes(65536));
      Bytes out(1000);
      if (!stopped && pair.s().read(stream, out).size > 0) {
        stopped = true;
        i % 2 == 0 ? pair.s().reset(stream, 7) : pair.s().stop_reading(stream, 7);
      }
      pair.touch();
      return stopped && !pair.c().can_write(stream);
    })) << i;
    ASSERT_FALSE(pair.c().closed());
    if (i % 2 == 0) {
      EXPECT_EQ(pair.c().peer_code(stream), 7U);
    }
    pair.c().release(stream, 0);
    pair.s().release(stream, 0);
    total += written;
  }
  EXPECT_GT(total, 2 * kConnectionWindowMax);
}

TEST(Quic, HalfCloseKeepsTheOtherDirectionOpen) {
  Pair pair(17);
  pair.connect();
  auto stream = pair.open();
  EXPECT_EQ(transfer(pair, stream, 10), 10U);
  EXPECT_EQ(pair.s().write(stream, bytes_of("answer")), 6U);
  pair.s().finish(stream);
  pair.touch();
  Bytes out(100);
  std::size_t got = 0;
  EXPECT_TRUE(pair.net.run([&] {
    auto result = pair.c().read(stream, std::span(out).subspan(got));
    got += result.size;
    pair.touch();
    return result.end;
  }));
  EXPECT_EQ(text_of(ByteView(out).first(got)), "answer");
}

TEST(Quic, StoppingToReadLeavesTheOtherDirectionOpen) {
  Pair pair(27);
  pair.connect();
  auto stream = pair.open();
  bool stopped = false;
  ASSERT_TRUE(pair.net.run([&] {
    while (pair.c().write(stream, Bytes(65536)) > 0) {
    }
    Bytes out(1000);
    if (!stopped && pair.s().read(stream, out).size > 0) {
      stopped = true;
      pair.s().stop_reading(stream, 5);
    }
    pair.touch();
    return stopped && !pair.c().can_write(stream);
  }));
  ASSERT_TRUE(pair.s().can_write(stream));
  EXPECT_EQ(pair.s().write(stream, bytes_of("done")), 4U);
  pair.s().finish(stream);
  pair.touch();
  Bytes out(100);
  std::size_t got = 0;
  EXPECT_TRUE(pair.net.run([&] {
    auto result = pair.c().read(stream, std::span(out).subspan(got));
    got += result.size;
    return result.end;
  }));
  EXPECT_EQ(text_of(ByteView(out).first(got)), "done");
}

TEST(Quic, StreamsAreGrantedAgainWhenReleased) {
  Pair pair(18);
  pair.connect();
  std::vector<StreamId> open;
  for (;;) {
    auto stream = pair.c().open_stream();
    if (!stream) break;
    open.push_back(*stream);
    pair.c().write(*stream, bytes_of("x"));
  }
  EXPECT_EQ(open.size(), kPeerStreamsMax);
  pair.touch();
  pair.net.run([] { return false; }, seconds(1));
  EXPECT_EQ(pair.s().streams(), kPeerStreamsMax);
  for (auto stream : open) pair.c().release(stream, 0);
  pair.touch();
  pair.net.run([] { return false; }, seconds(1));
  EXPECT_FALSE(pair.c().open_stream());  // the server's owner still holds them
  for (auto stream : open) pair.s().release(stream, 0);
  pair.touch();
  pair.net.run([] { return false; }, seconds(1));
  EXPECT_TRUE(pair.c().open_stream());
}

TEST(Quic, RapidResetEndsTheConnection) {
  Pair pair(19);
  pair.connect();
  std::size_t opened = 0;
  EXPECT_TRUE(pair.net.run(
      [&] {
        for (const auto& event : std::exchange(pair.server.events, {})) {
          if (event.event.kind == Event::Kind::stream_opened) pair.s().release(event.event.stream, 0);
        }
        for (;;) {
          auto stream = pair.c().open_stream();
          if (!stream) break;
          ++opened;
          pair.c().write(*stream, bytes_of("x"));
          pair.net.pump(pair.client);
          pair.c().release(*stream, 0);
        }
        pair.touch();
        return pair.c().closed();
      },
      seconds(10)));
  EXPECT_EQ(pair.c().close_reason()->code, 0x1002U);
  EXPECT_GT(opened, kResetsPerSecondMax / 2);
}

TEST(Quic, KeepAliveHoldsAnIdleConnection) {
  Pair pair(20);
  pair.connect();
  pair.net.run([] { return false; }, seconds(300));
  EXPECT_TRUE(pair.c().established());
  EXPECT_TRUE(pair.s().established());
  pair.net.loss = 1;
  EXPECT_TRUE(pair.net.run([&] { return pair.c().closed() && pair.s().closed(); }, seconds(90)));
  EXPECT_EQ(pair.c().close_reason()->error, Errc::idle_timeout);
}

TEST(Quic, ADeadAddressTimesOut) {
  Pair pair(21);
  pair.net.loss = 1;
  auto id = pair.net.dial(pair.client, pair.server, pair.server.id);
  ASSERT_TRUE(pair.net.run([&] { return pair.client.seen(Event::Kind::closed).has_value(); }, seconds(20)));
  EXPECT_EQ(pair.client.endpoint->find(id)->close_reason()->error, Errc::handshake_timeout);
  // And is forgotten.
  pair.net.run([] { return false; }, seconds(10));
  EXPECT_EQ(pair.client.endpoint->size(), 0U);
}

TEST(Quic, ClosingTellsThePeerTheCode) {
  Pair pair(22);
  pair.connect();
  pair.s().close(0x1006, pair.net.clock.at);
  pair.touch();
  ASSERT_TRUE(pair.net.run([&] { return pair.c().closed(); }));
  EXPECT_EQ(pair.c().close_reason()->error, Errc::peer_close);
  EXPECT_TRUE(pair.c().close_reason()->application);
  EXPECT_EQ(pair.c().close_reason()->code, 0x1006U);
  pair.net.run([] { return false; }, seconds(10));
  EXPECT_EQ(pair.client.endpoint->size(), 0U);
  EXPECT_EQ(pair.server.endpoint->size(), 0U);
}

TEST(Quic, ARestrictedConnectionIsSmallUntilLifted) {
  EndpointLimits limits;
  limits.restriction = Restriction{4, 65536};
  Pair pair(23, limits);
  pair.connect();
  std::size_t opened = 0;
  StreamId first{};
  while (auto stream = pair.c().open_stream()) {
    if (opened++ == 0) first = *stream;
  }
  EXPECT_EQ(opened, 4U);
  std::size_t written = 0;
  std::size_t received = 0;
  auto step = [&] {
    Bytes data(65536);
    if (written < 1'000'000) written += pair.c().write(first, data);
    Bytes out(65536);
    received += pair.s().read(first, out).size;
    pair.touch();
    return received >= 1'000'000;
  };
  EXPECT_FALSE(pair.net.run(step, seconds(5)));
  EXPECT_EQ(received, 65536U);
  pair.s().lift_restriction();
  pair.touch();
  EXPECT_TRUE(pair.net.run(step, seconds(60)));
  EXPECT_TRUE(pair.c().open_stream());
}

TEST(Quic, HandshakesPerAddressAreCounted) {
  EndpointLimits limits;
  limits.connections_per_ip_max = 2;
  Pair pair(24, limits);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 2; ++i) (void)pair.net.dial(pair.client, pair.server, pair.server.id);
    pair.net.run([] { return false; }, seconds(5));
  }
  EXPECT_EQ(pair.server.endpoint->stats().connections_accepted, 2U);
  EXPECT_EQ(pair.server.endpoint->size(), 2U);
}

TEST(Quic, TimeThatGoesBackIsClamped) {
  Pair pair(25);
  pair.connect();
  pair.c().on_deadline(pair.net.clock.at - seconds(5));
  Bytes buffer(65536);
  (void)pair.c().next_batch(buffer, pair.net.clock.at - seconds(5));
  EXPECT_EQ(transfer(pair, pair.open(), 5000), 5000U);
}

TEST(Quic, TheKeyLogHasTheTrafficSecrets) {
  Net net(26);
  std::string log;
  Side client(1, net.clock, {}, [&](std::string_view line) { log += std::string(line) + "\n"; });
  Side server(2, net.clock);
  net.sides = {&client, &server};
  (void)net.dial(client, server, server.id);
  ASSERT_TRUE(net.run([&] { return client.seen(Event::Kind::handshake_completed).has_value(); }));
  for (const auto* label : {"CLIENT_HANDSHAKE_TRAFFIC_SECRET ", "SERVER_HANDSHAKE_TRAFFIC_SECRET ",
                            "CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "})
    EXPECT_NE(log.find(label), std::string::npos) << label;
}

}  // namespace
}  // namespace nmp::libp2p::quic
