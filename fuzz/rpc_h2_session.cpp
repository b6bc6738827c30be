// fuzz: USES rpc_h2
#include <cstddef>
#include <cstdint>
#include <map>

#include "base/codec.hpp"
#include "rpc/h2/limits.hpp"
#include "rpc/h2/session.hpp"

namespace {

using namespace nmp;
using namespace nmp::h2;

constexpr std::size_t kWindowBytes = 65'535;
constexpr std::size_t kStreamsMax = 8;
constexpr Instant kNow{std::chrono::hours(1)};
constexpr std::string_view kMagic = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

SessionOptions options() { return {kWindowBytes, kWindowBytes, kStreamsMax}; }

struct Stream {
  std::vector<Headers> headers;
  Bytes data;
  bool ended = false;
  std::optional<std::uint32_t> closed;
  friend bool operator==(const Stream&, const Stream&) = default;
};

/// Keeps what it is told; answers, credits and ends as a server would.
class Peer final : public SessionObserver {
 public:
  explicit Peer(Role r) : role(r), session(Session::make(r, options(), *this)) {}

  void on_headers(StreamId id, Headers headers, bool trailers) override {
    std::size_t bytes = 0;
    for (const auto& [name, value] : headers) bytes += name.size() + value.size() + 32;
    NMP_ASSERT(bytes <= kHeaderListBytesMax && headers.size() <= kHeaderFieldsMax);
    if (role == Role::server && !trailers) ++open;
    // Refused above the limit before anybody hears of them.
    NMP_ASSERT(role == Role::client || open <= kStreamsMax);
    streams[id].headers.push_back(std::move(headers));
    if (role == Role::server && answers && !trailers) session->respond(id, {{":status", "200"}});
  }
  void on_data(StreamId id, ByteView bytes) override {
    auto& stream = streams[id];
    NMP_ASSERT(!stream.ended && !stream.closed);
    append(stream.data, bytes);
    NMP_ASSERT(credits || stream.data.size() <= kWindowBytes);
    if (!credits) return;
    session->consume(id, bytes.size());
    session->consume_connection(bytes.size());
    if (role == Role::server && answers) session->send(id, Bytes(bytes.begin(), bytes.end()));
  }
  void on_end(StreamId id) override {
    NMP_ASSERT(!streams[id].ended);
    streams[id].ended = true;
    if (role == Role::server && answers) session->end_with(id, {{"grpc-status", "0"}});
  }
  void on_closed(StreamId id, std::uint32_t code) override {
    NMP_ASSERT(!streams[id].closed);
    if (role == Role::server && !streams[id].headers.empty()) --open;
    streams[id].closed = code;
  }
  void on_goaway(StreamId /*last*/, std::uint32_t /*code*/) override { ++goaways; }
  void on_pong(std::uint64_t /*opaque*/) override { ++pongs; }

