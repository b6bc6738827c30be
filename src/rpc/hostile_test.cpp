#include <gtest/gtest.h>

#include "rpc/h2/grpc_codec.hpp"
#include "rpc/h2/session.hpp"
#include "rpc/testing.hpp"

namespace nmp::rpc {
namespace {

using namespace testing;

/// Raw HTTP/2 against the server: what came back, as text.
Awaitable<std::string> raw(Rig& rig, Bytes input) {
  rig.start_server();
  auto stream = std::move(rig.near);
  (void)co_await stream->write(input);
  (void)co_await stream->close_write();
  std::string got;
  Bytes buffer(65536);
  for (;;) {
    auto size = co_await stream->read_some(buffer);
    if (!size || *size == 0) break;
    got += text_of(ByteView(buffer).first(*size));
  }
  co_return got;
}

std::string request(std::string_view path) {
  return literal(":method", "POST") + literal(":scheme", "http") + literal(":path", path) +
         literal(":authority", "here") + literal("content-type", "application/grpc");
}

struct Frame {
  std::uint8_t type = 0;
  std::uint32_t stream = 0;
  std::string payload;
  [[nodiscard]] std::uint32_t word(std::size_t at) const {
    std::uint32_t value = 0;
    for (auto c : payload.substr(at, 4)) value = value << 8U | static_cast<unsigned char>(c);
    return value;
  }
};
std::vector<Frame> frames_of(std::string_view got) {
  std::vector<Frame> out;
  while (got.size() >= 9) {
    auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(got[i])); };
    std::size_t size = byte(0) << 16U | byte(1) << 8U | byte(2);
    if (got.size() < 9 + size) break;
    out.push_back({static_cast<std::uint8_t>(byte(3)), byte(5) << 24U | byte(6) << 16U | byte(7) << 8U | byte(8),
                   std::string(got.substr(9, size))});
    got.remove_prefix(9 + size);
  }
  return out;
}
/// The error code of the last GOAWAY, or -1.
int goaway(std::string_view got) {
  int code = -1;
  for (const auto& one : frames_of(got))
    if (one.type == 7) code = static_cast<int>(one.word(4));
  return code;
}

Awaitable<void> attack_rig(Rig& rig, Bytes input, int* code) {
  auto got = co_await raw(rig, std::move(input));
  *code = goaway(got);
}
int attack(const Bytes& once, int times) {
  auto input = preface();
  for (int i = 0; i < times; ++i) append(input, once);
  int code = -2;
  with_rig([&](Rig& rig) { return attack_rig(rig, std::move(input), &code); });
  return code;
}

TEST(RpcHostile, FloodsEndWithEnhanceYourCalm) {
  EXPECT_EQ(attack(frame(6, 0, 0, "12345678"), 3000), 0xb) << "PING";
  EXPECT_EQ(attack(frame(4, 0, 0, ""), 100), 0xb) << "SETTINGS";
  EXPECT_EQ(attack(frame(0x55, 0, 0, "?"), 5000), 0xb) << "unknown frames";
  auto open = frame(1, 4, 1, request("/t.T/EchoEach"));
  Bytes empty = open;
  for (int i = 0; i < 2000; ++i) append(empty, frame(0, 0, 1, ""));
  EXPECT_EQ(attack(empty, 1), 0xb) << "empty DATA";
  Bytes resets;
  for (std::uint32_t i = 0; i < 4000; ++i) {
    append(resets, frame(1, 4, 2 * i + 1, request("/t.T/EchoEach")));
    append(resets, frame(3, 0, 2 * i + 1, std::string_view("\0\0\0\x8", 4)));
  }
  EXPECT_EQ(attack(resets, 1), 0xb) << "rapid reset";
  auto continued = frame(1, 0, 1, request("/t.T/Echo"));
  for (int i = 0; i < 50; ++i) append(continued, frame(9, 0, 1, literal("x-a", "b")));
  EXPECT_EQ(attack(continued, 1), 0xb) << "CONTINUATION";
  // An indexed field of 4,000 bytes, repeated by one byte each: the HPACK bomb.
  std::string big = std::string(1, '\x40') + "\x03x-a" + "\x7f\xa1\x1e" + std::string(4000, 'a');
  EXPECT_EQ(attack(frame(1, 4, 1, request("/t.T/Echo") + big + std::string(1000, '\xbe')), 1), 0xb) << "HPACK";
}

