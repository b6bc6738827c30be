#include <gtest/gtest.h>

#include "base/async/awaitable.hpp"
#include "crypto/random.hpp"
#include "sandbox/guardian/abi.hpp"
#include "sandbox/guest_api.hpp"

namespace nmp::sandbox {
namespace {

constexpr std::uint32_t kMemory = 65536;

GuestOptions options(LockedRandom& random, SnapshotPtr dataset) {
  GuestOptions out;
  out.limits = {};
  out.limits.output_bytes = 1 << 20;
  out.limits.event_bytes = 1 << 20;
  out.limits.events = 1000;
  out.limits.diagnostic_bytes = 1 << 20;
  out.inputs = {{"stdin", Bytes(100)}, {"args", to_bytes(std::string_view("a\nb"))}};
  out.datasets = {std::move(dataset)};
  out.random = &random;
  out.seed = 1;
  return out;
}

/// Every function of the ABI with every hostile value in every place: an errno,
/// a clean stop or a wait. The sanitizers watch over the memory, which is
/// exactly as large as the guest believes.
TEST(GuestCallsTest, HostileArguments) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("nmp_guest_calls_" + std::to_string(crypto::system_random().u64()));
  std::filesystem::create_directories(folder);
  auto snapshot = Snapshot::take("logs", folder);
  ASSERT_TRUE(snapshot.has_value());
  LockedRandom random(crypto::system_random());
  const std::uint64_t hostile[] = {
      0,           1,           3,           99,          kMemory - 8, kMemory - 1,          kMemory,
      0x7fff'ffff, 0x8000'0000, 0xffff'fff8, 0xffff'ffff, 1ULL << 63,  0xffff'ffff'ffff'ffff};
  ASSERT_EQ(guardian::abi_functions().size(), 53U);
  for (const auto& abi : guardian::abi_functions()) {
    const auto function = GuestApi::find(abi.module, abi.name);
    ASSERT_NE(function, nullptr) << abi.name;
    const auto arity = abi.type.find('>');
    const auto places = std::max<std::size_t>(arity, 1);
    // Two background fills: small valid numbers, and numbers that point to the
    // memory's end.
    for (const std::uint64_t background : {std::uint64_t{3}, std::uint64_t{1024}, std::uint64_t{kMemory - 4}}) {
      for (std::size_t i = 0; i < places; ++i) {
        for (std::size_t j = i; j < places; ++j) {
          for (const auto first : hostile) {
            for (const auto second : hostile) {
              std::vector<std::byte> bytes(kMemory, std::byte{0xff});  // iovecs found in it are hostile too
              Outbox outbox([] {}, [] {});
              GuestApi api(options(random, *snapshot), outbox, Instant());
              CallArguments arguments;
              for (std::size_t k = 0; k < arity; ++k) arguments.values.at(k) = background;
              arguments.values.at(i) = first;
              arguments.values.at(j) = second;
              for (std::size_t k = 0; k < arity; ++k)
                if (abi.type[k] == 'i') arguments.values.at(k) &= 0xffff'ffff;
              const auto reply = (api.*function)(arguments, GuestMemory(bytes), Instant());
              switch (reply.kind) {
                case Reply::Kind::stop: EXPECT_TRUE(api.stopped().has_value()) << abi.name; break;
                case Reply::Kind::wait: EXPECT_TRUE(GuestApi::may_wait(abi.module, abi.name)) << abi.name; break;
                case Reply::Kind::value:
                  EXPECT_TRUE(abi.module == guardian::kNmpModule || reply.value <= 76) << abi.name;
              }
            }
            if (i == j) break;
          }
        }
      }
    }
  }
  std::filesystem::remove_all(folder);
}

TEST(GuestCallsTest, HugeVectors) {
  const auto fds = {0U, 1U, 2U};
  LockedRandom random(crypto::system_random());
  GuestOptions with;
  with.random = &random;
  with.limits.diagnostic_bytes = 1 << 20;
  with.inputs = {{"stdin", Bytes(3 * kCallBytesMax)}};
  Outbox outbox([] {}, [] {});
  GuestApi api(std::move(with), outbox, Instant());
  std::vector<std::byte> bytes(16 << 20);
  const GuestMemory memory(bytes);
  // kIovecsMax vectors that each claim almost all of the memory: cut to what
  // one call may move.
  for (std::uint32_t i = 0; i < kIovecsMax; ++i)
    ASSERT_TRUE(memory.write_u32({8 * i}, 65536) && memory.write_u32({8 * i + 4}, 15 << 20));
  const auto call = [&](GuestApi::Function function, std::uint32_t fd, std::uint32_t count) {
    return (api.*function)({.values = {fd, 0, count, 60'000}}, memory, Instant());
  };
  EXPECT_EQ(call(&GuestApi::fd_read, 0, kIovecsMax).value, 0U);
  EXPECT_LE(memory.read_u32({60'000}).value_or(~0U), kCallBytesMax);
  EXPECT_EQ(call(&GuestApi::fd_read, 0, kIovecsMax + 1).value, static_cast<std::uint64_t>(wasi::Errno::inval));
  for (const auto function : {&GuestApi::fd_read, &GuestApi::fd_write})
    for (const auto fd : fds)
      for (const auto count : {kIovecsMax + 1, 0x1000'0000U, 0x8000'0000U, 0xffff'ffffU})
        EXPECT_NE(call(function, fd, count).value, 0U);
  // What is written and nobody takes stays within the outbox.
  EXPECT_EQ(call(&GuestApi::fd_write, 1, kIovecsMax).value, 0U);
  EXPECT_LE(memory.read_u32({60'000}).value_or(~0U), kOutboxBytesMax);
  for (int i = 0; i < 3; ++i) (void)call(&GuestApi::fd_write, 1, kIovecsMax);
  EXPECT_EQ(call(&GuestApi::fd_write, 1, 1).kind, Reply::Kind::wait);
  // Vectors whose sums wrap around 32 bits.
  ASSERT_TRUE(memory.write_u32({0}, 0xffff'fff0) && memory.write_u32({4}, 0x20));
  EXPECT_EQ(call(&GuestApi::fd_read, 0, 1).value, static_cast<std::uint64_t>(wasi::Errno::fault));
}

}  // namespace
}  // namespace nmp::sandbox
