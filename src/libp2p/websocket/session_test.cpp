#include "libp2p/websocket/session.hpp"

#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "libp2p/websocket/limits.hpp"

namespace nmp::libp2p::websocket {
namespace {

Bytes hex(std::string_view text) { return hex_decode(text).value(); }
SeededRandom chance(1);

std::error_code error_in(Session& to, ByteView bytes) {
  auto fed = to.on_bytes(bytes);
  EXPECT_EQ(fed.value_or(bytes.size()), bytes.size());
  return fed ? std::error_code() : fed.error().code;
}
std::string read_all(Session& session) {
  auto out = string_of(session.unread());
  session.consume(out.size());
  return out;
}
struct Pair {
  Session client = Session::dial("127.0.0.1:80", chance);
  Session server = Session::accept();
};
/// Carries bytes both ways, `step` at a time, until both are silent.
void carry(Pair& pair, std::size_t step = SIZE_MAX) {
  for (bool spoke = true; spoke;) {
    spoke = false;
    for (auto [from, to] : {std::pair(&pair.client, &pair.server), std::pair(&pair.server, &pair.client)}) {
      const auto bytes = from->take_output();
      for (ByteView rest = bytes; !rest.empty();) {
        const auto piece = rest.first(std::min(step, rest.size()));
        rest = rest.subspan(piece.size());
        EXPECT_EQ(error_in(*to, piece), std::error_code());
        spoke = true;
      }
    }
  }
}
/// A server that has shaken hands.
Session server() {
  Pair pair;
  carry(pair);
  return std::move(pair.server);
}

// RFC 6455 section 1.3.
constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

TEST(WebSocketHandshake, TheExampleOfTheRfc) {
  EXPECT_EQ(accept_of(kKey), kAccept);
  const std::string request =
      "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com\r\n"
      "Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n";
  EXPECT_EQ(read_request(request).value(), kKey);
  EXPECT_TRUE(
      read_answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
                  kKey));
  EXPECT_TRUE(read_answer(upgrade_answer(kKey), kKey));
  EXPECT_EQ(read_request(upgrade_request("h", kKey)).value(), kKey);
}

/// `text` with `from` replaced by `to`.
std::string with(std::string text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(WebSocketHandshake, RequestsThatAreNone) {
  const auto good = upgrade_request("h", kKey);
  // As a browser may put it.
  EXPECT_TRUE(read_request(with(good, "Connection: Upgrade", "connection:keep-alive,\t upgrade ")));
  EXPECT_TRUE(read_request(with(good, "Upgrade: websocket", "UPGRADE: foo\r\nUpgrade: WebSocket")));
  EXPECT_TRUE(read_request(with(good, "GET / ", "GET /a?b ")));
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"GET", "POST"},
           {"GET /", "GET http://h/"},
           {" HTTP/1.1", " HTTP/1.0"},
           {"GET / ", "GET /  "},
           {"Host: h\r\n", ""},
           {"Upgrade: websocket\r\n", ""},
           {"websocket", "websockets"},
           {"Connection: Upgrade", "Connection: close"},
           {"Version: 13", "Version: 8"},
           {"Version: 13", "Version: 13\r\nSec-WebSocket-Version: 13"},
           {"Sec-WebSocket-Key: ", "Sec-WebSocket-Key: AAAA"},
           {std::string(kKey), "dGhlIHNhbXBsZSBub25jZQ="},
           {std::string(kKey), ""},
           {"Host:", "Host :"},
           {"Host:", " Host:"},
           {"Host: h", "Host"},
           {"\r\n\r\n", "\r\n"},
       }) {
    auto read = read_request(with(good, from, to));
    EXPECT_FALSE(read) << from << " -> " << to;
    EXPECT_EQ(read ? std::error_code() : read.error().code, Errc::bad_handshake);
  }
}