TEST(RpcHostile, ProtocolErrorsEndTheConnection) {
  EXPECT_GT(attack(frame(0, 0, 1, "data before headers"), 1), 0);
  EXPECT_GT(attack(frame(1, 4, 2, request("/t.T/Echo")), 1), 0) << "even stream";
  EXPECT_GT(attack(frame(1, 4, 1, "\xff\xff\xff\xff\xff\xff"), 1), 0) << "HPACK garbage";
}

TEST(RpcHostile, StreamsAboveTheLimitAreRefused) {
  ServerLimits limits;
  limits.calls_max = 2;
  with_rig(
      [](Rig& rig) -> Awaitable<void> {
        auto input = preface();
        for (std::uint32_t id : {1U, 3U, 5U}) append(input, frame(1, 4, id, request("/t.T/EchoEach")));
        auto got = co_await raw(rig, std::move(input));
        int refused = 0;
        for (const auto& one : frames_of(got))
          if (one.type == 3 && one.stream == 5) refused += one.word(0) == h2::kRefusedStream ? 1 : 0;
        EXPECT_EQ(refused, 1);
      },
      limits);
}

/// A client without gRPC's manners: headers and body as the test likes. One exchange after the other.
class Browser final : public h2::SessionObserver {
 public:
  struct Answer {
    std::string http;
    std::string grpc;  ///< grpc-status
    std::string message;
    std::optional<std::uint32_t> closed;
  };
  explicit Browser(async::ByteStreamPtr stream)
      : stream_(std::move(stream)),
        session_(h2::Session::make(h2::Role::client, h2::SessionOptions(1UZ << 20, 1UZ << 20, 0), *this)) {}

  Awaitable<Answer> exchange(h2::Headers headers, Bytes body) {
    answer_ = {};
    auto id = session_->open(headers);
    EXPECT_TRUE(id);
    if (!id) co_return answer_;
    session_->send(*id, std::move(body));
    session_->end(*id);
    Bytes buffer(65536);
    while (!answer_.closed) {
      Bytes out;
      session_->produce(out, 1UZ << 20);
      auto written = co_await stream_->write(out);
      auto size = co_await stream_->read_some(buffer);
      if (!written || !size || *size == 0) break;
      auto taken = session_->receive(ByteView(buffer).first(*size), async::system_clock().now());
      if (!taken) break;
    }
    co_return answer_;
  }
  void reset() { stream_->reset(0); }

  void on_headers(h2::StreamId /*id*/, h2::Headers headers, bool /*trailers*/) override {
    if (const auto* value = h2::find(headers, ":status")) answer_.http = *value;
    if (const auto* value = h2::find(headers, "grpc-status")) answer_.grpc = *value;
    if (const auto* value = h2::find(headers, "grpc-message")) answer_.message = *value;
  }
  void on_closed(h2::StreamId /*id*/, std::uint32_t code) override { answer_.closed = code; }

 private:
  async::ByteStreamPtr stream_;
  std::unique_ptr<h2::Session> session_;
  Answer answer_;
};

h2::Headers post(std::string path, std::string content_type = "application/grpc") {
  return {{":method", "POST"},    {":scheme", "http"}, {":path", std::move(path)},
          {":authority", "here"}, {"te", "trailers"},  {"content-type", std::move(content_type)}};
}
Bytes message(std::string_view content) {
  return concat({h2::message_header(false, content.size()), bytes_of(content)});
}

