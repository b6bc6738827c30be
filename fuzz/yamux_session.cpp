// fuzz: USES libp2p_yamux
// Bytes from a hostile peer into either role, and a script for two sessions of ours: what is held stays within the
// limits, every frame that leaves is a good one, and how bytes are cut makes no difference.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>

#include "libp2p/yamux/session.hpp"

namespace {

using namespace nmp;
using namespace nmp::libp2p;
using namespace nmp::libp2p::yamux;

constexpr Instant kNow{std::chrono::hours(1)};

/// Cuts a peer's output into frames as they must be.
class Observer {
 public:
  explicit Observer(Role of) : of_(of) {}

  void feed(ByteView bytes) {
    while (!bytes.empty()) {
      NMP_ASSERT(!over_);
      NMP_ASSERT(bytes.size() >= kHeaderBytes);  // whole frames
      const auto header = decode(bytes.first<kHeaderBytes>());
      NMP_ASSERT(header);
      bytes = bytes.subspan(kHeaderBytes);
      if (header->type == FrameType::go_away) {
        over_ = header->length != 0;
        continue;
      }
      if (header->type == FrameType::ping) continue;
      const auto id = std::to_underlying(header->stream);
      const bool theirs = (id % 2 == 1) == (of_ == Role::client);
      if (header->has(kSyn)) NMP_ASSERT(theirs);
      if (header->has(kAck)) NMP_ASSERT(!theirs);
      auto& stream = streams_[id];
      // RST is the last word of a stream. An id that the peer reused after being refused gets a second answer.
      if (stream.reset) NMP_ASSERT(header->has(kRst) && header->type == FrameType::window_update);
      if (theirs && !stream.announced) NMP_ASSERT(header->has(kSyn));
      if (stream.announced) NMP_ASSERT(!header->has(kSyn));
      stream.announced = true;
      if (header->type == FrameType::data) {
        NMP_ASSERT(!stream.ended && header->length <= bytes.size());
        NMP_ASSERT(header->length == 0 || !header->has(kFin));
        NMP_ASSERT(header->length > 0 || header->has(kFin));
        stream.ended = header->has(kFin);
        bytes = bytes.subspan(header->length);
      }
      stream.reset = header->has(kRst);
    }
  }

