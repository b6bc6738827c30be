#include "sandbox/guardian/guardian.hpp"

#include <gtest/gtest.h>

namespace nmp::guardian {
namespace {

std::string escape(std::string_view code) {
  std::string out;
  for (const auto c : code) out += std::to_string(static_cast<unsigned char>(c)) + " ";
  return out;
}

Bytes hex(std::initializer_list<int> bytes) {
  Bytes out;
  for (int byte : {0, 0x61, 0x73, 0x6d, 1, 0, 0, 0}) out.push_back(static_cast<std::byte>(byte));
  for (int byte : bytes) out.push_back(static_cast<std::byte>(byte));
  return out;
}

// (module (memory (export "memory") 1) (func (export "_start")))
Bytes smallest() {
  return hex({1,   4,   1,   0x60, 0, 0, 3, 2,   1,   0,   5,   3,   1,   0, 1, 7,  19, 2, 6, 'm', 'e',
              'm', 'o', 'r', 'y',  2, 0, 6, '_', 's', 't', 'a', 'r', 't', 0, 0, 10, 4,  1, 2, 0,   0x0b});
}

void expect_refused(const Bytes& wasm, Errc code, const Policy& policy = {}) {
  auto refused = inspect(wasm, policy);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, code) << refused.error().message();
}

TEST(GuardianTest, SmallestFilterPasses) {
  auto info = inspect(smallest());
  ASSERT_TRUE(info.has_value()) << info.error().message();
  EXPECT_EQ(info->functions, 1U);
  EXPECT_EQ(info->memory_bytes_min, 65536U);
}

TEST(GuardianTest, EveryCutIsRefused) {
  const auto whole = smallest();
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(inspect(ByteView(whole).first(size)).has_value()) << size;
}

TEST(GuardianTest, NamedRefusals) {
  expect_refused(to_bytes(std::string_view("hello, world")), Errc::not_wasm);
  auto component = smallest();
  component[4] = std::byte{0x0d};
  component[6] = std::byte{1};
  expect_refused(component, Errc::component);
  auto version = smallest();
  version[4] = std::byte{2};
  expect_refused(version, Errc::version);
  expect_refused(hex({5, 3, 1, 0, 1}), Errc::no_memory);
  expect_refused(hex({5, 3, 1, 3, 1}), Errc::memory_kind);
  expect_refused(hex({5, 3, 1, 4, 1}), Errc::memory_kind);
  expect_refused(hex({5, 5, 2, 0, 1, 0, 1}), Errc::too_many_memories);
  expect_refused(hex({8, 1, 0}), Errc::start_section);
  expect_refused(hex({13, 1, 0}), Errc::tags_not_allowed);
  expect_refused(hex({5, 3, 1, 0, 1, 5, 3, 1, 0, 1}), Errc::section_order);
  expect_refused(hex({14, 0}), Errc::section_order);
  expect_refused(hex({4, 6, 1, 0x70, 0, 0x80, 0x80, 0x08}), Errc::table_too_large);
  expect_refused(hex({1, 4, 1, 0x60, 0, 0, 2, 7, 1, 1, 'e', 1, 'f', 0, 0}), Errc::import_module);
  expect_refused(hex({1, 4, 1, 0x60, 0, 0, 2, 9, 1, 3, 'n', 'm', 'p', 1, 'f', 0, 0}), Errc::import_unknown);
  expect_refused(hex({1, 4, 1, 0x60, 0, 0, 2, 12, 1, 3, 'n', 'm', 'p', 4, 'w', 'a', 'i', 't', 0, 0}),
                 Errc::import_signature);
  expect_refused(hex({1, 6, 0xff, 0xff, 0xff, 0xff, 0x0f, 0}), Errc::too_many_types);
  Policy small;
  small.memory_bytes_max = 100;
  expect_refused(smallest(), Errc::memory_too_large, small);
  small = {};
  small.module_bytes_max = 8;
  expect_refused(smallest(), Errc::too_large, small);
}

/// `count` functions of type [] -> [], each `code` repeated `times` with `locals` i32 locals before it; `end` closes
/// it.
Bytes many(std::uint32_t count, std::uint32_t locals, std::string_view code, std::size_t times, std::string_view end) {
  const auto leb = [](Bytes& out, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out.push_back(static_cast<std::byte>(0x80 | (value & 0x7f)));
    out.push_back(static_cast<std::byte>(value));
  };
  Bytes body;
  leb(body, locals > 0 ? 1 : 0);
  if (locals > 0) {
    leb(body, locals);
    body.push_back(std::byte{0x7f});
  }
  for (std::size_t i = 0; i < times; ++i) append(body, bytes_of(code));
  for (std::size_t i = 0; i < (end.empty() ? 0 : times); ++i) append(body, bytes_of(end));
  body.push_back(std::byte{0x0b});
  Bytes functions;
  Bytes bodies;
  leb(functions, count);
  leb(bodies, count);
  for (std::uint32_t i = 0; i < count; ++i) {
    functions.push_back(std::byte{0});
    leb(bodies, body.size());
    append(bodies, body);
  }
  auto out = hex({1, 4, 1, 0x60, 0, 0});
  out.push_back(std::byte{3});
  leb(out, functions.size());
  append(out, functions);
  append(out, ByteView(hex({5,   3,   1, 0, 1, 7,   19,  2,   6,   'm', 'e', 'm', 'o',
                            'r', 'y', 2, 0, 6, '_', 's', 't', 'a', 'r', 't', 0,   0}))
                  .subspan(8));
  out.push_back(std::byte{10});
  leb(out, bodies.size());
  append(out, bodies);
  return out;
}

using namespace std::string_view_literals;

TEST(GuardianTest, CompileBombs) {
  EXPECT_TRUE(inspect(many(100, 20, "\x03\x40\x41\x00\x0d\x00\x0b"sv, 10, "")).has_value());
  expect_refused(many(32'768, 0, "\x01\x01\x01\x01\x01\x01\x01\x01"sv, 10, ""), Errc::compile_too_long);
  // Joins of many locals, loops in loops, loops side by side, calls, plain size: each in functions that may be so
  // large.
  expect_refused(many(1, 4096, "\x20\x00\x04\x40\x41\x00\x21\x01\x0b"sv, 8000, ""), Errc::compile_too_long);
  expect_refused(many(10, 100, "\x03\x40\x41\x00\x0d\x00"sv, 15'000, "\x0b"), Errc::compile_too_long);
  expect_refused(many(20, 0, "\x03\x40\x0b"sv, 40'000, ""), Errc::compile_too_long);
  expect_refused(many(20, 0, "\x10\x00"sv, 60'000, ""), Errc::compile_too_long);
  expect_refused(many(60, 0, "\x01"sv, 120'000, ""), Errc::compile_too_long);
  expect_refused(many(1, 0, "\x01"sv, 140'000, ""), Errc::function_too_large);
}

TEST(GuardianTest, BranchTables) {
  // i32.const 0; br_table of so many targets and a default, all of them the function's own block.
  EXPECT_TRUE(inspect(many(1, 0, "\x41\x00\x0e\xf0\xff\x03\x00"sv, 1, std::string(65'520, '\0'))).has_value());
  expect_refused(many(1, 0, "\x41\x00\x0e\xf1\xff\x03\x00"sv, 1, std::string(65'521, '\0')),
                 Errc::branch_table_too_large);
}

TEST(GuardianTest, Instructions) {
  for (const auto code : {"\x12\x00"sv, "\xfe\x03\x00"sv, "\x06\x40\x0b"sv, "\xfd\x80\x02"sv, "\xfc\x12"sv, "\xff"sv})
    expect_refused(many(1, 0, code, 1, ""), Errc::opcode_not_allowed);
  expect_refused(many(1, 0, "\x0b"sv, 1, ""), Errc::malformed);      // code behind the end
  expect_refused(many(1, 0, "\x02\x40"sv, 1, ""), Errc::truncated);  // no end
  expect_refused(many(1, 0, "\x0e\xff\xff\xff\xff\x0f"sv, 1, ""), Errc::truncated);
  expect_refused(many(1, 0, "\x28\x40\x00"sv, 1, ""), Errc::malformed);  // names a memory
  // Every kind of immediate once, and what follows is read as what it is.
  for (const auto code :
       {"\x41\xff\xff\xff\xff\x07"sv, "\x42\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"sv, "\x43\x0b\x0b\x0b\x0b"sv,
        "\x44\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"sv, "\x28\x02\x0b"sv, "\x0e\x01\x0b\x0b"sv, "\x1c\x01\x7f"sv,
        "\x11\x0b\x0b"sv, "\x40\x0b"sv, "\xd0\x70"sv, "\xfc\x0a\x0b\x0b"sv, "\xfc\x0b\x0b"sv, "\xfc\x00"sv,
        "\xfd\x0c\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"sv, "\xfd\x15\x0b"sv,
        "\xfd\x54\x00\x0b\x0b"sv, "\xfd\x5c\x00\x0b"sv, "\xfd\x0f"sv})
    EXPECT_TRUE(inspect(many(1, 0, code, 1, "")).has_value()) << escape(code);
}

}  // namespace
}  // namespace nmp::guardian