struct BadRequest {
  std::string what;
  h2::Headers headers;
  Bytes body;
  std::string http;
  std::string grpc;
};

std::vector<BadRequest> bad_requests() {
  auto with = [](std::string name, std::string value) {
    auto headers = post("/t.T/Echo");
    headers.emplace_back(std::move(name), std::move(value));
    return headers;
  };
  auto get = post("/t.T/Echo");
  get.front().second = "GET";
  auto body = [](std::string_view bytes) { return to_bytes(bytes); };
  return {
      {"not POST", get, message("x"), "405", ""},
      {"not gRPC", post("/t.T/Echo", "text/plain"), message("x"), "415", ""},
      {"nearly gRPC", post("/t.T/Echo", "application/grpc-web"), message("x"), "415", ""},
      {"unknown method", post("/t.T/None"), message("x"), "200", "12"},
      {"no path of a method", post("/"), message("x"), "200", "12"},
      {"grpc-timeout", with("grpc-timeout", "soon"), message("x"), "200", "13"},
      {"nothing left", with("grpc-timeout", "0n"), message("x"), "200", "4"},
      {"binary metadata", with("x-a-bin", "!!"), message("x"), "200", "13"},
      {"grpc-encoding", with("grpc-encoding", "br"), message("x"), "200", "12"},
      {"compression flag", post("/t.T/Echo"), body(std::string_view("\x02\0\0\0\0", 5)), "200", "13"},
      {"compressed without encoding", post("/t.T/Echo"), body(std::string_view("\x01\0\0\0\1a", 6)), "200", "13"},
      {"not gzip", with("grpc-encoding", "gzip"), body(std::string_view("\x01\0\0\0\1a", 6)), "200", "13"},
      {"message over the cap", post("/t.T/Echo"), body(std::string_view("\0\xff\xff\xff\xff", 5)), "200", "8"},
      {"cut message", post("/t.T/Echo"), body(std::string_view("\0\0\0\0\5ab", 7)), "200", "13"},
      {"no message", post("/t.T/Echo"), {}, "200", "3"},
      {"two messages", post("/t.T/Echo"), concat({message("a"), message("b")}), "200", "3"},
  };
}

