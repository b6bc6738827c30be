#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libp2p/yamux/testing.hpp"

/// What a hostile peer tries, one test each.
namespace nmp::libp2p::yamux {
namespace {

using namespace std::chrono_literals;
using Kind = Event::Kind;

constexpr std::uint32_t kProtocolError = 1;
constexpr std::uint32_t kRateLimited = 0x1002;

struct Wrong {
  const char* what;
  Errc error;
  Bytes bytes;
};

Bytes hex(std::string_view text) { return hex_decode(text).value(); }
Bytes both(Bytes a, const Bytes& b) {
  append(a, b);
  return a;
}

TEST(YamuxAttacks, BrokenFramesEndTheSessionWithAName) {
  const Wrong table[] = {
      {"version", Errc::bad_version, hex("010000000000000100000000")},
      {"type", Errc::bad_type, hex("000400000000000100000000")},
      {"flag", Errc::bad_flags, hex("000000100000000100000000")},
      {"high flag", Errc::bad_flags, hex("000180010000000100000000")},
      {"ping that neither asks nor answers", Errc::bad_flags, ping(0, 1)},
      {"ping that does both", Errc::bad_flags, ping(kSyn | kAck, 1)},
      {"ping of a stream", Errc::bad_stream_id, hex("000200010000000100000000")},
      {"go-away of a stream", Errc::bad_stream_id, hex("000300000000000100000000")},
      {"data of the session", Errc::bad_stream_id, data(0, kSyn, 0)},
      {"credit of the session", Errc::bad_stream_id, window_update(0, 0, 1)},
      {"our parity", Errc::wrong_parity, window_update(2, kSyn)},
      {"opened twice", Errc::stream_reused, both(window_update(1, kSyn), window_update(1, kSyn))},
      {"opened twice, reset between", Errc::stream_reused, both(window_update(1, kSyn | kRst), data(1, kSyn, 0))},
      {"ours, not opened", Errc::unknown_stream, data(2, 0, 5)},
      {"credit for ours, not opened", Errc::unknown_stream, window_update(2, kAck)},
      {"opened after go-away", Errc::opened_after_go_away, both(go_away_frame(0), window_update(1, kSyn))},
      {"credit overflow", Errc::window_overflow, window_update(1, kSyn, 0xffffffff)},
      {"credit overflow in steps", Errc::window_overflow,
       both(window_update(1, kSyn, 0x80000000), window_update(1, 0, 0x80000000))},
      {"data after the end", Errc::data_after_end, both(data(1, kSyn | kFin, 3), data(1, 0, 1))},
      {"SYN with more than a window", Errc::window_exceeded,
       raw({FrameType::data, kSyn, StreamId{1}, kStreamWindowInitial + 1})},
      {"more than a window", Errc::window_exceeded,
       both(data(1, kSyn, 1), raw({FrameType::data, 0, StreamId{1}, kStreamWindowInitial}))},
      {"huge frame", Errc::frame_too_large, raw({FrameType::data, kSyn, StreamId{1}, 0xffffffff})},
      {"huge frame of a stream that is gone", Errc::frame_too_large,
       raw({FrameType::data, 0, StreamId{1}, kFrameBytesMax + 1})},
  };
  for (const auto& wrong : table) {
    for (const std::size_t step : {1UZ, 7UZ, 1'000'000UZ}) {
      SCOPED_TRACE(wrong.what);
      Bench server(Role::server);
      ByteView rest = wrong.bytes;
      while (!rest.empty()) {
        const auto piece = rest.first(std::min(step, rest.size()));
        server.feed(piece);
        rest = rest.subspan(piece.size());
      }
      ASSERT_TRUE(server.session.closed());
      EXPECT_TRUE(server.has_event(Kind::closed));
      EXPECT_TRUE(server.ended_by(wrong.error, kProtocolError)) << server.reason().code;
      EXPECT_EQ(make_error_code(server.reason().error).message().substr(0, 6), "yamux.");
    }
  }
}

TEST(YamuxAttacks, ASizeAloneAllocatesNothing) {
  Bench server(Role::server);
  for (std::uint32_t id = 1; id < 100; id += 2) {
    Bench fresh(Role::server);
    fresh.feed(raw({FrameType::data, kSyn, StreamId{id}, kStreamWindowInitial}));
    EXPECT_EQ(fresh.session.unread_bytes(), 0U);
    fresh.feed(Bytes(10));
    EXPECT_EQ(fresh.session.unread_bytes(), 10U);
  }
}

TEST(YamuxAttacks, WindowsHoldWhateverTheReaderDoes) {
  Bench server(Role::server);
  server.peer_opens(1);
  server.feed(data(1, 0, kStreamWindowInitial));
  EXPECT_FALSE(server.session.closed());
  server.feed(data(1, 0, 1));
  EXPECT_TRUE(server.ended_by(Errc::window_exceeded, kProtocolError));
  // Also for a reader that has stopped, or reset the stream without its word having left.
  for (const bool reset : {false, true}) {
    Bench other(Role::server);
    other.peer_opens(1);
    if (reset) other.session.reset(StreamId{1}, 0);
    if (!reset) other.session.stop_reading(StreamId{1}, 0);
    other.feed(data(1, 0, kStreamWindowInitial));
    EXPECT_FALSE(other.session.closed());
    EXPECT_EQ(other.session.unread_bytes(), 0U);
    other.feed(data(1, 0, 1));
    EXPECT_EQ(other.reason().error, Errc::window_exceeded);
  }
}

TEST(YamuxAttacks, UnreadBytesOfAConnectionAreBounded) {
  Bench server(Role::server);
  std::size_t most = 0;
  std::size_t resets = 0;
  for (std::uint32_t id = 1; id < 2 * kPeerStreamsMax; id += 2) {
    server.feed(window_update(id, kSyn));
    for (int i = 0; i < 16; ++i) server.feed(data(id, 0, kStreamWindowInitial / 16));
    most = std::max(most, server.session.unread_bytes());
    for (const auto& frame : server.frames()) {
      if (!frame.header.has(kRst)) continue;
      ++resets;
      EXPECT_EQ(frame.header.length, 0x1002U);
      EXPECT_TRUE(server.has_event(Kind::readable, id));
      EXPECT_TRUE(server.read_all(id).second.broken);
    }
  }
  EXPECT_FALSE(server.session.closed());
  EXPECT_LE(most, kConnectionUnreadMax + kPeerStreamsMax * kUnreadFloor);
  EXPECT_GE(resets, kPeerStreamsMax - kConnectionUnreadMax / kStreamWindowInitial - 1);
}

TEST(YamuxAttacks, TheOwnerMayAllowLess) {
  Bench server(Role::server, 100ms, 2 * kStreamWindowInitial);
  for (const std::uint32_t id : {7U, 9U, 11U}) server.feed(data(id, kSyn, kStreamWindowInitial));
  EXPECT_EQ(server.session.unread_bytes(), 2 * kStreamWindowInitial);
  EXPECT_TRUE(server.read_all(11).second.broken);
  // Windows do not outgrow it either.
  EXPECT_EQ(server.read_all(7).first.size(), kStreamWindowInitial);
  EXPECT_EQ(server.read_all(9).first.size(), kStreamWindowInitial);
  std::size_t granted = 0;
  for (const auto& frame : server.frames()) {
    if (!frame.header.has(kRst)) granted += frame.header.length;
  }
  EXPECT_EQ(granted, 3 * kStreamWindowInitial);
}

TEST(YamuxAttacks, SmallConversationsGoOnBesideStalledOnes) {
  Bench server(Role::server);
  for (std::uint32_t id = 1; id < 2 * 128; id += 2) {
    server.feed(window_update(id, kSyn));
    for (int i = 0; i < 4; ++i) server.feed(data(id, 0, kStreamWindowInitial / 4));
  }
  EXPECT_EQ(server.session.unread_bytes(), kConnectionUnreadMax);
  server.feed(data(401, kSyn | kFin, 10'000));
  EXPECT_EQ(server.read_all(401).first.size(), 10'000U);
}

TEST(YamuxAttacks, StreamsAboveTheCeilingAreRefused) {
  Bench server(Role::server);
  for (std::uint32_t i = 0; i < kPeerStreamsMax; ++i) server.peer_opens(2 * i + 1);
  server.feed(data(1'001, kSyn, 1'000));
  server.feed(data(1'001, 0, 1'000));
  EXPECT_EQ(server.output(), window_update(1'001, kRst, 0x1002));
  EXPECT_EQ(server.session.streams(), kPeerStreamsMax);
  EXPECT_EQ(server.session.unread_bytes(), 0U);
  // A slot returns when both sides and the owner are done with a stream.
  server.feed(window_update(1, kRst));
  server.feed(window_update(1'003, kSyn));
  EXPECT_EQ(server.output(), window_update(1'003, kRst, 0x1002));
  server.session.release(StreamId{1}, 0);
  server.feed(window_update(1'005, kSyn));
  EXPECT_EQ(server.output(), window_update(1'005, kAck));
}

TEST(YamuxAttacks, RefusalsThatAreNotReadEndTheSession) {
  Bench server(Role::server);
  for (std::uint32_t i = 0; i < kPeerStreamsMax; ++i) server.peer_opens(2 * i + 1);
  std::uint32_t id = 1'001;
  for (std::size_t i = 0; i < kRefusalsMax; ++i, id += 2) server.feed(window_update(id, kSyn));
  EXPECT_FALSE(server.session.closed());
  server.feed(window_update(id, kSyn));
  EXPECT_TRUE(server.ended_by(Errc::refusal_flood, kRateLimited));
}

TEST(YamuxAttacks, RapidReset) {
  for (const bool with_owner : {false, true}) {
    Bench server(Role::server);
    std::uint32_t id = 1;
    std::size_t passed = 0;
    for (; passed < 100'000 && !server.session.closed(); ++passed, id += 2) {
      server.feed(window_update(id, kSyn));
      server.feed(window_update(id, kRst));
      if (!with_owner) continue;
      (void)server.session.take_events();
      server.session.release(StreamId{id}, 0);
    }
    EXPECT_TRUE(server.ended_by(with_owner ? Errc::reset_flood : Errc::refusal_flood, kRateLimited));
    EXPECT_LE(passed, kResetRate.burst + 2);
    EXPECT_LE(server.session.streams(), kPeerStreamsMax);
  }
  Bench server(Role::server);
  for (std::uint32_t id = 1; id < 100'000 && !server.session.closed(); id += 2)
    server.feed(window_update(id, kSyn | kRst));
  EXPECT_TRUE(server.ended_by(Errc::reset_flood, kRateLimited));
}

TEST(YamuxAttacks, ResetsAtAnHonestPacePass) {
  Bench server(Role::server);
  std::uint32_t id = 1;
  for (int i = 0; i < 5'000; ++i, id += 2) {
    server.now += 10ms;
    server.feed(window_update(id, kSyn));
    server.feed(window_update(id, kRst));
    server.session.release(StreamId{id}, 0);
    if (server.session.deadline() <= server.now) server.session.on_deadline(server.now);
    if (i % 10 == 0) server.feed(ping(kSyn, 1));
    (void)server.output();
  }
  EXPECT_FALSE(server.session.closed());
}

TEST(YamuxAttacks, APeerThatRefusesAllOfOursIsNoFlood) {
  Bench client(Role::client);
  for (int i = 0; i < 5'000; ++i) {
    const auto id = client.open();
    client.session.finish(StreamId{id});
    (void)client.output();
    client.feed(window_update(id, kRst, 0x1002));
    client.session.release(StreamId{id}, 0);
  }
  EXPECT_FALSE(client.session.closed());
}

TEST(YamuxAttacks, OpenFlood) {
  Bench server(Role::server);
  std::size_t passed = 0;
  for (std::uint32_t id = 1; passed < 100'000 && !server.session.closed(); ++passed, id += 2) {
    server.feed(data(id, kSyn | kFin, 1));
    (void)server.session.take_events();
    server.session.finish(StreamId{id});
    server.session.release(StreamId{id}, 0);
    if (!server.session.closed()) (void)server.output();
  }
  EXPECT_TRUE(server.ended_by(Errc::open_flood, kRateLimited));
  EXPECT_EQ(passed, kOpenRate.burst + 1);
}

TEST(YamuxAttacks, PingFlood) {
  for (const auto flags : {kSyn, kAck}) {
    Bench server(Role::server);
    std::size_t passed = 0;
    for (; passed < 1'000 && !server.session.closed(); ++passed) server.feed(ping(flags, 77));
    EXPECT_EQ(passed, kPingRate.burst + 1);
    EXPECT_TRUE(server.ended_by(Errc::ping_flood, kRateLimited));
  }
}

TEST(YamuxAttacks, FramesWithoutEffect) {
  const Bytes kinds[] = {
      window_update(1, 0), data(1, 0, 0),          window_update(1, kAck), window_update(9, 0, 5),
      data(9, kRst, 0),    window_update(9, kFin), go_away_frame(0),
  };
  for (const auto& frame : kinds) {
    Bench server(Role::server);
    server.peer_opens(1);
    std::size_t passed = 0;
    for (; passed < 10'000 && !server.session.closed(); ++passed) server.feed(frame);
    EXPECT_GE(passed, kIdleFrameRate.burst);
    EXPECT_TRUE(server.ended_by(Errc::idle_flood, kRateLimited));
    // An honest trickle passes.
    Bench other(Role::server);
    other.peer_opens(1);
    for (int i = 0; i < 10'000; ++i) {
      other.now += 1ms;
      other.feed(frame);
    }
    EXPECT_FALSE(other.session.closed());
  }
}

TEST(YamuxAttacks, APeerThatNeverReadsHoldsOneFrameOfEachKind) {
  Bench server(Role::server);
  for (std::uint32_t i = 0; i < kPeerStreamsMax; ++i) server.feed(window_update(2 * i + 1, kSyn));
  std::uint32_t id = 1'001;
  for (int second = 0; second < 30; ++second) {
    server.now += 1s;
    for (int i = 0; i < 8; ++i) server.feed(ping(kSyn, 7));
    for (int i = 0; i < 8; ++i, id += 2) server.feed(window_update(id, kSyn));  // refused
    for (std::uint32_t i = 0; i < kPeerStreamsMax; ++i) server.feed(window_update(2 * i + 1, 0, 1));
    server.session.on_deadline(server.now);
  }
  ASSERT_FALSE(server.session.closed());
  EXPECT_LE(server.output().size(), (2 + kRefusalsMax + kPeerStreamsMax) * kHeaderBytes);
  // Reset and released streams leave nothing behind in the queues.
  for (int round = 0; round < 100; ++round, id += 2) {
    server.session.release(StreamId{1}, 0);
    server.feed(window_update(1, kRst));
  }
  (void)server.output();
}

TEST(YamuxAttacks, ManyTinyFramesCostLittleMoreThanTheirBytes) {
  Bench server(Role::server);
  server.peer_opens(1);
  for (int i = 0; i < 20'000; ++i) server.feed(data(1, 0, 1));
  EXPECT_EQ(server.session.unread_bytes(), 20'000U);
  EXPECT_EQ(server.session.take_events().size(), 2U);  // opened, readable: one of each until they are taken
  EXPECT_EQ(server.read_all(1).first, Bytes(20'000, std::byte{'x'}));
}

TEST(YamuxAttacks, AnIdOutOfMemoryIsRefusedRatherThanReused) {
  Bench server(Role::server);
  server.feed(window_update(1, kSyn | kRst));
  server.feed(window_update(1 + 2 * kIdsRemembered, kSyn));
  (void)server.output();
  server.feed(window_update(1, kSyn));
  EXPECT_EQ(server.output(), window_update(1, kRst, 0x1002));
  server.feed(window_update(3, kSyn));  // the oldest that is known
  EXPECT_EQ(server.output(), window_update(3, kAck));
  server.feed(window_update(0xffffffff, kSyn));
  EXPECT_EQ(server.output(), window_update(0xffffffff, kAck));
  EXPECT_FALSE(server.session.closed());
}

TEST(YamuxAttacks, TimeThatGoesBackDoesNoHarm) {
  Bench server(Role::server);
  server.peer_opens(1);
  server.session.on_bytes(data(1, 0, kStreamWindowInitial), Instant{});
  EXPECT_EQ(server.read_all(1).first.size(), kStreamWindowInitial);
  Bytes buffer(100);
  EXPECT_GT(server.session.next_output(buffer, Instant{}), 0U);
  server.session.on_deadline(Instant{});
  EXPECT_GT(server.session.deadline(), server.now);
}

}  // namespace
}  // namespace nmp::libp2p::yamux
