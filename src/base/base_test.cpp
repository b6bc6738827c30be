#include <gtest/gtest.h>

#include "base/codec.hpp"
#include "base/encoding.hpp"
#include "base/random.hpp"
#include "base/secret.hpp"

namespace nmp {
namespace {

Bytes hex(std::string_view text) { return hex_decode(text).value(); }

TEST(Uvarint, MatchesTheSpecificationAndRefusesLongForms) {
  // multiformats/unsigned-varint, README, examples.
  const std::pair<std::uint64_t, std::string_view> examples[] = {{1, "01"},     {127, "7f"},   {128, "8001"},
                                                                 {255, "ff01"}, {300, "ac02"}, {16384, "808001"}};
  for (auto [value, text] : examples) {
    EXPECT_EQ(hex_encode(Writer().uvarint(value).view()), text);
    auto bytes = hex(text);
    EXPECT_EQ(Reader(bytes).uvarint().value(), value);
  }
  for (auto text : {"", "80", "8000", "8100", "ffffffffffffffffff01", "80808080808080808000"}) {
    auto bytes = hex(text);
    EXPECT_FALSE(Reader(bytes).uvarint()) << text;
  }
}

TEST(Reader, ChecksEveryBound) {
  auto bytes = hex("0102030405");
  Reader reader(bytes);
  EXPECT_EQ(reader.u16be().value(), 0x0102);
  EXPECT_EQ(reader.u32be().error().code, Errc::truncated);
  EXPECT_EQ(reader.size(), 3U);
  EXPECT_EQ(reader.take(4).error().code, Errc::truncated);
  EXPECT_EQ(reader.length_prefixed(2).error().code, Errc::too_large);
}

TEST(Protobuf, SkipsNothingAndRefusesGroups) {
  auto message = ProtobufWriter().varint(1, 300).text(2, "abc").fixed64(3, 5).take();
  ProtobufReader reader(message);
  auto a = reader.next().value();
  EXPECT_EQ(a->value, 300U);
  auto b = reader.next().value();
  EXPECT_EQ(text_of(b->bytes), "abc");
  auto c = reader.next().value();
  EXPECT_EQ(c->value, 5U);
  EXPECT_FALSE(reader.next().value());
  for (auto text : {"0b", "00", "0a05", "0aff", "08ffffffffffffffffff02"}) {
    auto bytes = hex(text);
    EXPECT_FALSE(ProtobufReader(bytes).next()) << text;
  }
}

TEST(Encoding, Rfc4648VectorsBothWays) {
  // RFC 4648, section 10.
  EXPECT_EQ(base64_encode(bytes_of("foob")), "Zm9vYg==");
  EXPECT_EQ(base32_encode(bytes_of("foobar")), "mzxw6ytboi");
  EXPECT_EQ(string_of(base64_decode("Zm9vYg==").value()), "foob");
  EXPECT_FALSE(base64_decode("Zm9vYh=="));  // spare bits
  EXPECT_FALSE(base64_decode("Zm9vYg"));
  EXPECT_FALSE(base64url_decode("Zh"));
  EXPECT_EQ(string_of(base64url_decode("Zg").value()), "f");
}

TEST(Encoding, BaseNKeepsLeadingZeros) {
  // Bitcoin's base58 test set.
  EXPECT_EQ(base58_encode(hex("00000000000000000000")), "1111111111");
  EXPECT_EQ(base58_encode(hex("516b6fcd0f")), "ABnLTmg");
  EXPECT_EQ(hex_encode(base58_decode("ABnLTmg").value()), "516b6fcd0f");
  EXPECT_FALSE(base58_decode("0"));
  EXPECT_EQ(hex_encode(base36_decode(base36_encode(hex("0001ff"))).value()), "0001ff");
}

TEST(EscapeText, NeverLetsATerminalSequenceThrough) {
  EXPECT_EQ(escape_text("a\x1b[31mb\xc2\x9b"), "a\\x1b[31mb\\xc2\\x9b");
  EXPECT_EQ(escape_text("h\xc3\xa9"), "h\xc3\xa9");
  EXPECT_EQ(escape_text("\xff"), "\\xff");
  EXPECT_EQ(escape_text("abcdef", 3), "abc...");
  EXPECT_FALSE(is_utf8("\xed\xa0\x80"));
  EXPECT_FALSE(is_utf8("\xc0\xaf"));
}

TEST(SeededRandom, ReplaysAndStaysInRange) {
  SeededRandom a(1);
  SeededRandom b(1);
  EXPECT_EQ(a.u64(), b.u64());
  for (int i = 0; i < 1000; ++i) EXPECT_LT(a.below(7), 7U);
}

TEST(Erase, TakesAlsoWhatIsEmpty) {
  Bytes empty;
  erase(empty);
  Bytes some(3, std::byte{1});
  erase(some);
  EXPECT_EQ(some, Bytes(3));
}

TEST(SecretBytes, IsErasedWhenMovedFrom) {
  SecretBytes<4> secret(
      std::span<const std::byte, 4>(ByteArray<4>{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}}));
  auto moved = std::move(secret);
  EXPECT_EQ(secret, SecretBytes<4>());  // NOLINT(bugprone-use-after-move)
  EXPECT_FALSE(moved == secret);
}

}  // namespace
}  // namespace nmp
