#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/async/awaitable.hpp"
#include "crypto/random.hpp"
#include "sandbox/guardian/abi.hpp"
#include "sandbox/guest_api.hpp"

/// Every function of WASI preview 1, called well and then with each of its arguments bad in turn, and what it answers.
namespace nmp::sandbox {
namespace {

namespace fs = std::filesystem;
using wasi::Errno;

constexpr std::uint32_t kBytes = 65536;
// Places in the guest's memory.
constexpr std::uint32_t kOut = 1024;  // results, up to 64 bytes
constexpr std::uint32_t kOut2 = 1152;
constexpr std::uint32_t kVector = 2048;  // one iovec: kBuffer, kBufferBytes
constexpr std::uint32_t kBuffer = 4096;
constexpr std::uint32_t kBufferBytes = 512;
constexpr std::uint32_t kName = 8192;       // "a.txt"
constexpr std::uint32_t kClockSub = 12288;  // a subscription to a clock that is due at once
constexpr std::uint32_t kFolder = 3;
constexpr std::uint32_t kFile = 4;

/// What an argument is, and so how it can be bad.
enum class As : std::uint8_t {
  plain,    // any value has a meaning that other tests look at
  fd,       // an open descriptor
  pointer,  // to at least one byte that the call reads or writes
  path,     // a pointer to a path, whose length is the next argument
  path_size,
  vectors,  // a pointer to iovecs, whose number is the next argument
  count,
  buffer,  // a pointer to bytes, whose length is the next argument
  size,
};

struct Argument {
  As as;
  std::uint64_t value;
};
struct Row {
  std::string_view name;
  std::vector<Argument> arguments;
  Errno good;         ///< What the good call answers.
  bool looks = true;  ///< Whether a bad pointer is ever followed: calls that are refused look at their descriptor.
};

const std::vector<Row>& table() {
  using enum As;
  const auto refused = [](std::string_view name, std::vector<Argument> arguments, Errno code = Errno::rofs) {
    return Row{.name = name, .arguments = std::move(arguments), .good = code, .looks = false};
  };
  static const std::vector<Row> rows = {
      {"args_get", {{pointer, kOut}, {pointer, kBuffer}}, Errno::success},
      {"args_sizes_get", {{pointer, kOut}, {pointer, kOut2}}, Errno::success},
      // There is no environment: nothing to write.
      {"environ_get", {{plain, kOut}, {plain, kBuffer}}, Errno::success},
      {"environ_sizes_get", {{pointer, kOut}, {pointer, kOut2}}, Errno::success},
      {"clock_res_get", {{plain, 1}, {pointer, kOut}}, Errno::success},
      {"clock_time_get", {{plain, 1}, {plain, 0}, {pointer, kOut}}, Errno::success},
      {"fd_advise", {{fd, kFile}, {plain, 0}, {plain, 10}, {plain, 0}}, Errno::success},
      refused("fd_allocate", {{fd, kFile}, {plain, 0}, {plain, 10}}),
      {"fd_close", {{fd, kFile}}, Errno::success},
      {"fd_datasync", {{fd, kFile}}, Errno::success},
      {"fd_fdstat_get", {{fd, kFile}, {pointer, kOut}}, Errno::success},
      {"fd_fdstat_set_flags", {{fd, kFile}, {plain, 0}}, Errno::success},
      {"fd_fdstat_set_rights", {{fd, kFile}, {plain, 0}, {plain, 0}}, Errno::success},
      {"fd_filestat_get", {{fd, kFile}, {pointer, kOut}}, Errno::success},
      refused("fd_filestat_set_size", {{fd, kFile}, {plain, 1}}),
      refused("fd_filestat_set_times", {{fd, kFile}, {plain, 0}, {plain, 0}, {plain, 0}}),
      {"fd_pread", {{fd, kFile}, {vectors, kVector}, {count, 1}, {plain, 0}, {pointer, kOut}}, Errno::success},
      {"fd_prestat_get", {{fd, kFolder}, {pointer, kOut}}, Errno::success},
      {"fd_prestat_dir_name", {{fd, kFolder}, {buffer, kBuffer}, {size, 10}}, Errno::success},
      refused("fd_pwrite", {{fd, kFile}, {vectors, kVector}, {count, 1}, {plain, 0}, {pointer, kOut}}),
      {"fd_read", {{fd, kFile}, {vectors, kVector}, {count, 1}, {pointer, kOut}}, Errno::success},
      {"fd_readdir",
       {{fd, kFolder}, {buffer, kBuffer}, {size, kBufferBytes}, {plain, 0}, {pointer, kOut}},
       Errno::success},
      {"fd_renumber", {{fd, kFile}, {fd, kFile}}, Errno::success},
      {"fd_seek", {{fd, kFile}, {plain, 3}, {plain, 0}, {pointer, kOut}}, Errno::success},
      {"fd_sync", {{fd, kFile}}, Errno::success},
      {"fd_tell", {{fd, kFile}, {pointer, kOut}}, Errno::success},
      {"fd_write", {{fd, 2}, {vectors, kVector}, {count, 1}, {pointer, kOut}}, Errno::success},
      refused("path_create_directory", {{fd, kFolder}, {path, kName}, {path_size, 5}}),
      {"path_filestat_get",
       {{fd, kFolder}, {plain, 1}, {path, kName}, {path_size, 5}, {pointer, kOut}},
       Errno::success},
      refused("path_filestat_set_times",
              {{fd, kFolder}, {plain, 1}, {path, kName}, {path_size, 5}, {plain, 0}, {plain, 0}, {plain, 0}}),
      refused(
          "path_link",
          {{fd, kFolder}, {plain, 1}, {path, kName}, {path_size, 5}, {plain, kFolder}, {path, kName}, {path_size, 5}}),
      {"path_open",
       {{fd, kFolder},
        {plain, 1},
        {path, kName},
        {path_size, 5},
        {plain, 0},
        {plain, wasi::kFileRights},
        {plain, wasi::kFileRights},
        {plain, 0},
        {pointer, kOut}},
       Errno::success},
      // No link is ever seen.
      {"path_readlink",
       {{fd, kFolder}, {path, kName}, {path_size, 5}, {plain, kBuffer}, {plain, kBufferBytes}, {plain, kOut}},
       Errno::inval},
      refused("path_remove_directory", {{fd, kFolder}, {path, kName}, {path_size, 5}}),
      refused("path_rename",
              {{fd, kFolder}, {path, kName}, {path_size, 5}, {plain, kFolder}, {path, kName}, {path_size, 5}}),
      refused("path_symlink", {{path, kName}, {path_size, 5}, {fd, kFolder}, {path, kName}, {path_size, 5}}),
      refused("path_unlink_file", {{fd, kFolder}, {path, kName}, {path_size, 5}}),
      {"poll_oneoff", {{pointer, kClockSub}, {pointer, kBuffer}, {count, 1}, {pointer, kOut}}, Errno::success},
      refused("proc_raise", {{plain, 9}}, Errno::nosys),
      {"random_get", {{buffer, kBuffer}, {size, 16}}, Errno::success},
      {"sched_yield", {}, Errno::success},
      refused("sock_accept", {{plain, kFolder}, {plain, 0}, {plain, kOut}}, Errno::notsup),
      refused("sock_recv", {{plain, kFolder}, {plain, kVector}, {plain, 1}, {plain, 0}, {plain, kOut}, {plain, kOut2}},
              Errno::notsup),
      refused("sock_send", {{plain, kFolder}, {plain, kVector}, {plain, 1}, {plain, 0}, {plain, kOut}}, Errno::notsup),
      refused("sock_shutdown", {{plain, kFolder}, {plain, 3}}, Errno::notsup),
  };
  return rows;
}

/// The guest's memory between two pages that nobody may touch: whatever leaves it ends the test, sanitizer or not.
class FencedMemory {
 public:
  FencedMemory() : page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) {
    base_ = ::mmap(nullptr, kBytes + 2 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NMP_ASSERT(base_ != MAP_FAILED);
    NMP_ASSERT(::mprotect(data(), kBytes, PROT_READ | PROT_WRITE) == 0);
  }
  ~FencedMemory() { ::munmap(base_, kBytes + 2 * page_); }
  FencedMemory(const FencedMemory&) = delete;
  FencedMemory& operator=(const FencedMemory&) = delete;
  [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(base_) + page_; }
  [[nodiscard]] std::span<std::byte> bytes() const { return {data(), kBytes}; }

 private:
  std::size_t page_;
  void* base_ = nullptr;
};

class WasiTableTest : public testing::Test {
 protected:
  WasiTableTest() : folder_(fs::temp_directory_path() / ("nmp_wasi_" + std::to_string(crypto::system_random().u64()))) {
    fs::create_directories(folder_);
    std::ofstream(folder_ / "a.txt") << "0123456789";
  }
  ~WasiTableTest() override { fs::remove_all(folder_); }

