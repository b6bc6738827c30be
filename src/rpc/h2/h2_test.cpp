#include <gtest/gtest.h>

#include "rpc/h2/grpc_codec.hpp"
#include "rpc/h2/message_reader.hpp"

namespace nmp::h2 {
namespace {

using namespace std::chrono_literals;

TEST(GrpcCodec, Timeouts) {
  EXPECT_EQ(*parse_timeout("1S"), Duration(1s));
  EXPECT_EQ(*parse_timeout("100m"), Duration(100ms));
  EXPECT_EQ(*parse_timeout("99999999H"), Duration(876'000h));
  for (auto bad : {"", "S", "1", "1x", "-1S", "123456789S", "1 S"}) EXPECT_FALSE(parse_timeout(bad)) << bad;
  EXPECT_EQ(format_timeout(0s), "0n");
  EXPECT_EQ(format_timeout(-1s), "0n");
  EXPECT_EQ(format_timeout(1s), "1000000u");
  EXPECT_EQ(format_timeout(100'000s + 1ns), "100001S");
  for (auto d : {Duration(5ns), Duration(3s), Duration(100h)}) EXPECT_GE(*parse_timeout(format_timeout(d)), d);
}

TEST(GrpcCodec, PercentEncoding) {
  // From grpc's interop case special_status_message.
  std::string special = "\t\ntest with whitespace\r\nand Unicode BMP \xe2\x98\xba and non-BMP \xf0\x9f\x98\x88\t\n";
  EXPECT_EQ(percent_decode(percent_encode(special)), special);
  EXPECT_EQ(percent_encode("100%"), "100%25");
  EXPECT_EQ(percent_decode("%zz%4%"), "%zz%4%");
}

TEST(GrpcCodec, BinaryMetadata) {
  EXPECT_EQ(encode_binary("\xab\xab\xab\xab"), "q6urqw");
  EXPECT_EQ(*decode_binary("q6urqw,q6urqw=="), (std::vector<std::string>{"\xab\xab\xab\xab", "\xab\xab\xab\xab"}));
  EXPECT_FALSE(decode_binary("!"));
  EXPECT_TRUE(accepts_gzip("identity, gzip"));
  EXPECT_FALSE(accepts_gzip("identity,gzipped"));
}

TEST(MessageReader, SplitAtEveryByte) {
  for (bool compressed : {false, true}) {
    auto body = to_bytes("a message with words and words and words");
    auto wire_body = compressed ? gzip(body) : body;
    auto wire = concat({message_header(compressed, wire_body.size()), wire_body});
    append(wire, concat({message_header(compressed, wire_body.size()), wire_body}));
    for (std::size_t step = 1; step < wire.size(); ++step) {
      MessageReader reader(Encoding::gzip, 100);
      int messages = 0;
      for (std::size_t at = 0; at < wire.size();) {
        auto fed = reader.feed(ByteView(wire).subspan(at).first(std::min(step, wire.size() - at)));
        ASSERT_TRUE(fed);
        at += *fed;
        if (!reader.whole()) continue;
        EXPECT_EQ(reader.take(), body);
        ++messages;
      }
      EXPECT_EQ(messages, 2);
      EXPECT_TRUE(reader.at_boundary());
    }
  }
}

std::error_code fed(Bytes wire, Encoding encoding = Encoding::gzip) {
  MessageReader reader(encoding, 1000);
  auto result = reader.feed(wire);
  return result ? std::error_code() : result.error().code;
}

TEST(MessageReader, RefusesHostileFrames) {
  EXPECT_EQ(fed(message_header(false, 1001)), Errc::message_too_large);
  EXPECT_EQ(fed(to_bytes(std::string_view("\2\0\0\0\0", 5))), Errc::bad_frame);
  EXPECT_EQ(fed(message_header(true, 3), Encoding::identity), Errc::unexpected_compression);
  EXPECT_EQ(fed(concat({message_header(true, 3), bytes_of("abc")})), Errc::bad_compression);
  auto bomb = gzip(Bytes(900'000));
  EXPECT_LT(bomb.size(), 1000U);
  EXPECT_EQ(fed(concat({message_header(true, bomb.size()), bomb})), Errc::message_too_large);
  auto cut = gzip(Bytes(10));
  cut.resize(cut.size() - 4);
  EXPECT_EQ(fed(concat({message_header(true, cut.size()), cut})), Errc::bad_compression);
  auto trailing = gzip(Bytes(10));
  trailing.push_back(std::byte{0});
  EXPECT_EQ(fed(concat({message_header(true, trailing.size()), trailing})), Errc::bad_compression);
}

TEST(MessageReader, StopsInflatingWhereAsked) {
  MessageReader reader(Encoding::gzip, 64UZ << 20);
  auto bomb = gzip(Bytes(30UZ << 20));
  auto wire = concat({message_header(true, bomb.size()), bomb});
  auto taken = reader.feed(wire, 4096);
  ASSERT_TRUE(taken);
  EXPECT_LE(reader.partial().size(), 64UZ << 10);
  EXPECT_FALSE(reader.whole());
}

}  // namespace
}  // namespace nmp::h2
