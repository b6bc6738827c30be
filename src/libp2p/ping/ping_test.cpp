#include "libp2p/ping/ping.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nmp::libp2p::ping {
namespace {

using namespace std::chrono_literals;

TEST(Ping, EchoArrivesInPiecesAndIsTimed) {
  SeededRandom random(7);
  Initiator initiator;
  Responder responder;
  Instant now{};
  for (std::size_t piece = 1; piece <= kPayloadBytes; ++piece) {
    auto payload = initiator.start(random, now);
    std::optional<Payload> echo;
    for (std::size_t at = 0; at < kPayloadBytes; at += piece) {
      EXPECT_FALSE(echo);
      auto input = ByteView(payload).subspan(at, std::min(piece, kPayloadBytes - at));
      echo = responder.feed(input);
      EXPECT_TRUE(input.empty());
    }
    ASSERT_TRUE(echo);
    EXPECT_TRUE(responder.idle());
    EXPECT_EQ(initiator.feed(ByteView(*echo).first(31), now + 5ms).value(), std::nullopt);
    EXPECT_TRUE(initiator.waiting());
    EXPECT_EQ(initiator.feed(ByteView(*echo).last(1), now + 9ms).value(), 9ms);
    EXPECT_FALSE(initiator.waiting());
    now += 1s;
  }
}

TEST(Ping, ResponderTakesManyPayloadsInOneRead) {
  SeededRandom random(1);
  auto input = to_bytes(random.bytes<32 * 3 + 5>());
  Responder responder;
  Bytes echoed;
  ByteView rest = input;
  while (auto payload = responder.feed(rest)) append(echoed, *payload);
  EXPECT_EQ(echoed, Bytes(input.begin(), input.begin() + 96));
  EXPECT_FALSE(responder.idle());
}

TEST(Ping, EveryWrongEchoIsRefused) {
  SeededRandom random(2);
  for (std::size_t bit = 0; bit < kPayloadBytes * 8; ++bit) {
    Initiator initiator;
    auto payload = initiator.start(random, {});
    payload[bit / 8] ^= std::byte(1 << (bit % 8));
    auto answer = initiator.feed(payload, {});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::malformed);
  }
}

TEST(Ping, UnaskedAndOverlongEchoesAreRefused) {
  SeededRandom random(3);
  Initiator initiator;
  EXPECT_FALSE(initiator.feed(random.bytes<1>(), {}));
  auto payload = to_bytes(initiator.start(random, {}));
  payload.push_back(std::byte{0});
  EXPECT_FALSE(initiator.feed(payload, {}));
}

}  // namespace
}  // namespace nmp::libp2p::ping