  /// A fresh guest, whose descriptor kFile is a.txt, and whose memory holds what the good calls point to.
  void start() {
    auto taken = Snapshot::take("logs", folder_);
    ASSERT_TRUE(taken.has_value());
    GuestOptions options;
    options.datasets = {*taken};
    options.inputs = {{"stdin", Bytes(100)}, {"args", to_bytes(std::string_view("a\nb"))}};
    options.limits.diagnostic_bytes = 1 << 20;
    options.random = &random_;
    outbox_ = std::make_unique<Outbox>([] {}, [] {});
    api_ = std::make_unique<GuestApi>(std::move(options), *outbox_, Instant());
    std::ranges::fill(memory_.bytes(), std::byte{0});
    const GuestMemory memory(memory_.bytes());
    ASSERT_TRUE(memory.write({kName}, bytes_of("a.txt")));
    ASSERT_TRUE(memory.write_u32({kVector}, kBuffer) && memory.write_u32({kVector + 4}, kBufferBytes));
    ASSERT_TRUE(memory.write_u32({kClockSub + 16}, wasi::kClockMonotonic));
    const auto& row = *std::ranges::find(table(), "path_open", &Row::name);
    ASSERT_EQ(call(row, values_of(row)), Errno::success);
    ASSERT_EQ(memory.read_u32({kOut}), kFile);
    // So that a changed byte shows.
    ASSERT_TRUE(memory.write_u32({kOut}, 0));
  }
  static std::vector<std::uint64_t> values_of(const Row& row) {
    std::vector<std::uint64_t> out;
    out.reserve(row.arguments.size());
    for (const auto& argument : row.arguments) out.push_back(argument.value);
    return out;
  }
  Errno call(const Row& row, const std::vector<std::uint64_t>& values) {
    CallArguments arguments;
    std::ranges::copy(values, arguments.values.begin());
    const auto function = GuestApi::find(guardian::kWasiModule, row.name);
    const auto reply = (api_.get()->*function)(arguments, GuestMemory(memory_.bytes()), Instant());
    EXPECT_EQ(reply.kind, Reply::Kind::value) << row.name;
    return static_cast<Errno>(reply.value);
  }
  /// The call with one argument changed, from a fresh start; what is refused has changed no byte.
  Errno with(const Row& row, std::size_t place, std::uint64_t value) {
    start();
    auto values = values_of(row);
    values.at(place) = value;
    const auto before = to_bytes(ByteView(memory_.bytes()));
    const auto code = call(row, values);
    const bool writes_nothing = code == Errno::badf || !row.looks;
    EXPECT_TRUE(!writes_nothing || equal(before, memory_.bytes())) << row.name << " wrote though it was refused";
    return code;
  }

