#include <deque>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.hpp"
#include "libp2p/yamux/testing.hpp"

/// Two sessions and a wire that cuts and delays, in virtual time: whatever the seed, what one side writes the other
/// reads.
namespace nmp::libp2p::yamux {
namespace {

using namespace std::chrono_literals;
using Kind = Event::Kind;

#ifdef NMP_SANITIZED
constexpr std::uint64_t kSeeds = 10;
#else
constexpr std::uint64_t kSeeds = 40;
#endif

/// One direction: bytes that arrive later, in pieces of any size, at most `capacity` at a time.
struct Pipe {
  struct Piece {
    Instant at;
    Bytes bytes;
  };
  std::deque<Piece> pieces;
  std::size_t held = 0;
  std::size_t capacity = 256UZ * 1024;
};

/// What one direction of a stream carries: bytes that tell where they stand.
std::byte byte_at(StreamId id, std::size_t offset) {
  return static_cast<std::byte>((std::to_underlying(id) * 31 + offset * 7 + offset / 251) & 0xff);
}
Bytes content(StreamId id, std::size_t offset, std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = byte_at(id, offset + i);
  return bytes;
}

class Side {
 public:
  struct Talk {
    std::size_t to_write = 0;
    std::size_t written = 0;
    bool finished = false;
    std::size_t read = 0;
    bool ended = false;
    bool reset = false;  ///< by either side
    bool released = false;
  };

  Side(Role role, std::uint64_t seed) : session(role, kStart), random(seed) {}