 private:
  struct Stream {
    bool announced = false;
    bool ended = false;
    bool reset = false;
  };
  Role of_;
  bool over_ = false;
  std::map<std::uint32_t, Stream> streams_;
};

struct Heard {
  Bytes data;
  bool end = false;
  bool broken = false;
  friend bool operator==(const Heard&, const Heard&) = default;
};

/// What the owner of a session sees.
struct Outcome {
  std::optional<yamux::Errc> error;
  std::map<StreamId, Heard> streams;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

void check_limits(const Session& session) {
  NMP_ASSERT(session.streams() <= kStreamsMax + kPeerStreamsMax);
  NMP_ASSERT(session.unread_bytes() <= kConnectionUnreadMax + session.streams() * kUnreadFloor);
  NMP_ASSERT(session.unsent_bytes() <= kConnectionSendBufferMax + session.streams() * kSendBufferFloor);
}

void read_all(Session& session, StreamId id, Heard& heard) {
  Bytes buffer(2'000);
  for (;;) {
    const auto result = session.read(id, buffer);
    append(heard.data, ByteView(buffer).first(result.size));
    if (result.size > 0) continue;
    heard.end = result.end;
    heard.broken = result.broken;
    return;
  }
}

/// Bytes from a stranger in pieces; `lively`: the owner answers, reads and leaves between them.
Outcome strange(Role role, ByteView input, std::size_t step, bool lively) {
  Session session(role, kNow);
  Observer observer(role);
  Bytes buffer(4'000);
  auto now = kNow;
  std::vector<StreamId> ids;
  if (lively) {
    for (int i = 0; i < 3; ++i) ids.push_back(*session.open_stream());
    (void)session.write(ids[1], Bytes(step % 8 == 7 ? 300'000 : 3'000));
    session.finish(ids[2]);
  }
  Outcome outcome;
  while (!input.empty()) {
    const auto piece = input.first(std::min(step, input.size()));
    input = input.subspan(piece.size());
    session.on_bytes(piece, now);
    check_limits(session);
    for (const auto& event : session.take_events()) {
      if (event.kind == Event::Kind::stream_opened) {
        ids.push_back(event.stream);
        outcome.streams[event.stream];
      }
      if (!lively || event.kind != Event::Kind::readable) continue;
      auto& heard = outcome.streams[event.stream];
      const auto before = heard.data.size();
      read_all(session, event.stream, heard);
      (void)session.write(event.stream, ByteView(heard.data).subspan(before));
      switch (heard.data.size() % 5) {
        case 0: session.finish(event.stream); break;
        case 1: session.stop_reading(event.stream, 7); break;
        case 2: session.release(event.stream, 8); break;
        default: break;
      }
    }
    if (!lively) continue;
    observer.feed(ByteView(buffer).first(session.next_output(buffer, now)));
    now += std::chrono::milliseconds(100);
    if (session.deadline() <= now) session.on_deadline(now);
  }
  if (!lively) {
    for (const auto id : ids) read_all(session, id, outcome.streams[id]);
  }
  if (session.closed()) outcome.error = session.close_reason()->error;
  for (const auto id : ids) session.release(id, 9);
  // Whatever was said, it comes to an end.
  for (int i = 0; i < 1'000 && (i == 0 || session.deadline() <= now + kStallTimeout); ++i) {
    now = std::max(now, std::min(session.deadline(), now + kStallTimeout));
    session.on_deadline(now);
    while (const auto size = session.next_output(buffer, now)) observer.feed(ByteView(buffer).first(size));
  }
  NMP_ASSERT(session.streams() == 0 && session.unread_bytes() == 0 && session.unsent_bytes() == 0);
  if (session.closed()) NMP_ASSERT(session.forgettable());
  return outcome;
}

/// Two of ours, driven by the input: what one writes the other reads.
void between_ours(ByteView script) {
  struct Side {
    explicit Side(Role role) : session(role, kNow), observer(role) {}
    struct Talk {
      Bytes written;
      bool finished = false;
      Heard heard;
    };
    Session session;
    Observer observer;
    std::map<StreamId, Talk> talks;
    Bytes wire;
  };
  Side client(Role::client);
  Side server(Role::server);
  auto now = kNow;
  const auto send = [&](Side& from, std::size_t most) {
    Bytes buffer(most);
    const auto size = from.session.next_output(buffer, now);
    from.observer.feed(ByteView(buffer).first(size));
    append(from.wire, ByteView(buffer).first(size));
    return size > 0;
  };
  const auto deliver = [&](Side& from, Side& to, std::size_t most) {
    const auto size = std::min(most, from.wire.size());
    to.session.on_bytes(ByteView(from.wire).first(size), now);
    from.wire.erase(from.wire.begin(), from.wire.begin() + static_cast<std::ptrdiff_t>(size));
    for (const auto& event : to.session.take_events()) {
      if (event.kind == Event::Kind::stream_opened) to.talks[event.stream];
    }
    check_limits(to.session);
    return size > 0;
  };
  for (; script.size() >= 2; script = script.subspan(2)) {
    const auto what = std::to_integer<unsigned>(script[0]);
    const auto argument = std::to_integer<std::size_t>(script[1]);
    auto& one = (what & 1) == 0 ? client : server;
    auto& other = (what & 1) == 0 ? server : client;
    now += std::chrono::milliseconds(1);
    auto talk = one.talks.begin();
    if (!one.talks.empty()) std::advance(talk, static_cast<std::ptrdiff_t>(argument % one.talks.size()));
    switch ((what >> 1) % 6) {
      case 0:
        if (one.talks.size() > 200) break;  // below the ceiling of the other
        if (auto id = one.session.open_stream()) one.talks[*id];
        break;
      case 1: {
        if (one.talks.empty()) break;
        const Bytes data(argument * argument / 2, std::byte(argument + what));
        append(talk->second.written, ByteView(data).first(one.session.write(talk->first, data)));
        break;
      }
      case 2:
        if (!one.talks.empty()) one.session.finish(talk->first);
        break;
      case 3: (void)send(one, Session::kOutputBytesMin + argument * 300); break;
      case 4: (void)deliver(one, other, argument * argument); break;
      default:
        if (!one.talks.empty()) read_all(one.session, talk->first, talk->second.heard);
        break;
    }
  }
  for (auto* side : {&client, &server}) {
    for (auto& [id, talk] : side->talks) side->session.finish(id);
  }
  for (bool moved = true; moved;) {
    const bool moves[] = {send(client, 70'000), send(server, 70'000), deliver(client, server, SIZE_MAX),
                          deliver(server, client, SIZE_MAX)};
    moved = std::ranges::any_of(moves, std::identity());
    for (auto* side : {&client, &server}) {
      for (auto& [id, talk] : side->talks) {
        side->session.finish(id);  // accepted only now, some of them
        read_all(side->session, id, talk.heard);
      }
    }
  }
  NMP_ASSERT(!client.session.closed() && !server.session.closed());
  NMP_ASSERT(client.talks.size() == server.talks.size());
  for (const auto& [id, talk] : client.talks) {
    const auto& answer = server.talks.at(id);
    NMP_ASSERT(talk.heard.end && answer.heard.end);
    NMP_ASSERT(talk.heard.data == answer.written && answer.heard.data == talk.written);
    client.session.release(id, 0);
    server.session.release(id, 0);
  }
  NMP_ASSERT(client.session.streams() == 0 && server.session.streams() == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto input = view_of(data, size).subspan(2);
  const std::size_t step = 1 + data[1] % 64U;
  if (data[0] % 3 == 2) {
    between_ours(input);
    return 0;
  }
  const auto role = data[0] % 3 == 0 ? Role::client : Role::server;
  NMP_ASSERT(strange(role, input, input.size() + 1, false) == strange(role, input, step, false));
  (void)strange(role, input, step, true);
  return 0;
}