  fs::path folder_;
  FencedMemory memory_;
  LockedRandom random_{crypto::system_random()};
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<GuestApi> api_;
};

TEST_F(WasiTableTest, HasEveryFunction) {
  for (const auto& abi : guardian::abi_functions()) {
    if (abi.module != guardian::kWasiModule || abi.name == "proc_exit")
      continue;  // proc_exit ends, whatever it is told
    const auto row = std::ranges::find(table(), abi.name, &Row::name);
    ASSERT_NE(row, table().end()) << abi.name;
    EXPECT_EQ(row->arguments.size(), abi.type.find('>')) << abi.name;
  }
}

TEST_F(WasiTableTest, GoodCalls) {
  for (const auto& row : table()) {
    start();
    EXPECT_EQ(call(row, values_of(row)), row.good) << row.name;
  }
}

TEST_F(WasiTableTest, BadHandles) {
  for (const auto& row : table())
    for (std::size_t i = 0; i < row.arguments.size(); ++i) {
      if (row.arguments[i].as != As::fd) continue;
      for (const std::uint64_t handle : {5U, 255U, 256U, 257U, 0x7fff'ffffU, 0x8000'0000U, 0xffff'ffffU})
        EXPECT_EQ(with(row, i, handle), Errno::badf) << row.name << " argument " << i << " is " << handle;
    }
}

TEST_F(WasiTableTest, HandlesOfTheWrongKind) {
  const auto expect = [this](std::string_view name, std::uint64_t handle, std::initializer_list<Errno> codes) {
    const auto& row = *std::ranges::find(table(), name, &Row::name);
    const auto code = with(row, 0, handle);
    EXPECT_TRUE(std::ranges::find(codes, code) != codes.end())
        << name << " of " << handle << " answers " << static_cast<int>(code);
  };
  // Files where a folder is asked for, folders where a file is, stdio where either is.
  for (const std::uint64_t handle : {0U, 1U, 2U, kFile}) {
    expect("fd_readdir", handle, {Errno::notdir, Errno::badf, Errno::notcapable});
    expect("path_open", handle, {Errno::notdir, Errno::badf, Errno::notcapable});
    expect("path_filestat_get", handle, {Errno::notdir, Errno::badf, Errno::notcapable});
    expect("fd_prestat_get", handle, {Errno::badf});
    expect("fd_prestat_dir_name", handle, {Errno::badf, Errno::notdir});
  }
  expect("fd_read", kFolder, {Errno::isdir, Errno::badf, Errno::notcapable});
  expect("fd_pread", kFolder, {Errno::isdir, Errno::badf, Errno::notcapable});
  expect("fd_seek", kFolder, {Errno::isdir, Errno::badf, Errno::notcapable, Errno::spipe});
  expect("fd_seek", 0, {Errno::spipe, Errno::notcapable});
  expect("fd_pread", 0, {Errno::spipe, Errno::notcapable});
  expect("fd_write", kFile, {Errno::badf, Errno::notcapable, Errno::rofs});
  expect("fd_write", kFolder, {Errno::badf, Errno::notcapable, Errno::rofs, Errno::isdir});
  expect("fd_read", 1, {Errno::badf, Errno::notcapable});
}

TEST_F(WasiTableTest, BadPointers) {
  for (const auto& row : table()) {
    if (!row.looks) continue;
    for (std::size_t i = 0; i < row.arguments.size(); ++i) {
      const auto as = row.arguments[i].as;
      if (as != As::pointer && as != As::path && as != As::vectors && as != As::buffer) continue;
      // Just outside, far outside, and where a sum of 32 bits would come round. The last but one byte is inside, and
      // no result or path of these calls is so short.
      for (const std::uint64_t at : {kBytes, kBytes - 1, 0x7fff'ffffU, 0x8000'0000U, 0xffff'fff8U, 0xffff'ffffU})
        EXPECT_EQ(with(row, i, at), Errno::fault) << row.name << " argument " << i << " is " << at;
    }
  }
}

TEST_F(WasiTableTest, BadLengths) {
  for (const auto& row : table()) {
    if (!row.looks) continue;
    for (std::size_t i = 0; i < row.arguments.size(); ++i) {
      const auto as = row.arguments[i].as;
      if (as != As::path_size && as != As::count && as != As::size) continue;
      for (const std::uint64_t length : {kBytes - 1, kBytes, 0x7fff'ffffU, 0x8000'0000U, 0xffff'ffffU}) {
        const auto code = with(row, i, length);
        // Outside the memory, above a ceiling, or a name that is none.
        const auto codes = {Errno::fault, Errno::inval, Errno::nametoolong, Errno::overflow};
        // A name's length may be larger than the name, if it lies within the memory (WASI, fd_prestat_dir_name).
        const bool fits = row.name == "fd_prestat_dir_name" && code == Errno::success;
        EXPECT_TRUE(fits || std::ranges::find(codes, code) != codes.end())
            << row.name << " argument " << i << " is " << length << " answers " << static_cast<int>(code);
      }
    }
  }
}

TEST_F(WasiTableTest, BadVectors) {
  for (const auto name : {"fd_read", "fd_pread", "fd_write"}) {
    const auto& row = *std::ranges::find(table(), name, &Row::name);
    struct Vector {
      std::uint32_t at, size;
    };
    for (const auto& bad : {Vector{kBytes, 1}, Vector{kBytes - 1, 2}, Vector{0, kBytes + 1}, Vector{0xffff'ffff, 1},
                            Vector{0xffff'fff0, 0x20}, Vector{1, 0xffff'ffff}, Vector{0x8000'0000, 0x8000'0000}}) {
      start();
      const GuestMemory memory(memory_.bytes());
      ASSERT_TRUE(memory.write_u32({kVector}, bad.at) && memory.write_u32({kVector + 4}, bad.size));
      EXPECT_EQ(call(row, values_of(row)), Errno::fault) << name << " " << bad.at << "+" << bad.size;
    }
  }
}

TEST_F(WasiTableTest, BadClocks) {
  for (const auto name : {"clock_res_get", "clock_time_get"}) {
    const auto& row = *std::ranges::find(table(), name, &Row::name);
    for (const std::uint64_t clock : {2U, 3U}) EXPECT_EQ(with(row, 0, clock), Errno::notsup) << name;
    for (const std::uint64_t clock : {4U, 0x8000'0000U, 0xffff'ffffU}) {
      const auto code = with(row, 0, clock);
      EXPECT_TRUE(code == Errno::inval || code == Errno::notsup) << name << " " << clock;
    }
  }
}

}  // namespace
}  // namespace nmp::sandbox