TEST(RpcHostile, BadRequestsEndAlone) {
  with_rig([](Rig& rig) -> Awaitable<void> {
    rig.start_server();
    Browser browser(std::move(rig.near));
    for (auto& bad : bad_requests()) {
      auto answer = co_await browser.exchange(bad.headers, bad.body);
      EXPECT_EQ(answer.http, bad.http) << bad.what;
      EXPECT_EQ(answer.grpc, bad.grpc) << bad.what << ": " << answer.message;
      EXPECT_TRUE(answer.closed == h2::kNoError) << bad.what;
    }
    // Headers beyond the advertised list size end their stream.
    auto headers = post("/t.T/Echo");
    headers.emplace_back("x-long", std::string(20'000, 'a'));
    auto refused = co_await browser.exchange(headers, message("x"));
    EXPECT_TRUE(refused.closed == h2::kEnhanceYourCalm);
    auto first_long = post("/" + std::string(20'000, 'a'));
    std::swap(first_long[0], first_long[2]);
    refused = co_await browser.exchange(first_long, message("x"));
    EXPECT_TRUE(refused.closed == h2::kEnhanceYourCalm);
    auto good = co_await browser.exchange(post("/t.T/Echo"), message("x"));
    EXPECT_EQ(good.http, "200");
    EXPECT_EQ(good.grpc, "0");
    browser.reset();
  });
}

/// A server that answers the first request with `frames`, whatever it was.
Awaitable<void> answer_with(async::ByteStreamPtr stream, Bytes frames, bool then_close) {
  std::string got;
  Bytes buffer(65536);
  bool answered = false;
  for (;;) {
    auto size = co_await stream->read_some(buffer);
    if (!size || *size == 0) break;
    if (answered) continue;
    got += text_of(ByteView(buffer).first(*size));
    if (got.size() < 24) continue;
    bool requested = false;
    for (const auto& one : frames_of(std::string_view(got).substr(24))) requested |= one.type == 1;
    if (!requested) continue;
    answered = true;
    auto output = concat({frame(4, 0, 0, ""), frames});
    (void)co_await stream->write(output);
    if (then_close) (void)co_await stream->close_write();
  }
  stream->reset(0);
}

Awaitable<void> call_any(Rig& rig, CallOptions options, UnaryReply* out) {
  auto reply = co_await rig.channel->unary_reply("/t.T/Any", text("x"), options);
  *out = std::move(reply);
}
UnaryReply reply_to(const Bytes& frames, bool then_close = false, std::size_t message_bytes_max = kMessageBytesMax) {
  UnaryReply out;
  with_rig([&](Rig& rig) {
    rig.tasks.spawn(answer_with(std::move(rig.far), frames, then_close));
    rig.start_channel();
    CallOptions options;
    options.message_bytes_max = message_bytes_max;
    options.deadline = in(20s);
    return call_any(rig, std::move(options), &out);
  });
  return out;
}
Code code_for(const Bytes& frames, bool then_close = false) { return reply_to(frames, then_close).status.code; }

constexpr std::uint8_t kEndStream = 1;
constexpr std::uint8_t kEndHeaders = 4;
Bytes head(const std::string& block, bool end = false) {
  return frame(1, end ? kEndHeaders | kEndStream : kEndHeaders, 1, block);
}
Bytes content(std::string_view bytes, bool end = false) { return frame(0, end ? kEndStream : 0, 1, bytes); }
std::string ok_headers() { return literal(":status", "200") + literal("content-type", "application/grpc"); }
Bytes ok_trailers() { return head(literal("grpc-status", "0"), true); }
std::string wire(std::string_view content) { return string_of(message(content)); }

// The unharmed answer, so that the others fail for their own reason.
TEST(RpcBadServer, GoodAnswerByHand) {
  auto reply = reply_to(concat({head(ok_headers()), content(wire("abc")), ok_trailers()}));
  EXPECT_EQ(reply.status, Status());
  EXPECT_EQ(text_of(reply.message), "abc");
  reply = reply_to(concat({head(literal(":status", "100")), head(literal(":status", "103") + literal("link", "x")),
                           head(ok_headers()), content(wire("abc")), ok_trailers()}));
  EXPECT_EQ(reply.status, Status()) << "interim responses";
}

TEST(RpcBadServer, HttpStatusIsMapped) {
  // doc/http-grpc-status-mapping.md, the whole table, and one of "all other codes".
  const std::vector<std::pair<std::string, Code>> table{
      {"400", Code::internal},      {"401", Code::unauthenticated}, {"403", Code::permission_denied},
      {"404", Code::unimplemented}, {"429", Code::unavailable},     {"502", Code::unavailable},
      {"503", Code::unavailable},   {"504", Code::unavailable},     {"418", Code::unknown}};
  for (const auto& [http, code] : table) {
    EXPECT_EQ(code_for(head(literal(":status", http), true)), code) << http;
    EXPECT_EQ(code_for(concat({head(literal(":status", http)), content("<html>", true)})), code) << http;
  }
  EXPECT_EQ(code_for(head(literal(":status", "200") + literal("content-type", "text/html"))), Code::unknown);
  auto both =
      literal(":status", "503") + literal("content-type", "application/grpc+proto") + literal("grpc-status", "5");
  EXPECT_EQ(code_for(head(both, true)), Code::not_found) << "grpc-status counts where there is one";
}

TEST(RpcBadServer, ResetIsMapped) {
  const std::vector<std::pair<char, Code>> table{{0x0, Code::internal},           {0x1, Code::internal},
                                                 {0x2, Code::internal},           {0x3, Code::internal},
                                                 {0x7, Code::unavailable},        {0x8, Code::cancelled},
                                                 {0xb, Code::resource_exhausted}, {0xc, Code::permission_denied}};
  for (const auto& [error, code] : table) {
    auto reset = frame(3, 0, 1, std::string(3, '\0') + error);
    EXPECT_EQ(code_for(reset), code) << int{error};
    EXPECT_EQ(code_for(concat({head(ok_headers()), content(wire("abc")), reset})), code) << int{error};
  }
}

TEST(RpcBadServer, AnswersWithoutAWholeStatus) {
  EXPECT_EQ(code_for(concat({head(ok_headers()), content(wire("abc"), true)})), Code::internal) << "no trailers";
  EXPECT_EQ(code_for(concat({head(ok_headers()), content(wire("abc")), head(literal("x-a", "b"), true)})),
            Code::unknown)
      << "trailers without grpc-status";
  for (auto bad : {"", "99", "-1", "zero", "00000000000"})
    EXPECT_EQ(code_for(head(ok_headers() + literal("grpc-status", bad), true)), Code::unknown) << bad;
  auto details = literal("grpc-status", "9") + literal("grpc-message", "%F") + literal("grpc-status-details-bin", "!");
  auto reply = reply_to(concat({head(ok_headers()), head(details, true)}));
  EXPECT_EQ(reply.status.code, Code::failed_precondition);
  EXPECT_EQ(reply.status.message, "%F");
  EXPECT_FALSE(reply.status.info);
  EXPECT_EQ(code_for(concat({head(ok_headers()), ok_trailers()})), Code::internal) << "no message";
  EXPECT_EQ(code_for(concat({head(ok_headers()), content(wire("a") + wire("b")), ok_trailers()})), Code::internal);
  EXPECT_EQ(code_for(head(ok_headers() + literal("x-a-bin", "!"))), Code::internal);
}

TEST(RpcBadServer, BadMessagesEndTheCall) {
  auto after_headers = [](std::string_view body) { return concat({head(ok_headers()), content(body), ok_trailers()}); };
  EXPECT_EQ(code_for(after_headers(std::string_view("\0\xff\xff\xff\xff", 5))), Code::resource_exhausted);
  EXPECT_EQ(code_for(after_headers(std::string_view("\x02\0\0\0\0", 5))), Code::internal);
  EXPECT_EQ(code_for(after_headers(std::string_view("\x01\0\0\0\1a", 6))), Code::internal);
  EXPECT_EQ(code_for(after_headers(std::string_view("\0\0\0\0\5ab", 7))), Code::internal) << "cut";
  EXPECT_EQ(code_for(head(ok_headers() + literal("grpc-encoding", "br"))), Code::internal);
  EXPECT_EQ(reply_to(after_headers(wire("abc")), false, 2).status.code, Code::resource_exhausted);
  EXPECT_EQ(reply_to(after_headers(wire("abc")), false, 3).status.code, Code::ok);
  auto bomb = h2::gzip(Bytes(10UZ << 20));
  auto squeezed = concat({h2::message_header(true, bomb.size()), bomb});
  auto inflating =
      concat({head(ok_headers() + literal("grpc-encoding", "gzip")), content(text_of(squeezed)), ok_trailers()});
  EXPECT_EQ(reply_to(inflating, false, 1UZ << 20).status.code, Code::resource_exhausted) << "inflated";
}

TEST(RpcBadServer, EndsOfTheConnection) {
  std::string nothing_taken(8, '\0');
  EXPECT_EQ(code_for(frame(7, 0, 0, nothing_taken)), Code::unavailable) << "GOAWAY";
  EXPECT_EQ(code_for({}, /*then_close=*/true), Code::unavailable);
  EXPECT_EQ(code_for(head(ok_headers()), /*then_close=*/true), Code::unavailable);
  EXPECT_EQ(code_for(text("HTTP/1.1 400 Bad Request\r\n\r\n")), Code::unavailable);
  EXPECT_EQ(code_for(frame(5, 4, 1, std::string("\0\0\0\2", 4) + ok_headers())), Code::unavailable) << "PUSH_PROMISE";
  std::string long_headers = ok_headers();
  for (int i = 0; i < 160; ++i) long_headers += literal("x-a", std::string(100, 'a'));
  EXPECT_EQ(code_for(concat({head(long_headers.substr(0, 16'000)), {}})), Code::unavailable) << "cut HPACK";
  long_headers.resize(ok_headers().size());
  for (int i = 0; i < 130; ++i) long_headers += literal("x-a", "b");
  EXPECT_EQ(code_for(head(long_headers)), Code::resource_exhausted) << "too many fields";
  Bytes pings;
  for (int i = 0; i < 3000; ++i) append(pings, frame(6, 0, 0, "12345678"));
  EXPECT_EQ(code_for(pings), Code::unavailable) << "PING flood";
}

TEST(RpcBadServer, SilenceEndsTheConnection) {
  with_rig([](Rig& rig) -> Awaitable<void> {
    rig.tasks.spawn(answer_with(std::move(rig.far), head(ok_headers()), false));
    rig.channel_options.keepalive_interval = 20ms;
    rig.channel_options.keepalive_timeout = 20ms;
    rig.start_channel();
    auto call = rig.channel->call("/t.T/Any", CallOptions());
    auto message = co_await call->read();
    EXPECT_TRUE(message && !*message);
    auto status = co_await call->finish();
    EXPECT_EQ(status.code, Code::unavailable);
    EXPECT_FALSE(rig.channel->alive());
  });
}

Awaitable<Status> pour(ServerCall& call) {
  for (;;) {
    auto written = co_await call.write(Bytes(64 * 1024));
    if (!written) co_return to_status(written.error());
  }
}

TEST(RpcHostile, ReaderThatStallsMeetsItsDeadline) {
  with_rig([](Rig& rig) -> Awaitable<void> {
    rig.server.handle("/t.T/Pour", pour);
    rig.start_server();
    auto stream = std::move(rig.near);
    auto input = concat({preface(), frame(1, 5, 1, request("/t.T/Pour") + literal("grpc-timeout", "50m"))});
    (void)co_await stream->write(input);
    std::string got;
    Bytes buffer(65536);
    std::optional<std::uint32_t> reset;
    while (!reset) {
      auto size = co_await stream->read_some(buffer);
      EXPECT_TRUE(size && *size > 0);
      if (!size || *size == 0) break;
      got += text_of(ByteView(buffer).first(*size));
      for (const auto& one : frames_of(got))
        if (one.type == 3) reset = one.word(0);
    }
    EXPECT_EQ(reset.value_or(99), h2::kCancel);
    // No more than the default window was ever sent.
    EXPECT_LT(got.size(), 70'000U);
    stream->reset(0);
  });
}

TEST(RpcHostile, SilenceEndsTheConnection) {
  ServerLimits limits;
  limits.keepalive_interval = 20ms;
  limits.keepalive_timeout = 20ms;
  with_rig(
      [](Rig& rig) -> Awaitable<void> {
        rig.start_server();
        auto stream = std::move(rig.near);
        auto input = concat({preface(), frame(1, 4, 1, request("/t.T/EchoEach"))});
        (void)co_await stream->write(input);
        std::string got;
        Bytes buffer(65536);
        for (;;) {
          auto size = co_await stream->read_some(buffer);
          if (!size || *size == 0) break;
          got += text_of(ByteView(buffer).first(*size));
        }
        // It asked before it left.
        EXPECT_TRUE(std::ranges::any_of(frames_of(got), [](const Frame& one) { return one.type == 6; }));
      },
      limits);
}

}  // namespace
}  // namespace nmp::rpc