  void take_events() {
    for (const auto& event : session.take_events()) {
      if (event.kind == Kind::stream_opened) talks[event.stream].to_write = random.below(size_max);
      if (event.kind == Kind::closed) closed = true;
    }
  }
  void open() {
    auto id = session.open_stream();
    if (!id) return;
    talks[*id].to_write = 1 + random.below(size_max);
    ++opened;
  }
  /// Writes, reads and ends a little, here and there.
  void act() {
    take_events();
    for (auto& [id, talk] : talks) {
      if (talk.released || random.below(3) == 0) continue;
      if (talk.written < talk.to_write && session.can_write(id)) {
        const auto size = std::min<std::size_t>(talk.to_write - talk.written, 1 + random.below(40'000));
        talk.written += session.write(id, content(id, talk.written, size));
      } else if (!talk.finished && session.can_write(id)) {
        session.finish(id);
        talk.finished = true;
      }
      if (reset_one_in > 0 && !talk.reset && random.below(reset_one_in) == 0) {
        session.reset(id, 0x1001);
        talk.reset = true;
      }
      const auto most = 1 + random.below(lazy_reader ? 3'000 : buffer.size());
      const auto result = session.read(id, std::span(buffer).first(most));
      ASSERT_TRUE(equal(ByteView(buffer).first(result.size), content(id, talk.read, result.size)));
      talk.read += result.size;
      talk.ended = talk.ended || result.end;
      talk.reset = talk.reset || result.broken || session.peer_code(id).has_value();
      if ((talk.ended && talk.finished) || talk.reset) {
        session.release(id, 0);
        talk.released = true;
      }
    }
    ASSERT_LE(session.unread_bytes(), kConnectionUnreadMax + session.streams() * kUnreadFloor);
    ASSERT_LE(session.unsent_bytes(), kConnectionSendBufferMax + session.streams() * kSendBufferFloor);
  }
  [[nodiscard]] bool done() const {
    return std::ranges::all_of(talks, [](const auto& entry) { return entry.second.released; });
  }

  Session session;
  SeededRandom random;
  std::map<StreamId, Talk> talks;
  std::size_t size_max = 150'000;
  std::uint64_t reset_one_in = 0;
  bool lazy_reader = false;
  Bytes buffer = Bytes(60'000);
  bool closed = false;
  std::size_t opened = 0;
};

class Exchange {
 public:
  explicit Exchange(std::uint64_t seed)
      : random(seed), client(Role::client, seed * 2), server(Role::server, seed * 3) {}

  void send(Side& from, Pipe& pipe) {
    while (pipe.held < pipe.capacity) {
      const auto most = Session::kOutputBytesMin + random.below(buffer.size() - Session::kOutputBytesMin);
      const auto size = from.session.next_output(std::span(buffer).first(most), now);
      if (size == 0) return;
      ByteView rest = ByteView(buffer).first(size);
      pipe.held += size;
      while (!rest.empty()) {
        // Now and then a byte at a time.
        const auto cut = 1 + random.below(random.below(4) == 0 ? 30U : 9'000U);
        const auto piece = rest.first(std::min<std::size_t>(rest.size(), cut));
        rest = rest.subspan(piece.size());
        auto at = now + delay + duration_below(jitter + 1ns);
        if (!pipe.pieces.empty()) at = std::max(at, pipe.pieces.back().at);
        pipe.pieces.push_back({at, to_bytes(piece)});
      }
    }
  }
  void deliver(Pipe& pipe, Side& to) {
    while (!pipe.pieces.empty() && pipe.pieces.front().at <= now) {
      to.session.on_bytes(pipe.pieces.front().bytes, now);
      pipe.held -= pipe.pieces.front().bytes.size();
      pipe.pieces.pop_front();
    }
  }
  /// Until both have nothing left to do; false if they get stuck.
  bool run(std::size_t streams) {
    for (int step = 0; step < 200'000; ++step) {
      now += 1ms;
      for (auto* side : {&client, &server}) {
        if (side->session.deadline() <= now) side->session.on_deadline(now);
        if (side->opened < streams && random.below(3) == 0) side->open();
        side->act();
        if (testing::Test::HasFatalFailure()) return false;
      }
      send(client, up);
      send(server, down);
      deliver(up, server);
      deliver(down, client);
      if (client.closed || server.closed) return false;
      client.take_events();
      server.take_events();
      if (client.opened == streams && server.opened == streams && client.done() && server.done() && settled())
        return true;
    }
    return false;
  }
  Duration duration_below(Duration bound) {
    return Duration(static_cast<Duration::rep>(random.below(static_cast<std::uint64_t>(bound.count()))));
  }
  [[nodiscard]] bool settled() const {
    return client.session.streams() == 0 && server.session.streams() == 0 && up.pieces.empty() && down.pieces.empty();
  }

  SeededRandom random;
  Bytes buffer = Bytes(70'000);
  Side client;
  Side server;
  Pipe up;
  Pipe down;
  Instant now = kStart;
  Duration delay = 5ms;
  Duration jitter = 3ms;
};

TEST(YamuxExchange, EverythingWrittenIsReadInOrder) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Exchange exchange(seed);
    exchange.delay = exchange.duration_below(30ms);
    exchange.up.capacity = 1'000 + exchange.random.below(300'000);
    exchange.down.capacity = 1'000 + exchange.random.below(300'000);
    exchange.client.lazy_reader = seed % 3 == 0;
    if (seed % 5 == 0) exchange.client.size_max = exchange.server.size_max = 1'500'000;
    ASSERT_TRUE(exchange.run(seed % 5 == 0 ? 4 : 30));
    for (const auto* one : {&exchange.client, &exchange.server}) {
      const auto& other = one == &exchange.client ? exchange.server : exchange.client;
      for (const auto& [id, talk] : one->talks) {
        ASSERT_TRUE(talk.ended && !talk.reset);
        ASSERT_TRUE(other.talks.contains(id));
        EXPECT_EQ(talk.written, other.talks.at(id).read);
      }
      EXPECT_EQ(one->session.unread_bytes() + one->session.unsent_bytes(), 0U);
    }
  }
}

TEST(YamuxExchange, ResetsOnBothSidesLeaveNothingBehind) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Exchange exchange(seed);
    exchange.client.reset_one_in = exchange.server.reset_one_in = 20;
    ASSERT_TRUE(exchange.run(60));
    EXPECT_EQ(exchange.client.session.unread_bytes() + exchange.server.session.unread_bytes(), 0U);
    EXPECT_EQ(exchange.client.session.unsent_bytes() + exchange.server.session.unsent_bytes(), 0U);
  }
}

/// How long a stream needs for `size` bytes over a wire of 50 ms each way.
Duration time_for(std::size_t size, std::size_t streams) {
  Exchange exchange(7);
  exchange.delay = 50ms;
  exchange.jitter = 0ms;
  exchange.up.capacity = exchange.down.capacity = 64UZ << 20;
  std::vector<StreamId> ids;
  ids.reserve(streams);
  for (std::size_t i = 0; i < streams; ++i) ids.push_back(*exchange.client.session.open_stream());
  std::map<StreamId, std::size_t> written;
  std::size_t read = 0;
  Bytes sink(1UZ << 20);
  for (int step = 0; step < 100'000 && read < size * streams; ++step) {
    exchange.now += 1ms;
    for (auto id : ids) {
      while (written[id] < size) {
        const auto taken = exchange.client.session.write(id, Bytes(std::min<std::size_t>(size - written[id], 65'536)));
        if (taken == 0) break;
        written[id] += taken;
        exchange.send(exchange.client, exchange.up);
      }
      while (const auto got = exchange.server.session.read(id, sink).size) read += got;
    }
    exchange.send(exchange.client, exchange.up);
    exchange.send(exchange.server, exchange.down);
    exchange.deliver(exchange.up, exchange.server);
    exchange.deliver(exchange.down, exchange.client);
  }
  EXPECT_EQ(read, size * streams);
  return exchange.now - kStart;
}

TEST(YamuxExchange, WindowsGrowWithTheRoundTrip) {
  // 32 MiB at 256 KiB for each round trip of 100 ms are 12.8 s; at 4 MiB, 0.8 s and the climb.
  EXPECT_LT(time_for(32UZ << 20, 1), 3s);
}

}  // namespace
}  // namespace nmp::libp2p::yamux
