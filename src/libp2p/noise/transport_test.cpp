#include "libp2p/noise/transport.hpp"

#include <limits>

#include <gtest/gtest.h>

#include "base/codec.hpp"
#include "base/random.hpp"
#include "libp2p/noise/limits.hpp"

namespace nmp::libp2p::noise {
namespace {

SecretBytes<32> key(int byte) {
  SecretBytes<32> out;
  std::ranges::fill(out.mutable_view(), static_cast<std::byte>(byte));
  return out;
}

struct Ends {
  explicit Ends(std::uint64_t nonce = 0)
      : left(CipherState(key(1), nonce), CipherState(key(2), nonce)),
        right(CipherState(key(2), nonce), CipherState(key(1), nonce)) {}
  Transport left;
  Transport right;
};

Bytes read_all(Transport& transport) {
  auto out = to_bytes(transport.unread());
  transport.consume(out.size());
  return out;
}

/// The next frame that `from` makes of `text`.
Bytes frame(Transport& from, std::string_view text) {
  EXPECT_EQ(from.write(bytes_of(text)).value(), text.size());
  return from.take_output();
}

std::error_code refusal(Transport& to, ByteView bytes) {
  auto fed = to.on_bytes(bytes);
  return fed ? std::error_code() : fed.error().code;
}

TEST(NoiseTransport, FramesGoBothWays) {
  Ends ends;
  auto there = frame(ends.left, "there");
  EXPECT_EQ(there.size(), 2 + 5 + kTagSize);
  EXPECT_EQ(ends.right.on_bytes(there).value(), there.size());
  ByteArray<3> piece{};
  EXPECT_EQ(ends.right.read(piece), 3U);
  EXPECT_EQ(text_of(piece), "the");
  EXPECT_EQ(ends.right.read(piece), 2U);
  EXPECT_EQ(ends.right.read(piece), 0U);
  auto back = frame(ends.right, "back");
  EXPECT_EQ(ends.left.on_bytes(back).value(), back.size());
  EXPECT_EQ(text_of(read_all(ends.left)), "back");
}

TEST(NoiseTransport, LargestFrame) {
  Ends ends;
  Bytes plaintext(kPlaintextBytesMax + 1, std::byte{7});
  EXPECT_EQ(ends.left.write(plaintext).value(), plaintext.size());
  auto frames = ends.left.take_output();
  EXPECT_EQ(frames.size(), 2 + kFrameBytesMax + 2 + kTagSize + 1);
  EXPECT_EQ(frames[0], std::byte{0xff});
  EXPECT_EQ(frames[1], std::byte{0xff});
  ByteView rest(frames);
  Bytes got;
  while (!rest.empty()) {
    rest = rest.subspan(ends.right.on_bytes(rest).value());
    append(got, read_all(ends.right));
  }
  EXPECT_EQ(got, plaintext);
}

TEST(NoiseTransport, FramesWithoutPlaintextAreIgnored) {
  Ends ends;
  EXPECT_EQ(ends.left.write({}).value(), 0U);
  EXPECT_TRUE(ends.left.take_output().empty());
  CipherState sender(key(1));
  Bytes empty(kTagSize);
  ASSERT_TRUE(sender.seal({}, {}, empty));
  auto bytes = Writer().u16be(kTagSize).bytes(empty).take();
  EXPECT_EQ(ends.right.on_bytes(bytes).value(), bytes.size());
  EXPECT_TRUE(ends.right.unread().empty());
  // It has used up a number.
  Bytes sealed(kTagSize + 1);
  ASSERT_TRUE(sender.seal({}, bytes_of("x"), sealed));
  ASSERT_TRUE(ends.right.on_bytes(Writer().u16be(kTagSize + 1).bytes(sealed).take()));
  EXPECT_EQ(text_of(read_all(ends.right)), "x");
}

TEST(NoiseTransport, FramesShorterThanATagAreRefusedAtTheirLength) {
  for (std::uint16_t size = 0; size < kTagSize; ++size) {
    Ends ends;
    auto bytes = Writer().u16be(size).take();
    EXPECT_EQ(refusal(ends.right, ByteView(bytes).first(1)), std::error_code());
    EXPECT_EQ(refusal(ends.right, ByteView(bytes).subspan(1)), Errc::forged);
  }
}

TEST(NoiseTransport, EveryChangedByteIsRefused) {
  for (std::size_t at = 0; at < 2 + 5 + kTagSize; ++at) {
    for (unsigned bits : {0x01U, 0x80U, 0xffU}) {
      Ends ends;
      auto first = frame(ends.left, "first");
      auto second = frame(ends.left, "other");
      first[at] ^= static_cast<std::byte>(bits);
      auto code = refusal(ends.right, concat({first, second}));
      EXPECT_TRUE(ends.right.unread().empty());
      if (!code) {
        // The length grew: what is there is not yet a frame.
        EXPECT_LT(at, 2U);
        EXPECT_EQ(ends.right.on_end().error().code, Errc::truncated);
        code = refusal(ends.right, Bytes(kFrameBytesMax));
      }
      EXPECT_EQ(code, Errc::forged) << at;
      EXPECT_EQ(ends.right.on_end().error().code, Errc::forged);
    }
  }
}

TEST(NoiseTransport, ReplayLossAndReorderAreRefused) {
  Ends ends;
  auto first = frame(ends.left, "first");
  auto second = frame(ends.left, "second");
  auto third = frame(ends.left, "third");
  struct Case {
    const char* name;
    Bytes bytes;
    std::string_view kept;
  };
  for (const auto& one : {
           Case{"replay", concat({first, first}), "first"},
           Case{"replay later", concat({first, second, first}), "firstsecond"},
           Case{"loss of the first", second, ""},
           Case{"loss", concat({first, third}), "first"},
           Case{"reorder", concat({second, first}), ""},
       }) {
    SCOPED_TRACE(one.name);
    Ends fresh;
    EXPECT_EQ(refusal(fresh.right, one.bytes), Errc::forged);
    // For good; but what was true stays so.
    EXPECT_EQ(refusal(fresh.right, first), Errc::forged);
    EXPECT_EQ(fresh.right.write(bytes_of("x")).error().code, Errc::forged);
    EXPECT_TRUE(fresh.right.take_output().empty());
    EXPECT_EQ(text_of(read_all(fresh.right)), one.kept);
  }
  // Not even to the one who wrote it.
  EXPECT_EQ(refusal(ends.left, first), Errc::forged);
}

TEST(NoiseTransport, TheEndIsGoodBetweenFramesOnly) {
  Ends ends;
  auto bytes = frame(ends.left, "one");
  append(bytes, frame(ends.left, "two"));
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    Ends fresh;
    EXPECT_EQ(fresh.right.on_bytes(ByteView(bytes).first(size)).value(), size);
    EXPECT_EQ(fresh.right.on_end().has_value(), size % (bytes.size() / 2) == 0) << size;
  }
}

TEST(NoiseTransport, NoncesDoNotWrap) {
  Ends ends(std::numeric_limits<std::uint64_t>::max() - 1);
  auto last = frame(ends.left, "last");
  EXPECT_EQ(ends.left.write(bytes_of("one more")).error().code, Errc::nonces_spent);
  EXPECT_TRUE(ends.left.take_output().empty());
  ASSERT_TRUE(ends.right.on_bytes(last));
  EXPECT_EQ(text_of(read_all(ends.right)), "last");
  EXPECT_EQ(refusal(ends.right, last), Errc::nonces_spent);
}

TEST(NoiseTransport, BuffersHaveCeilings) {
  Ends ends;
  const Bytes plaintext(1U << 20, std::byte{7});
  auto written = ends.left.write(plaintext).value();
  EXPECT_GE(written, kUnsentBytesMax - 5 * (2 + kTagSize));
  EXPECT_LT(written, kUnsentBytesMax + kPlaintextBytesMax);
  EXPECT_EQ(ends.left.write(plaintext).value(), 0U);
  auto frames = ends.left.take_output();
  EXPECT_GT(ends.left.write(plaintext).value(), 0U);

  auto taken = ends.right.on_bytes(frames).value();
  EXPECT_LT(taken, frames.size());
  EXPECT_GE(ends.right.unread().size(), kUnreadBytesMax);
  EXPECT_LE(ends.right.unread().size(), kUnreadBytesMax + kPlaintextBytesMax);
  EXPECT_EQ(ends.right.on_bytes(ByteView(frames).subspan(taken)).value(), 0U);
  (void)read_all(ends.right);
  EXPECT_GT(ends.right.on_bytes(ByteView(frames).subspan(taken)).value(), 0U);
}

TEST(NoiseTransport, AMegabyteInRandomFragments) {
  Ends ends;
  SeededRandom random(20);
  Bytes plaintext(1U << 20);
  random.fill(plaintext);
  ByteView unwritten(plaintext);
  Bytes wire;
  std::size_t wire_at = 0;
  Bytes got;
  while (got.size() < plaintext.size()) {
    auto piece = unwritten.first(std::min<std::size_t>(unwritten.size(), random.below(100'000)));
    unwritten = unwritten.subspan(ends.left.write(piece).value());
    append(wire, ends.left.take_output());
    auto cut = ByteView(wire).subspan(wire_at);
    cut = cut.first(std::min<std::size_t>(cut.size(), random.below(random.below(2) == 0 ? 50 : 100'000)));
    wire_at += ends.right.on_bytes(cut).value();
    Bytes out(random.below(80'000));
    out.resize(ends.right.read(out));
    append(got, out);
  }
  EXPECT_EQ(got, plaintext);
  EXPECT_EQ(wire_at, wire.size());
  EXPECT_TRUE(ends.right.on_end());
}

}  // namespace
}  // namespace nmp::libp2p::noise
