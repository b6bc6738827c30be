#include "sandbox/guardian/guardian.hpp"

#include <gtest/gtest.h>

namespace nmp::guardian {
namespace {

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

}  // namespace
}  // namespace nmp::guardian