  Role role;
  bool answers = false;
  bool credits = false;
  std::map<StreamId, Stream> streams;
  std::size_t open = 0;
  std::size_t goaways = 0;
  std::size_t pongs = 0;
  std::unique_ptr<Session> session;
};

/// Feeds the input in pieces; `talk`: sends between them. Returns how it ended.
std::error_code feed(Peer& peer, ByteView input, std::size_t step, bool talk) {
  std::size_t sent = 0;
  std::size_t received = 0;
  std::error_code error;
  while (!input.empty() && !peer.session->ended()) {
    const auto piece = input.first(std::min(step, input.size()));
    const auto taken = peer.session->receive(piece, kNow);
    received += piece.size();
    if (!taken && !error) error = taken.error().code;
    if (error) NMP_ASSERT(peer.session->ended());
    input = input.subspan(piece.size());
    if (!talk) continue;
    Bytes out;
    peer.session->produce(out, 1UZ << 20);
    sent += out.size();
    // Answers are in proportion: nothing small makes us send much.
    NMP_ASSERT(sent <= 4096 + 64 * received);
  }
  if (error) NMP_ASSERT(peer.session->receive(bytes_of("x"), kNow).error().code == h2::Errc::ended);
  Bytes out;
  peer.session->produce(out, SIZE_MAX);
  return error;
}

void open_some(Peer& client) {
  for (int i = 0; i < 3; ++i) {
    const Headers headers{
        {":method", "POST"}, {":scheme", "http"}, {":path", "/a"}, {":authority", "b"}, {"te", "trailers"}};
    const auto id = client.session->open(headers);
    NMP_ASSERT(id);
    if (i > 0) client.session->send(*id, Bytes(100));
    if (i > 1) client.session->end(*id);
  }
  Bytes out;
  client.session->produce(out, SIZE_MAX);
}

/// Bytes from a stranger.
void strange(Role role, ByteView input, std::size_t step) {
  Bytes bytes;
  if (role == Role::server) append(bytes, bytes_of(kMagic));
  append(bytes, input);
  for (bool answers : {false, true}) {
    std::error_code errors[2];
    std::unique_ptr<Peer> peers[2];
    for (int cut = 0; cut < 2; ++cut) {
      peers[cut] = std::make_unique<Peer>(role);
      peers[cut]->answers = peers[cut]->credits = answers;
      if (role == Role::client) open_some(*peers[cut]);
      errors[cut] = feed(*peers[cut], bytes, cut == 0 ? bytes.size() : step, /*talk=*/false);
    }
    // How the bytes are cut makes no difference, but that a flood seen at once keeps back what came before it.
    NMP_ASSERT(peers[0]->session->ended() == peers[1]->session->ended());
    if (!errors[0] && !errors[1]) NMP_ASSERT(peers[0]->streams == peers[1]->streams);
    Peer peer(role);
    peer.answers = peer.credits = answers;
    if (role == Role::client) open_some(peer);
    (void)feed(peer, bytes, step, /*talk=*/true);
  }
}

/// A client and a server of ours, driven by the input as a script: what one says, the other hears.
void between_ours(ByteView script) {
  Peer client(Role::client);
  Peer server(Role::server);
  client.credits = server.credits = server.answers = true;
  struct Sent {
    std::string header;
    Bytes body;
    bool ended = false;
  };
  std::map<StreamId, Sent> sent;
  auto move = [](Peer& from, Peer& to, std::size_t size) {
    Bytes bytes;
    from.session->produce(bytes, size);
    if (!bytes.empty()) NMP_ASSERT(to.session->receive(bytes, kNow));
    return !bytes.empty();
  };
  Reader reader(script);
  while (reader.size() >= 2) {
    const auto operation = *reader.u8();
    const auto argument = *reader.u8();
    switch (operation % 5) {
      case 0: {
        if (sent.size() >= 2 * kStreamsMax) break;
        const std::string value(argument, 'v');
        const auto id = client.session->open(
            {{":method", "POST"}, {":scheme", "http"}, {":path", "/a"}, {":authority", "b"}, {"x-a", value}});
        NMP_ASSERT(id);
        sent[*id].header = value;
        break;
      }
      case 1:
      case 2: {
        if (sent.empty()) break;
        auto it = std::next(sent.begin(), argument % static_cast<std::ptrdiff_t>(sent.size()));
        if (it->second.ended) break;
        if (operation % 5 == 2) {
          it->second.ended = true;
          client.session->end(it->first);
          break;
        }
        Bytes body(argument * 37UZ + 1, std::byte(argument));
        append(it->second.body, body);
        client.session->send(it->first, std::move(body));
        break;
      }
      case 3: (void)move(client, server, argument); break;
      case 4: (void)move(server, client, argument); break;
      default: break;
    }
  }
  for (auto& [id, one] : sent)
    if (!one.ended) client.session->end(id);
  while (true) {
    const bool there = move(client, server, SIZE_MAX);
    const bool back = move(server, client, SIZE_MAX);
    if (!there && !back) break;
  }
  for (const auto& [id, one] : sent) {
    // Before the server's SETTINGS are known, streams above its limit are refused.
    const auto& answer = client.streams[id];
    NMP_ASSERT(answer.closed);
    if (*answer.closed == kRefusedStream) continue;
    const auto& heard = server.streams[id];
    NMP_ASSERT(*answer.closed == kNoError && *heard.closed == kNoError);
    NMP_ASSERT(heard.headers.size() == 1 && *find(heard.headers[0], "x-a") == one.header);
    NMP_ASSERT(heard.data == one.body && answer.data == one.body && heard.ended && answer.ended);
    NMP_ASSERT(answer.headers.size() == 2 && *find(answer.headers[1], "grpc-status") == "0");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto input = view_of(data, size).subspan(2);
  switch (data[0] % 3) {
    case 0: strange(Role::server, input, 1 + data[1] % 64U); break;
    case 1: strange(Role::client, input, 1 + data[1] % 64U); break;
    default: between_ours(input); break;
  }
  return 0;
}
