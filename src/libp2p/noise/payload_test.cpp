#include "libp2p/noise/payload.hpp"

#include <gtest/gtest.h>

#include "base/codec.hpp"
#include "base/encoding.hpp"
#include "libp2p/noise/limits.hpp"

namespace nmp::libp2p::noise {
namespace {

using Muxers = std::vector<std::string>;

Bytes hex(std::string_view text) { return hex_decode(text).value(); }

HandshakePayload small() {
  return {.identity_key = to_bytes("key"), .identity_sig = to_bytes("sig"), .stream_muxers = {"/a", "/b"}};
}

TEST(NoisePayload, ReadsWhatItWrites) {
  EXPECT_EQ(hex_encode(small().encode()),
            "0a036b65791203736967"
            "2208"
            "12022f61"
            "12022f62");
  EXPECT_EQ(HandshakePayload::decode(small().encode()).value(), small());
  auto without = small();
  without.stream_muxers.clear();
  EXPECT_EQ(hex_encode(without.encode()), "0a036b65791203736967");
  EXPECT_EQ(HandshakePayload::decode(without.encode()).value(), without);
}

TEST(NoisePayload, WhatIsNotOursIsSkipped) {
  auto bytes = ProtobufWriter()
                   .bytes(3, bytes_of("early data of old"))
                   .varint(9, 7)
                   .fixed64(10, 7)
                   .bytes(1, bytes_of("not the last"))
                   .bytes(4, ProtobufWriter().bytes(1, Bytes(34)).text(2, "/a").varint(7, 1).view())
                   .bytes(2, bytes_of("sig"))
                   .bytes(1, bytes_of("key"))
                   .bytes(4, ProtobufWriter().text(2, "/b").view())
                   .varint(3, 1)
                   .take();
  EXPECT_EQ(HandshakePayload::decode(bytes).value(), small());
}

TEST(NoisePayload, GarbageIsRefused) {
  Muxers many(kMuxersMax, "/a");
  auto full = small();
  full.stream_muxers = many;
  EXPECT_TRUE(HandshakePayload::decode(full.encode()));
  full.stream_muxers.emplace_back("/a");
  auto large = small();
  large.identity_sig.resize(kHandshakeMessageBytesMax);
  const Bytes cases[] = {
      {},
      hex("0a036b6579"),            // no signature
      hex("1203736967"),            // no key
      hex("0a001203736967"),        // an empty one
      hex("0a036b657912"),          // cut
      hex("0a036b65791204736967"),  // cut
      hex("0a036b65791203736967"
          "2001"),  // extensions as a number
      hex("0a036b65791203736967"
          "22021001"),  // a muxer as a number
      hex("0a036b65791203736967"
          "220112"),  // cut in the extensions
      hex("0a036b65791203736967"
          "53"
          "54"),              // a group
      hex("08011203736967"),  // a number as the key
      full.encode(),
      large.encode(),
  };
  for (const auto& bytes : cases) {
    auto payload = HandshakePayload::decode(bytes);
    ASSERT_FALSE(payload) << hex_encode(ByteView(bytes).first(std::min<std::size_t>(bytes.size(), 64)));
    EXPECT_EQ(payload.error().code, Errc::bad_payload);
  }
}

TEST(NoisePayload, InitiatorsOrderDecidesOnTheMuxer) {
  EXPECT_EQ(choose_muxer({"/a", "/b", "/c"}, {"/c", "/b"}).value(), "/b");
  EXPECT_EQ(choose_muxer({"/c", "/b"}, {"/a", "/b", "/c"}).value(), "/c");
  EXPECT_EQ(choose_muxer({}, {"/a"}).value(), std::nullopt);
  EXPECT_EQ(choose_muxer({"/a"}, {}).value(), std::nullopt);
  EXPECT_EQ(choose_muxer({}, {}).value(), std::nullopt);
  EXPECT_EQ(choose_muxer({"/a"}, {"/b"}).error().code, Errc::no_common_muxer);
}

}  // namespace
}  // namespace nmp::libp2p::noise