TEST(WebSocketHandshake, AnswersThatAreNone) {
  const auto good = upgrade_answer(kKey);
  EXPECT_TRUE(read_answer(with(good, " Switching Protocols", ""), kKey));
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"101", "200"},
           {"101", "1010"},
           {"Upgrade: websocket", "Upgrade: h2c"},
           {"Connection: Upgrade\r\n", ""},
           {std::string(kAccept), "s3pPLMBiTxaQ9kYGzzhZRbK+xOp="},
           {"\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"},
           {"\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n"},
       })
    EXPECT_FALSE(read_answer(with(good, from, to), kKey)) << from << " -> " << to;
  EXPECT_FALSE(read_answer(refusal(), kKey));
}

TEST(WebSocketSession, TwoEndsHoweverTheBytesAreCut) {
  for (std::size_t step : {SIZE_MAX, std::size_t{1}, std::size_t{7}}) {
    Pair pair;
    EXPECT_EQ(pair.client.write(bytes_of("x")).error().code, Errc::not_established);
    carry(pair, step);
    ASSERT_TRUE(pair.client.established() && pair.server.established());
    EXPECT_EQ(pair.client.write(bytes_of("hello")).value(), 5U);
    EXPECT_EQ(pair.server.write(Bytes(100'000, std::byte{7})).value(), 100'000U);
    Bytes received;
    auto wire = pair.server.take_output();
    while (received.size() < 100'000) {
      const auto fed = pair.client.on_bytes(ByteView(wire).first(std::min(step, wire.size()))).value();
      wire.erase(wire.begin(), wire.begin() + static_cast<std::ptrdiff_t>(fed));
      EXPECT_LE(pair.client.unread().size(), kUnreadBytesMax);
      if (fed == 0 || wire.empty()) {
        append(received, pair.client.unread());
        pair.client.consume(pair.client.unread().size());
      }
    }
    EXPECT_EQ(received, Bytes(100'000, std::byte{7}));
    carry(pair, step);
    EXPECT_EQ(read_all(pair.server), "hello");
    EXPECT_EQ(pair.server.on_end().error().code, Errc::truncated);
    pair.client.finish();
    pair.client.finish();
    EXPECT_EQ(pair.client.write(bytes_of("x")).error().code, Errc::not_established);
    EXPECT_EQ(error_in(pair.server, concat({pair.client.take_output(), bytes_of("rubbish")})), std::error_code());
    EXPECT_TRUE(pair.server.ended() && pair.server.on_end());
  }
}

TEST(WebSocketSession, TheFramesOfTheRfc) {
  // Section 5.7. A client takes what is not masked.
  Pair pair;
  carry(pair);
  EXPECT_EQ(error_in(pair.client, hex("820548656c6c6f")), std::error_code());
  EXPECT_EQ(read_all(pair.client), "Hello");
  EXPECT_EQ(error_in(pair.client, hex("020348656c80026c6f")), std::error_code());
  EXPECT_EQ(read_all(pair.client), "Hello");
  EXPECT_EQ(error_in(pair.client, concat({hex("827e0100"), Bytes(256)})), std::error_code());
  EXPECT_EQ(read_all(pair.client).size(), 256U);
  EXPECT_EQ(error_in(pair.client, concat({hex("827f0000000000010000"), Bytes(60'000)})), std::error_code());
  EXPECT_EQ(read_all(pair.client).size(), 60'000U);
  EXPECT_EQ(error_in(pair.client, Bytes(5536)), std::error_code());
  // A ping in the middle of a message gets its answer, masked.
  EXPECT_EQ(error_in(pair.client, hex("0201418905"
                                      "48656c6c6f"
                                      "800142")),
            std::error_code());
  EXPECT_EQ(error_in(pair.server, pair.client.take_output()), std::error_code());
  EXPECT_TRUE(read_all(pair.server).empty());
  // And a server what is: text of the RFC is refused, its payload as binary taken.
  EXPECT_EQ(error_in(pair.server, hex("828537fa213d7f9f4d5158")), std::error_code());
  EXPECT_EQ(read_all(pair.server), "Hello");
  EXPECT_EQ(error_in(pair.server, hex("818537fa213d7f9f4d5158")), Errc::bad_frame);
}

TEST(WebSocketSession, FramesThatMayNotBe) {
  for (const auto* frame : {
           "820548656c6c6f",                // not masked
           "c28000000000",                  // a reserved bit
           "838000000000",                  // a reserved opcode
           "8b8000000000",                  // a reserved control opcode
           "808000000000",                  // nothing goes on
           "098000000000",                  // a control frame in parts
           "89fe007e00000000",              // a control frame of 126 bytes
           "82fe007d00000000",              // 125 in two bytes
           "82ff000000000000ffff00000000",  // 65535 in eight
           "82ff800000000000000000000000",  // 2^63
           "88810000000003",                // a Close with half a code
           "02810000000041828000000000",    // a message inside a message
       }) {
    auto end = server();
    EXPECT_EQ(error_in(end, hex(frame)), Errc::bad_frame) << frame;
    EXPECT_LE(end.unread().size(), 1U);
    // It says why, and no more.
    EXPECT_EQ(end.take_output(), hex("880203ea")) << frame;
    EXPECT_EQ(end.write(bytes_of("x")).error().code, Errc::bad_frame);
    EXPECT_EQ(error_in(end, hex("828000000000")), Errc::bad_frame);
  }
  Pair pair;
  carry(pair);
  EXPECT_EQ(error_in(pair.client, hex("828537fa213d7f9f4d5158")), Errc::bad_frame);  // masked, by a server
}

TEST(WebSocketSession, PingsAreAnsweredWithinBounds) {
  auto end = server();
  const auto ping = concat({hex("89fd00000000"), Bytes(125, std::byte{5})});
  EXPECT_EQ(error_in(end, ping), std::error_code());
  EXPECT_EQ(end.take_output(), concat({hex("8a7d"), Bytes(125, std::byte{5})}));
  EXPECT_EQ(error_in(end, hex("8a8000000000")), std::error_code());  // a pong that nobody asked for
  std::size_t most = 0;
  for (int i = 0; i < 10'000; ++i) EXPECT_EQ(error_in(end, ping), std::error_code());
  most = end.take_output().size();
  EXPECT_LT(most, kUnsentBytesMax + 200);
}

TEST(WebSocketSession, EndlessHeadsAndOtherProtocolsAreRefused) {
  auto end = Session::accept();
  EXPECT_EQ(error_in(end, bytes_of("GET / HTTP/1.1\r\nHost: h\r\n\r\n")), Errc::bad_handshake);
  EXPECT_EQ(text_of(end.take_output()), refusal());
  for (const std::size_t step : {std::size_t{1}, std::size_t{1000}, 3 * kHeadBytesMax}) {
    auto endless = Session::accept();
    std::error_code code;
    std::size_t fed = 0;
    while (!code && fed < 3 * kHeadBytesMax) {
      code = error_in(endless, Bytes(step, std::byte{'a'}));
      fed += step;
    }
    EXPECT_EQ(code, Errc::bad_handshake);
    EXPECT_LE(fed, kHeadBytesMax + step);
  }
  auto client = Session::dial("h", chance);
  EXPECT_EQ(error_in(client, bytes_of(refusal())), Errc::bad_handshake);
  EXPECT_EQ(client.on_end().error().code, Errc::bad_handshake);
}

TEST(WebSocketSession, MasksChangeFromFrameToFrame) {
  Pair pair;
  carry(pair);
  ASSERT_TRUE(pair.client.write(bytes_of("same")));
  const auto one = pair.client.take_output();
  ASSERT_TRUE(pair.client.write(bytes_of("same")));
  EXPECT_NE(pair.client.take_output(), one);
}

}  // namespace
}  // namespace nmp::libp2p::websocket
