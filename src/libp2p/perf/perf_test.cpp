#include "libp2p/perf/perf.hpp"

#include <gtest/gtest.h>

#include "base/encoding.hpp"

namespace nmp::libp2p::perf {
namespace {

TEST(Perf, TheRequestIsBigEndian) {
  // The fact sheet's vectors: libp2p.md, B.8.
  EXPECT_EQ(hex_encode(encode_request(1ULL << 30)), "0000000040000000");
  EXPECT_EQ(hex_encode(encode_request(0)), "0000000000000000");
  EXPECT_EQ(hex_encode(encode_request(0x0102030405060708)), "0102030405060708");
}

TEST(Perf, CountsWhatComesInPiecesOfAnySize) {
  auto sent = to_bytes(encode_request(70'000));
  sent.resize(sent.size() + 1000, std::byte{7});
  for (std::size_t piece = 1; piece <= 20; ++piece) {
    Responder responder;
    for (std::size_t at = 0; at < sent.size(); at += piece)
      ASSERT_TRUE(responder.feed(ByteView(sent).subspan(at, std::min(piece, sent.size() - at))));
    EXPECT_EQ(responder.uploaded(), 1000U);
    EXPECT_EQ(responder.end().value(), 70'000U);
  }
}

TEST(Perf, AnEndWithinTheRequestIsNoRequest) {
  const auto request = encode_request(5);
  for (std::size_t size = 0; size < kRequestBytes; ++size) {
    Responder responder;
    ASSERT_TRUE(responder.feed(ByteView(request).first(size)));
    const auto wanted = responder.end();
    ASSERT_FALSE(wanted);
    EXPECT_EQ(wanted.error().code, Errc::truncated);
  }
}

TEST(Perf, TheLimitsAreExact) {
  const Limits limits{.upload_bytes_max = 10, .download_bytes_max = 20};
  const Bytes ten(10);
  Responder fits(limits);
  EXPECT_TRUE(fits.feed(encode_request(20)));
  EXPECT_TRUE(fits.feed(ten));
  EXPECT_TRUE(fits.feed({}));
  EXPECT_EQ(fits.feed(ByteView(ten).first(1)).error().code, Errc::too_large);

  Responder wants_too_much(limits);
  EXPECT_EQ(wants_too_much.feed(encode_request(21)).error().code, Errc::too_large);
  Responder wants_everything(Limits{});
  EXPECT_EQ(wants_everything.feed(encode_request(~0ULL)).error().code, Errc::too_large);
}

TEST(Perf, TheDownloadIsAsLongAsItWasAskedFor) {
  Download download(10);
  EXPECT_TRUE(download.feed(4));
  EXPECT_EQ(download.end().error().code, Errc::truncated);
  EXPECT_EQ(download.feed(7).error().code, Errc::malformed);
  EXPECT_TRUE(download.feed(6));
  EXPECT_TRUE(download.end());
  EXPECT_EQ(download.feed(1).error().code, Errc::malformed);
}

}  // namespace
}  // namespace nmp::libp2p::perf
