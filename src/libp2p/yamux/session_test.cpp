#include "libp2p/yamux/session.hpp"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libp2p/yamux/testing.hpp"

namespace nmp::libp2p::yamux {
namespace {

using namespace std::chrono_literals;
using Kind = Event::Kind;

constexpr std::uint32_t kWindow = kStreamWindowInitial;

// --- bytes of libp2p.md appendix B.6 --------------------------------------------------------------------------------

TEST(YamuxFrames, AreThoseOfTheFactSheet) {
  const auto hex = [](FrameType type, std::uint16_t flags, std::uint32_t stream, std::uint32_t length) {
    return hex_encode(encode({type, flags, StreamId{stream}, length}));
  };
  EXPECT_EQ(hex(FrameType::window_update, kSyn, 1, 0), "000100010000000100000000");
  EXPECT_EQ(hex(FrameType::window_update, kAck, 1, 0), "000100020000000100000000");
  EXPECT_EQ(hex(FrameType::window_update, 0, 2, 262144), "000100000000000200040000");
  EXPECT_EQ(hex(FrameType::data, kFin, 1, 0), "000000040000000100000000");
  EXPECT_EQ(hex(FrameType::window_update, kRst, 1, 0x1003), "000100080000000100001003");
  EXPECT_EQ(hex(FrameType::ping, kSyn, 0, 0xdeadbeef), "0002000100000000deadbeef");
  EXPECT_EQ(hex(FrameType::go_away, 0, 0, 1), "000300000000000000000001");
  for (const auto type : {FrameType::data, FrameType::window_update}) {
    const FrameHeader header{type, kSyn | kAck | kFin | kRst, StreamId{0xfffffffe}, 0xffffffff};
    EXPECT_EQ(decode(encode(header)).value(), header);
  }
}

TEST(YamuxSession, AStreamOnTheWire) {
  Bench client(Role::client);
  const auto id = client.open();
  EXPECT_EQ(id, 1U);
  EXPECT_EQ(client.output_hex(), "");  // lazy: nobody knows of it yet
  EXPECT_EQ(client.session.write(StreamId{1}, bytes_of("hello")), 5U);
  EXPECT_EQ(client.output_hex(), "00000001000000010000000568656c6c6f");
  client.session.finish(StreamId{1});
  EXPECT_EQ(client.output_hex(), "000000040000000100000000");
  client.feed(hex_decode("000100020000000100000000").value());
  client.feed(data(1, 0, 3));
  client.feed(data(1, kFin, 0));
  EXPECT_TRUE(client.has_event(Kind::readable, 1));
  auto [bytes, result] = client.read_all(1);
  EXPECT_EQ(string_of(bytes), "xxx");
  EXPECT_TRUE(result.end);
  EXPECT_EQ(client.session.streams(), 1U);
  client.session.release(StreamId{1}, 0);
  EXPECT_EQ(client.session.streams(), 0U);
  EXPECT_EQ(client.output_hex(), "");
}

TEST(YamuxSession, AnAcceptedStreamIsAcknowledgedOnceAndAtOnce) {
  Bench server(Role::server);
  server.feed(hex_decode("000100010000000100000000").value());
  EXPECT_TRUE(server.has_event(Kind::stream_opened, 1));
  EXPECT_EQ(server.output_hex(), "000100020000000100000000");
  server.session.write(StreamId{1}, bytes_of("a"));
  EXPECT_EQ(server.output_hex(), "00000000000000010000000161");
  // With something to say, the ACK rides on it.
  server.feed(hex_decode("00000001000000030000000568656c6c6f").value());
  EXPECT_EQ(string_of(server.read_all(3).first), "hello");
  server.session.write(StreamId{3}, bytes_of("a"));
  EXPECT_EQ(server.output_hex(), "00000002000000030000000161");
  server.feed(window_update(5, kSyn));
  server.session.finish(StreamId{5});
  EXPECT_EQ(server.output_hex(), "000000060000000500000000");
}

TEST(YamuxSession, ServerStreamsAreEven) {
  Bench server(Role::server);
  EXPECT_EQ(server.open(), 2U);
  EXPECT_EQ(server.open(), 4U);
  server.session.finish(StreamId{4});  // a stream may begin with its end
  EXPECT_EQ(server.output_hex(), "000000050000000400000000");
}

TEST(YamuxSession, FinNeverSharesAFrameWithData) {
  Bench client(Role::client);
  client.open();
  client.session.write(StreamId{1}, bytes_of("hello"));
  client.session.finish(StreamId{1});
  EXPECT_EQ(client.output_hex(),
            "00000001000000010000000568656c6c6f"
            "000000040000000100000000");
}

// --- flow control ---------------------------------------------------------------------------------------------------

TEST(YamuxFlow, DataMayFollowTheSynUpToTheFirstWindow) {
  Bench client(Role::client);
  client.open();
  std::size_t written = 0;
  std::size_t sent = 0;
  for (int i = 0; i < 10; ++i) {
    written += client.session.write(StreamId{1}, Bytes(kWindow));
    for (const auto& frame : client.frames()) sent += frame.payload.size();
  }
  EXPECT_EQ(sent, kWindow);
  EXPECT_EQ(written, kWindow + kSendBufferMax);
  EXPECT_FALSE(client.has_event(Kind::writable, 1));
  client.feed(window_update(1, kAck, 100));
  EXPECT_EQ(client.frames(), frames_of(raw({FrameType::data, 0, StreamId{1}, 100}, Bytes(100))));
  client.feed(window_update(1, 0, kWindow));
  (void)client.output();
  EXPECT_TRUE(client.has_event(Kind::writable, 1));
}

TEST(YamuxFlow, CreditReturnsWhenHalfOfTheWindowIsRead) {
  Bench server(Role::server);
  server.peer_opens(1);
  server.now += 1h;  // far from the bottleneck
  Bytes sink(kWindow);
  server.feed(data(1, 0, kWindow / 2));
  EXPECT_EQ(server.output_hex(), "");  // only what is read counts
  EXPECT_EQ(server.session.read(StreamId{1}, std::span(sink).first(kWindow / 2 - 1)).size, kWindow / 2 - 1);
  EXPECT_EQ(server.output_hex(), "");
  EXPECT_EQ(server.session.read(StreamId{1}, std::span(sink).first(1)).size, 1U);
  EXPECT_EQ(server.output_hex(), "000100000000000100020000");
}

TEST(YamuxFlow, NoCreditAfterTheEnd) {
  Bench server(Role::server);
  server.peer_opens(1);
  server.feed(data(1, kFin, kWindow));
  EXPECT_EQ(server.read_all(1).first.size(), kWindow);
  EXPECT_EQ(server.output_hex(), "");
}

/// Credit that comes back when all that was allowed is sent and read `pause` after the last time.
std::vector<std::uint32_t> windows(Bench& bench, std::uint32_t stream, Duration pause, int rounds) {
  std::vector<std::uint32_t> deltas;
  std::uint32_t credit = kWindow;
  for (int i = 0; i < rounds; ++i) {
    bench.now += pause;
    while (credit > 0) {
      const auto size = std::min(credit, 60'000U);
      bench.feed(data(stream, 0, size));
      credit -= size;
    }
    (void)bench.read_all(stream);
    for (const auto& frame : bench.frames()) credit += frame.header.length;
    deltas.push_back(credit);
  }
  return deltas;
}

TEST(YamuxFlow, AWindowThatIsTheBottleneckDoublesUpToItsCeiling) {
  Bench server(Role::server, 100ms);
  EXPECT_EQ(server.session.smoothed_rtt(), 100ms);
  server.peer_opens(1);
  EXPECT_THAT(windows(server, 1, 150ms, 6),
              testing::ElementsAre(2 * kWindow, 4 * kWindow, 8 * kWindow, 16 * kWindow, 16 * kWindow, 16 * kWindow));
  EXPECT_EQ(16 * kWindow, kStreamWindowMax);
}

TEST(YamuxFlow, ASlowReaderOrAnUnknownRoundTripKeepsTheWindow) {
  Bench slow(Role::server, 100ms);
  slow.peer_opens(1);
  EXPECT_THAT(windows(slow, 1, 250ms, 4), testing::Each(kWindow));
  Bench blind(Role::server, 100ms);
  blind.peer_opens(1);
  Session session(Role::server, kStart);
  session.on_bytes(window_update(1, kSyn), kStart);
  session.on_bytes(data(1, 0, kWindow), kStart);
  Bytes sink(kWindow);
  EXPECT_EQ(session.read(StreamId{1}, sink).size, kWindow);
  EXPECT_EQ(session.next_output(sink, kStart), 2 * kHeaderBytes);
  EXPECT_EQ(frames_of(ByteView(sink).first(2 * kHeaderBytes)).back().header.length, kWindow);
}

TEST(YamuxFlow, AllWindowsTogetherGrowToTheirCeilingAndGiveItBack) {
  Bench server(Role::server, 100ms);
  std::size_t growth = 0;
  for (std::uint32_t id = 1; id < 40; id += 2) {
    server.peer_opens(id);
    growth += windows(server, id, 10ms, 6).back() - kWindow;
    EXPECT_LE(growth, kWindowGrowthMax);
  }
  EXPECT_EQ(growth, kWindowGrowthMax);
  for (std::uint32_t id = 1; id < 40; id += 2) {
    server.feed(window_update(id, kRst));
    server.session.release(StreamId{id}, 0);
  }
  server.peer_opens(41);
  EXPECT_EQ(windows(server, 41, 10ms, 6).back(), kStreamWindowMax);
}

TEST(YamuxFlow, CreditFillsTheWholeRange) {
  Bench server(Role::server);
  server.feed(window_update(1, kSyn, 0xffffffff - kWindow));
  EXPECT_FALSE(server.session.closed());
  server.feed(window_update(1, 0, 0));
  EXPECT_FALSE(server.session.closed());
}

// --- turns ----------------------------------------------------------------------------------------------------------

TEST(YamuxTurns, StreamsShareTheTransport) {
  Bench client(Role::client);
  for (int i = 0; i < 3; ++i) client.session.write(StreamId{client.open()}, Bytes(200'000));
  Bytes buffer(20'000);
  std::map<std::uint32_t, std::size_t> sent;
  for (int i = 0; i < 24; ++i) {
    const auto size = client.session.next_output(buffer, client.now);
    ASSERT_GT(size, 0U);
    for (const auto& frame : frames_of(ByteView(buffer).first(size)))
      sent[std::to_underlying(frame.header.stream)] += frame.payload.size();
    const auto [least, most] = std::minmax({sent[1], sent[3], sent[5]});
    EXPECT_LE(most - least, 2 * kTurnBytes);
  }
  // A late and small one does not wait for the others' buffers.
  const auto id = client.open();
  client.session.write(StreamId{id}, bytes_of("small"));
  bool seen = false;
  for (int i = 0; i < 4 && !seen; ++i) {
    const auto size = client.session.next_output(buffer, client.now);
    for (const auto& frame : frames_of(ByteView(buffer).first(size))) seen |= frame.header.stream == StreamId{id};
  }
  EXPECT_TRUE(seen);
}

TEST(YamuxTurns, AStreamAloneFillsTheBuffer) {
  Bench client(Role::client);
  client.session.write(StreamId{client.open()}, Bytes(200'000));
  Bytes buffer(65'519);
  EXPECT_EQ(client.session.next_output(buffer, client.now), buffer.size());
  EXPECT_EQ(frames_of(buffer).size(), 1U);
}

TEST(YamuxTurns, TheSmallestBufferIsEnough) {
  Bench client(Role::client);
  Bytes written(3'000, std::byte{7});
  client.session.write(StreamId{client.open()}, written);
  client.session.finish(StreamId{1});
  Bytes got;
  for (const auto& frame : frames_of(client.output(Session::kOutputBytesMin))) append(got, frame.payload);
  EXPECT_EQ(got, written);
}

TEST(YamuxTurns, ControlGoesBeforeData) {
  Bench server(Role::server);
  server.peer_opens(1);
  server.session.write(StreamId{1}, Bytes(100'000));
  server.feed(ping(kSyn, 7));
  server.feed(window_update(3, kSyn));
  Bytes buffer(1'000);
  const auto size = server.session.next_output(buffer, server.now);
  const auto frames = frames_of(ByteView(buffer).first(size));
  ASSERT_GE(frames.size(), 2U);
  EXPECT_EQ(raw(frames[0].header), ping(kAck, 7));
  EXPECT_EQ(raw(frames[1].header), window_update(3, kAck));
}

TEST(YamuxTurns, StalledStreamsLeaveRoomForOthers) {
  Bench client(Role::client);
  // The transport takes nothing: 4 MiB in all, then a floor for each.
  std::size_t held = 0;
  for (int i = 0; i < 20; ++i) held += client.session.write(StreamId{client.open()}, Bytes(1 << 20));
  EXPECT_EQ(held, kConnectionSendBufferMax + 4 * kSendBufferFloor);
  EXPECT_EQ(client.session.unsent_bytes(), held);
  (void)client.output();
  for (std::uint32_t id = 1; id < 40; id += 2) EXPECT_TRUE(client.has_event(Kind::writable, id)) << id;
  EXPECT_EQ(client.session.unsent_bytes(), 0U);
}

// --- ends -----------------------------------------------------------------------------------------------------------

TEST(YamuxEnds, HalfCloseInBothOrders) {
  Bench client(Role::client);
  client.open();
  client.session.write(StreamId{1}, bytes_of("request"));
  client.session.finish(StreamId{1});
  EXPECT_FALSE(client.session.can_write(StreamId{1}));
  EXPECT_EQ(client.session.write(StreamId{1}, bytes_of("more")), 0U);
  (void)client.output();
  client.feed(data(1, kAck, 4));
  EXPECT_EQ(client.read_all(1).first.size(), 4U);
  client.feed(data(1, kFin, 4));
  auto [bytes, result] = client.read_all(1);
  EXPECT_EQ(bytes.size(), 4U);
  EXPECT_TRUE(result.end);

  Bench server(Role::server);
  server.feed(data(1, kSyn | kFin, 4));
  EXPECT_EQ(server.read_all(1).first.size(), 4U);
  EXPECT_TRUE(server.session.can_write(StreamId{1}));
  server.session.write(StreamId{1}, Bytes(kWindow));
  server.session.finish(StreamId{1});
  server.session.release(StreamId{1}, 0);  // what is written goes out all the same
  std::size_t got = 0;
  for (const auto& frame : server.frames()) got += frame.payload.size();
  EXPECT_EQ(got, kWindow);
  EXPECT_EQ(server.session.streams(), 0U);
}

TEST(YamuxEnds, AWindowUpdateMayCarryTheFin) {
  Bench server(Role::server);
  server.peer_opens(1);
  server.feed(window_update(1, kFin));
  EXPECT_TRUE(server.has_event(Kind::readable, 1));
  EXPECT_TRUE(server.read_all(1).second.end);
}

TEST(YamuxEnds, ResetCarriesItsCodeInTheLength) {
  Bench client(Role::client);
  client.open();
  client.session.write(StreamId{1}, bytes_of("x"));
  (void)client.output();
  client.session.write(StreamId{1}, Bytes(1'000));
  client.session.reset(StreamId{1}, 0x1003);
  EXPECT_EQ(client.session.unsent_bytes(), 0U);
  EXPECT_EQ(client.output_hex(), "000100080000000100001003");
  EXPECT_TRUE(client.read_all(1).second.broken);
  client.session.release(StreamId{1}, 0);
  EXPECT_EQ(client.output_hex(), "");
  client.open();
  client.session.write(StreamId{3}, bytes_of("x"));
  (void)client.output();
  client.session.reset(StreamId{3}, 1ULL << 40);  // no 32 bits hold it
  EXPECT_EQ(client.output_hex(), "000100080000000300001009");
}

TEST(YamuxEnds, TheLengthOfAResetIsNoCredit) {
  Bench client(Role::client);
  client.open();
  client.session.write(StreamId{1}, bytes_of("x"));
  (void)client.output();
  // As credit it would overflow.
  client.feed(window_update(1, kRst, 0xffffffff));
  EXPECT_FALSE(client.session.closed());
  EXPECT_EQ(client.session.peer_code(StreamId{1}), 0xffffffffU);
  EXPECT_TRUE(client.has_event(Kind::readable, 1));
  EXPECT_TRUE(client.read_all(1).second.broken);
  EXPECT_FALSE(client.session.can_write(StreamId{1}));
}

TEST(YamuxEnds, AResetDropsWhatWasUnread) {
  Bench server(Role::server);
  server.peer_opens(1);
  server.feed(data(1, 0, 1'000));
  server.feed(window_update(1, kRst, 0x1001));
  EXPECT_EQ(server.session.unread_bytes(), 0U);
  auto [bytes, result] = server.read_all(1);
  EXPECT_TRUE(bytes.empty() && result.broken && !result.end);
}

TEST(YamuxEnds, ButNotWhatCameBeforeAFin) {
  Bench server(Role::server);
  server.peer_opens(1);
  server.feed(data(1, kFin, 1'000));
  server.feed(data(1, kRst, 0));
  auto [bytes, result] = server.read_all(1);
  EXPECT_EQ(bytes.size(), 1'000U);
  EXPECT_TRUE(result.end);
  EXPECT_FALSE(server.session.can_write(StreamId{1}));
  EXPECT_EQ(server.session.peer_code(StreamId{1}), 0U);
}

TEST(YamuxEnds, AWaitingWriterLearnsOfAReset) {
  Bench client(Role::client);
  client.open();
  (void)client.session.write(StreamId{1}, Bytes(1 << 20));
  (void)client.output();
  (void)client.session.write(StreamId{1}, Bytes(1 << 20));
  (void)client.has_event(Kind::writable, 1);
  client.feed(window_update(1, kRst, 0x1002));
  EXPECT_TRUE(client.has_event(Kind::writable, 1));
  EXPECT_FALSE(client.session.can_write(StreamId{1}));
  EXPECT_EQ(client.session.unsent_bytes(), 0U);
}

TEST(YamuxEnds, WhatWasNeverAnnouncedLeavesWithoutAWord) {
  Bench client(Role::client);
  client.open();
  client.session.write(StreamId{1}, bytes_of("x"));
  client.session.release(StreamId{1}, 5);
  EXPECT_EQ(client.session.streams(), 0U);
  EXPECT_EQ(client.output_hex(), "");
  EXPECT_EQ(client.open(), 3U);  // the id is spent
}

TEST(YamuxEnds, ReleaseResetsWhatIsUnfinished) {
  Bench server(Role::server);
  server.peer_opens(1);
  server.session.release(StreamId{1}, 0x1005);
  EXPECT_EQ(server.session.streams(), 1U);  // until the peer is told
  EXPECT_EQ(server.output(), window_update(1, kRst, 0x1005));
  EXPECT_EQ(server.session.streams(), 0U);
  // What was under way is late, not wrong.
  server.feed(data(1, 0, 500));
  server.feed(window_update(1, 0, 500));
  server.feed(data(1, kFin, 0));
  server.feed(window_update(1, kRst));
  EXPECT_FALSE(server.session.closed());
  EXPECT_EQ(server.session.unread_bytes(), 0U);
  EXPECT_EQ(server.output_hex(), "");
}

TEST(YamuxEnds, StopReadingIsSilentUntilWeHaveFinished) {
  Bench server(Role::server);
  server.peer_opens(1);
  server.feed(data(1, 0, 1'000));
  server.session.stop_reading(StreamId{1}, 0x1003);
  EXPECT_EQ(server.session.unread_bytes(), 0U);
  server.feed(data(1, 0, kWindow - 1'000));
  EXPECT_TRUE(server.read_all(1).second.broken);
  EXPECT_EQ(server.output_hex(), "");  // no credit, no reset
  server.session.write(StreamId{1}, bytes_of("answer"));
  server.session.finish(StreamId{1});
  auto frames = server.frames();
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(string_of(frames[0].payload), "answer");
  EXPECT_TRUE(frames[1].header.has(kFin));
  EXPECT_EQ(server.session.deadline(), server.now + kLingerTimeout);
  EXPECT_TRUE(server.wait(kLingerTimeout));
  EXPECT_EQ(server.output(), window_update(1, kRst, 0x1003));
}

TEST(YamuxEnds, DataForAReaderThatLeftIsResetOnceWeHaveFinished) {
  Bench server(Role::server);
  server.peer_opens(1);
  server.session.finish(StreamId{1});
  server.session.release(StreamId{1}, 0x1003);
  (void)server.output();
  EXPECT_EQ(server.session.streams(), 1U);
  server.feed(data(1, 0, 10));
  EXPECT_EQ(server.output(), window_update(1, kRst, 0x1003));
  EXPECT_EQ(server.session.streams(), 0U);
}

TEST(YamuxEnds, AnOrderlyPeerSeesNoResetFromAReleasedStream) {
  Bench server(Role::server);
  server.peer_opens(1);
  server.session.finish(StreamId{1});
  server.session.release(StreamId{1}, 0);
  (void)server.output();
  server.feed(data(1, kFin, 0));
  EXPECT_EQ(server.session.streams(), 0U);
  EXPECT_EQ(server.output_hex(), "");
}

TEST(YamuxEnds, AReleasedStreamThatMovesIsLeftAlone) {
  Bench server(Role::server);
  server.peer_opens(1);
  server.session.write(StreamId{1}, Bytes(kSendBufferMax));
  (void)server.output();
  server.session.write(StreamId{1}, Bytes(10'000));
  server.session.finish(StreamId{1});
  server.session.release(StreamId{1}, 7);
  const auto pass = [&](Duration time) {
    server.now += time;
    server.feed(ping(kSyn, 1));
    server.session.on_deadline(server.now);
  };
  for (int i = 0; i < 9; ++i) {  // a slow reader, but it reads
    pass(kStallTimeout - 1s);
    server.feed(window_update(1, 0, 1'000));
    std::size_t size = 0;
    for (const auto& frame : server.frames()) size += frame.payload.size();
    EXPECT_EQ(size, 1'000U);
  }
  // Now it does not.
  pass(kStallTimeout);
  EXPECT_EQ(frames_of(server.output()).back().header, (FrameHeader{FrameType::window_update, kRst, StreamId{1}, 7}));
  EXPECT_EQ(server.session.streams(), 0U);
}

TEST(YamuxEnds, AReleasedStreamWaitsForASlowTransport) {
  Bench server(Role::server);
  server.peer_opens(1);
  server.session.write(StreamId{1}, Bytes(1'000));
  server.session.finish(StreamId{1});
  server.session.release(StreamId{1}, 0);
  for (int i = 0; i < 100; ++i) {  // it takes nothing, but the peer is there
    server.now += 5s;
    server.feed(ping(kSyn, 1));
    server.session.on_deadline(server.now);
  }
  std::size_t size = 0;
  for (const auto& frame : server.frames()) {
    EXPECT_FALSE(frame.header.has(kRst));
    size += frame.payload.size();
  }
  EXPECT_EQ(size, 1'000U);
  // Its peer does not finish.
  server.now += kLingerTimeout;
  server.session.on_deadline(server.now);
  EXPECT_EQ(frames_of(server.output()).back().header, (FrameHeader{FrameType::window_update, kRst, StreamId{1}, 0}));
}

// --- ping, go away, the transport -----------------------------------------------------------------------------------

TEST(YamuxPing, IsAnsweredOnceWithTheSameValue) {
  Bench server(Role::server);
  server.feed(hex_decode("0002000100000000deadbeef").value());
  EXPECT_EQ(server.output_hex(), "0002000200000000deadbeef");
  EXPECT_EQ(server.output_hex(), "");
  // One slot: the newest.
  server.feed(ping(kSyn, 1));
  server.feed(ping(kSyn, 2));
  EXPECT_EQ(server.output(), ping(kAck, 2));
}

TEST(YamuxPing, MeasuresFromWhenTheTransportTookIt) {
  Session session(Role::client, kStart);
  Bytes buffer(100);
  ASSERT_EQ(session.next_output(buffer, kStart + 5s), kHeaderBytes);
  EXPECT_EQ(hex_encode(ByteView(buffer).first(kHeaderBytes)), "000200010000000000000000");
  session.on_bytes(ping(kAck, 0), kStart + 5s + 40ms);
  EXPECT_EQ(session.smoothed_rtt(), 40ms);
  EXPECT_EQ(session.deadline(), kStart + 5s + 40ms + kPingInterval);
  session.on_deadline(session.deadline());
  const auto asked = session.deadline() - kPongTimeout;
  ASSERT_EQ(session.next_output(buffer, asked), kHeaderBytes);
  EXPECT_EQ(hex_encode(ByteView(buffer).first(kHeaderBytes)), "000200010000000000000001");
  session.on_bytes(ping(kAck, 0), asked + 1ms);  // too late for the first: nothing happens
  session.on_bytes(ping(kAck, 1), asked + 20ms);
  EXPECT_EQ(session.smoothed_rtt(), 30ms);
}

TEST(YamuxPing, ASilentPeerIsGone) {
  Bench client(Role::client);
  const auto id = client.open();
  client.session.write(StreamId{id}, bytes_of("x"));
  (void)client.output();
  EXPECT_TRUE(client.wait(kPingInterval));
  EXPECT_EQ(client.output(), ping(kSyn, 1));
  EXPECT_TRUE(client.wait(kPongTimeout));
  EXPECT_TRUE(client.has_event(Kind::closed));
  EXPECT_EQ(client.reason().error, Errc::ping_timeout);
  EXPECT_TRUE(client.session.forgettable());
  EXPECT_TRUE(client.read_all(id).second.broken);
}

TEST(YamuxPing, ABusyPeerThatForgetsAPongIsAskedAgain) {
  Bench server(Role::server);
  server.peer_opens(1);
  EXPECT_TRUE(server.wait(kPingInterval));
  EXPECT_EQ(server.output(), ping(kSyn, 1));
  server.now += 1s;
  server.feed(data(1, 0, 1));
  EXPECT_TRUE(server.wait(kPongTimeout));
  EXPECT_FALSE(server.session.closed());
  EXPECT_EQ(server.output(), ping(kSyn, 2));
}

TEST(YamuxGoAway, OfThePeerEndsOpeningOnly) {
  Bench client(Role::client);
  client.open();
  client.session.write(StreamId{1}, bytes_of("x"));
  (void)client.output();
  client.feed(hex_decode("000300000000000000000000").value());
  EXPECT_TRUE(client.session.going_away());
  EXPECT_EQ(client.session.open_stream().error().code, Errc::going_away);
  client.feed(data(1, kAck | kFin, 10));
  EXPECT_EQ(client.read_all(1).first.size(), 10U);
  client.session.write(StreamId{1}, bytes_of("y"));
  EXPECT_EQ(client.frames().size(), 1U);
  client.session.on_transport_end(client.now);
  EXPECT_EQ(client.reason().error, Errc::peer_close);
}

TEST(YamuxGoAway, WithACodeEndsTheSession) {
  for (const std::uint32_t code : {1U, 2U, 0x1005U}) {
    Bench client(Role::client);
    const auto id = client.open();
    client.session.write(StreamId{id}, bytes_of("x"));
    (void)client.output();
    client.feed(data(id, kAck, 10));
    client.feed(go_away_frame(code));
    EXPECT_TRUE(client.has_event(Kind::closed));
    EXPECT_EQ(client.reason().error, Errc::peer_close);
    EXPECT_EQ(client.reason().code, code);
    EXPECT_EQ(client.output_hex(), "");
    // What had arrived stays readable.
    auto [bytes, result] = client.read_all(id);
    EXPECT_EQ(bytes.size(), 10U);
    EXPECT_TRUE(result.broken);
    EXPECT_FALSE(client.session.can_write(StreamId{id}));
    client.session.release(StreamId{id}, 0);
    EXPECT_EQ(client.session.streams(), 0U);
  }
}

TEST(YamuxGoAway, OfOursRefusesWhatComesAndKeepsWhatIsThere) {
  Bench server(Role::server);
  server.peer_opens(1);
  server.session.go_away();
  EXPECT_EQ(server.output_hex(), "000300000000000000000000");
  server.feed(window_update(3, kSyn));
  EXPECT_EQ(server.output(), window_update(3, kRst, 0x1007));
  EXPECT_EQ(server.session.open_stream().error().code, Errc::going_away);
  server.feed(data(1, 0, 4));
  EXPECT_EQ(server.read_all(1).first.size(), 4U);
  server.session.go_away();
  EXPECT_EQ(server.output_hex(), "");
}

TEST(YamuxGoAway, CloseDropsAndTells) {
  Bench server(Role::server);
  server.peer_opens(1);
  server.peer_opens(3);
  server.session.finish(StreamId{3});
  server.session.release(StreamId{3}, 0);
  server.session.write(StreamId{1}, Bytes(1'000));
  EXPECT_EQ(server.session.streams(), 2U);
  server.session.close(0x1005, server.now);
  EXPECT_EQ(server.session.streams(), 1U);  // whose owner has yet to leave
  EXPECT_FALSE(server.session.forgettable());
  EXPECT_EQ(server.session.deadline(), kNever);
  EXPECT_EQ(server.output_hex(), "000300000000000000001005");
  EXPECT_TRUE(server.session.forgettable());
  EXPECT_TRUE(server.has_event(Kind::closed));
  EXPECT_EQ(server.session.open_stream().error().code, Errc::local_close);
  server.feed(data(1, 0, 4));
  server.feed(ping(kSyn, 4));
  EXPECT_EQ(server.output_hex(), "");
  Bench other(Role::server);
  other.session.close(1ULL << 33, other.now);
  EXPECT_EQ(other.output(), go_away_frame(0x1008));
}

TEST(YamuxGoAway, ATransportThatEndsBreaksStreams) {
  Bench server(Role::server);
  server.peer_opens(1);
  server.peer_opens(3);
  server.feed(data(1, 0, 4));
  server.feed(data(3, kFin, 4));
  server.feed(Bytes(5));  // half a header
  server.session.on_transport_end(server.now);
  EXPECT_EQ(server.reason().error, Errc::transport_closed);
  EXPECT_TRUE(server.session.forgettable());
  EXPECT_TRUE(server.read_all(1).second.broken);
  auto [bytes, result] = server.read_all(3);
  EXPECT_EQ(bytes.size(), 4U);
  EXPECT_TRUE(result.end);
}

// --- how many streams -----------------------------------------------------------------------------------------------

TEST(YamuxLimits, OpenersWaitForAcknowledgement) {
  Bench client(Role::client);
  for (std::size_t i = 0; i < kAckBacklogMax; ++i) client.session.finish(StreamId{client.open()});
  EXPECT_EQ(client.session.open_stream().error().code, Errc::stream_limit);
  (void)client.output();
  EXPECT_FALSE(client.has_event(Kind::streams_available));
  client.feed(window_update(5, kAck));
  EXPECT_TRUE(client.has_event(Kind::streams_available));
  client.open();
  EXPECT_EQ(client.session.open_stream().error().code, Errc::stream_limit);
  // A refusal is an answer, too.
  client.feed(window_update(7, kRst, 0x1002));
  EXPECT_TRUE(client.has_event(Kind::streams_available));
}

TEST(YamuxLimits, NoMoreThanRustEndures) {
  Bench client(Role::client);
  for (std::size_t i = 0; i < kStreamsMax; ++i) {
    const auto id = client.open();
    client.session.finish(StreamId{id});
    (void)client.output();
    client.feed(window_update(id, kAck));
  }
  EXPECT_EQ(client.session.open_stream().error().code, Errc::stream_limit);
  client.feed(data(1, kFin, 0));
  EXPECT_FALSE(client.has_event(Kind::streams_available));
  client.session.release(StreamId{1}, 0);
  EXPECT_TRUE(client.has_event(Kind::streams_available));
}

TEST(YamuxLimits, OpenOrderNeedNotBeIdOrder) {
  Bench server(Role::server);
  for (const std::uint32_t id : {9U, 3U, 1U, 1'001U, 7U, 5U}) {
    server.feed(window_update(id, kSyn));
    EXPECT_TRUE(server.has_event(Kind::stream_opened, id));
  }
  EXPECT_FALSE(server.session.closed());
}

TEST(YamuxLimits, LazyOpenersMayEndWhatTheyNeverOpened) {
  Bench server(Role::server);
  server.feed(data(1, kRst, 0));
  server.feed(data(3, kFin, 0));
  server.feed(window_update(5, kSyn));
  EXPECT_FALSE(server.session.closed());
  EXPECT_TRUE(server.has_event(Kind::stream_opened, 5));
  EXPECT_EQ(server.session.streams(), 1U);
}

}  // namespace
}  // namespace nmp::libp2p::yamux
