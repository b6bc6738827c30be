#include "crypto/cbor.hpp"

#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "crypto/errors.hpp"
#include "crypto/limits.hpp"

namespace nmp::cbor {
namespace {

using crypto::Errc;

Bytes hex(std::string_view text) { return hex_decode(text).value(); }

TEST(Cbor, Rfc8949AppendixA) {
  Array twenty_five;
  for (int i = 1; i <= 25; ++i) twenty_five.emplace_back(i);
  std::vector<std::pair<Value, std::string>> rows;
  auto row = [&](Value value, std::string text) { rows.emplace_back(std::move(value), std::move(text)); };
  row(0, "00");
  row(1, "01");
  row(10, "0a");
  row(23, "17");
  row(24, "1818");
  row(25, "1819");
  row(100, "1864");
  row(1000, "1903e8");
  row(1000000, "1a000f4240");
  row(1000000000000, "1b000000e8d4a51000");
  row(18446744073709551615U, "1bffffffffffffffff");
  row(Negative{18446744073709551615U}, "3bffffffffffffffff");
  row(-1, "20");
  row(-10, "29");
  row(-100, "3863");
  row(-1000, "3903e7");
  row(false, "f4");
  row(true, "f5");
  row(nullptr, "f6");
  row(Bytes{}, "40");
  row(hex("01020304"), "4401020304");
  row("", "60");
  row("a", "6161");
  row("IETF", "6449455446");
  row("\"\\", "62225c");
  row("\u00fc", "62c3bc");
  row("\u6c34", "63e6b0b4");
  row("\U00010151", "64f0908591");
  row(Array{}, "80");
  row(Array{1, 2, 3}, "83010203");
  row(Array{1, Value(Array{2, 3}), Value(Array{4, 5})}, "8301820203820405");
  row(twenty_five, "98190102030405060708090a0b0c0d0e0f101112131415161718181819");
  row(Map(), "a0");
  row(Map{{1, 2}, {3, 4}}, "a201020304");
  row(Map{{"a", 1}, {"b", Value(Array{2, 3})}}, "a26161016162820203");
  row(Array{"a", Value(Map{{"b", "c"}})}, "826161a161626163");
  row(Map{{"a", "A"}, {"b", "B"}, {"c", "C"}, {"d", "D"}, {"e", "E"}}, "a56161614161626142616361436164614461656145");
  for (const auto& [value, text] : rows) {
    EXPECT_EQ(hex_encode(encode(value)), text);
    auto decoded = decode(hex(text));
    ASSERT_TRUE(decoded) << text << " " << decoded.error().message();
    EXPECT_TRUE(*decoded == value) << text;
  }
}

TEST(Cbor, KeysAreSortedAsEncoded) {
  EXPECT_EQ(hex_encode(encode(Map{{"aa", 1}, {"b", 2}})),
            "a2616202"
            "62616101");
  EXPECT_EQ(hex_encode(encode(Map{{1000, 1}, {24, 2}, {3, 3}})),
            "a3"
            "0303"
            "181802"
            "1903e801");
}

TEST(Cbor, OtherFormsAreRefused) {
  auto code = [](std::string_view text) {
    auto decoded = decode(hex(text));
    return decoded ? std::error_code() : decoded.error().code;
  };
  // Longer forms than needed.
  for (auto text : {"1800", "1817", "190001", "1900ff", "1a0000ffff", "1b00000000ffffffff", "3800", "580100", "780161",
                    "980101", "b8010101"}) {
    EXPECT_EQ(code(text), Errc::not_canonical) << text;
  }
  // Keys out of order or repeated.
  for (auto text : {"a203040102", "a201020102", "a2616201616101", "a262616101616202"}) {
    EXPECT_EQ(code(text), Errc::not_canonical) << text;
  }
  // Mixed keys, other key types, floats, simple values, tags, indefinite lengths, bad UTF-8, truncation, trailing
  // bytes.
  for (auto text : {"a20101616101",
                    "a12001",
                    "a1f401",
                    "f90000",
                    "fa47c35000",
                    "fb3ff199999999999a",
                    "f7",
                    "f0",
                    "f818",
                    "c000",
                    "d81800",
                    "5f42010243030405ff",
                    "9fff",
                    "bfff",
                    "7f6161ff",
                    "ff",
                    "1c",
                    "61ff",
                    "62c328",
                    "",
                    "18",
                    "41",
                    "6261",
                    "810100",
                    "82",
                    "a1",
                    "a101",
                    "0000",
                    "5bffffffffffffffff00",
                    "9bffffffffffffffff00",
                    "bbffffffffffffffff00"}) {
    EXPECT_EQ(code(text), Errc::malformed) << text;
  }
  EXPECT_FALSE(code("8181818181818180"));  // 8 levels
  EXPECT_EQ(code("818181818181818180"), Errc::too_deep);
}

TEST(Cbor, ItemsAreCapped) {
  Array array(crypto::kCborItemsMax, Value(0));
  EXPECT_EQ(decode(encode(array)).error().code, Errc::too_large);
  array.pop_back();
  EXPECT_TRUE(decode(encode(array)));
}

TEST(Cbor, MapReaderRefusesWhatNobodyReads) {
  auto map = decode_map(encode(Map{{1, 7}, {2, hex("0102")}, {3, nullptr}})).value();
  MapReader reader(map);
  EXPECT_EQ(reader.uint(1).value(), 7U);
  EXPECT_EQ(reader.byte_array<2>(2).value()[1], std::byte{2});
  EXPECT_EQ(reader.byte_array<3>(2).error().code, Errc::wrong_type);
  EXPECT_EQ(reader.text(1).error().code, Errc::wrong_type);
  EXPECT_EQ(reader.need(4).error().code, Errc::missing_field);
  EXPECT_EQ(reader.maybe(4), nullptr);
  EXPECT_EQ(reader.done().error().code, Errc::unknown_field);
  EXPECT_TRUE(reader.need(3).value()->is_null());
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(Value(-5).as_int().value(), -5);
  EXPECT_EQ(Value(Negative{~0ULL}).as_int().error().code, Errc::too_large);
}

TEST(Cbor, ForeignObjectsMayBeInAnyOrderAndNothingElse) {
  constexpr ForeignRules kRules{.bytes_max = 64, .depth_max = 2, .items_max = 8};
  const auto foreign = [&](std::string_view text) {
    auto value = decode_foreign(hex(text), kRules);
    return value ? std::error_code() : value.error().code;
  };
  EXPECT_FALSE(foreign("a2616200616101"));  // {"b": 0, "a": 1}
  EXPECT_EQ(decode(hex("a2616200616101")).error().code, Errc::not_canonical);
  EXPECT_EQ(foreign("a2616100616101"), Errc::not_canonical);  // a key twice
  EXPECT_EQ(foreign("a3616100616200616101"), Errc::not_canonical);
  EXPECT_EQ(foreign("a2616200016101"), Errc::malformed);  // keys of both kinds
  EXPECT_EQ(foreign("1800"), Errc::not_canonical);        // longer than needed
  EXPECT_EQ(foreign("9f00ff"), Errc::malformed);          // indefinite
  EXPECT_EQ(foreign("0000"), Errc::malformed);            // bytes after it
  EXPECT_EQ(foreign("c100"), Errc::malformed);            // a tag
  EXPECT_EQ(foreign("818100"), Errc::too_deep);
  EXPECT_EQ(foreign("880000000000000000"), Errc::too_large);  // nine items
  EXPECT_EQ(decode_foreign(Bytes(65), kRules).error().code, Errc::too_large);
}

}  // namespace
}  // namespace nmp::cbor
