#include <atomic>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/async/awaitable.hpp"
#include "crypto/random.hpp"
#include "sandbox/guardian/abi.hpp"
#include "sandbox/guest_api.hpp"

namespace nmp::sandbox {
namespace {

namespace fs = std::filesystem;
using wasi::Errno;
using namespace std::string_view_literals;

constexpr std::uint32_t kPath = 1000;  // where tests put a path, a result and a buffer in the guest's memory
constexpr std::uint32_t kResult = 8000;
constexpr std::uint32_t kVector = 8100;
constexpr std::uint32_t kBuffer = 9000;
constexpr std::uint32_t kBufferBytes = 4096;
constexpr std::uint32_t kFolder = 3;  // the only dataset

/// A folder with a secret beside it, and a guest's view of it.
class GuestFilesTest : public testing::Test {
 protected:
  GuestFilesTest() {
    base_ = fs::temp_directory_path() / ("nmp_guest_files_" + std::to_string(crypto::system_random().u64()));
    folder_ = base_ / "data";
    fs::create_directories(folder_ / "sub" / "deep");
    write(base_ / "secret", "secret");
    write(folder_ / "a.txt", "0123456789");
    write(folder_ / "sub" / "b.txt", "bbb");
    write(folder_ / "sub" / "deep" / "c.txt", "ccc");
  }
  ~GuestFilesTest() override { fs::remove_all(base_); }

  static void write(const fs::path& path, std::string_view text) { std::ofstream(path) << text; }

  void start() {
    auto taken = Snapshot::take("logs", folder_);
    ASSERT_TRUE(taken.has_value()) << taken.error().message();
    GuestOptions options;
    options.datasets = {*taken};
    options.random = &random_;
    api_ = std::make_unique<GuestApi>(std::move(options), outbox_, Instant());
  }

  GuestMemory memory() { return GuestMemory(memory_); }
  Errno call(std::string_view name, std::vector<std::uint64_t> values) {
    CallArguments arguments;
    std::ranges::copy(values, arguments.values.begin());
    const auto reply = (api_.get()->*GuestApi::find(guardian::kWasiModule, name))(arguments, memory(), Instant());
    EXPECT_EQ(reply.kind, Reply::Kind::value) << name;
    return static_cast<Errno>(reply.value);
  }
  Errno open(std::string_view path,
             std::uint32_t oflags = 0,
             wasi::Rights rights = wasi::kFileRights | wasi::kDirectoryRights,
             std::uint32_t fdflags = 0,
             std::uint32_t from = kFolder) {
    EXPECT_TRUE(memory().write({kPath}, bytes_of(path)));
    const auto code = call("path_open", {from, 1, kPath, path.size(), oflags, rights, rights, fdflags, kResult});
    opened_ = memory().read_u32({kResult}).value_or(0);
    return code;
  }
  Errno stat(std::string_view path) {
    EXPECT_TRUE(memory().write({kPath}, bytes_of(path)));
    return call("path_filestat_get", {kFolder, 1, kPath, path.size(), kBuffer});
  }
  std::string read(std::uint32_t fd, std::uint32_t size = kBufferBytes) {
    EXPECT_TRUE(memory().write_u32({kVector}, kBuffer) && memory().write_u32({kVector + 4}, size));
    EXPECT_EQ(call("fd_read", {fd, kVector, 1, kResult}), Errno::success);
    return buffer(memory().read_u32({kResult}).value_or(0));
  }
  std::string buffer(std::uint32_t size) { return string_of(*memory().range({kBuffer}, size)); }
  std::string contents(std::string_view path) {
    if (open(path) != Errno::success) return "(does not open)";
    auto out = read(opened_);
    EXPECT_EQ(call("fd_close", {opened_}), Errno::success);
    return out;
  }
  /// Neither opened, nor looked at, nor listed.
  void expect_hidden(std::string_view path, Errno code = Errno::noent) {
    EXPECT_EQ(open(path), code) << path;
    EXPECT_EQ(stat(path), code) << path;
  }
  std::vector<std::string> list(std::uint32_t fd, std::uint32_t size) {
    std::vector<std::string> out;
    for (std::uint64_t cookie = 0;;) {
      EXPECT_EQ(call("fd_readdir", {fd, kBuffer, size, cookie, kResult}), Errno::success);
      const auto used = memory().read_u32({kResult}).value_or(0);
      EXPECT_LE(used, size);
      std::uint32_t at = 0;
      while (at + wasi::kDirentBytes <= used) {
        const auto length = memory().read_u32({kBuffer + at + 16}).value_or(0);
        const auto name = at + static_cast<std::uint32_t>(wasi::kDirentBytes);
        if (name + length > used) break;
        cookie = memory().read_u64({kBuffer + at}).value_or(0);
        out.push_back(string_of(*memory().range({kBuffer + name}, length)));
        at = name + length;
      }
      if (used < size || at == 0) return out;
    }
  }

  fs::path base_;
  fs::path folder_;
  std::vector<std::byte> memory_ = std::vector<std::byte>(65536);
  LockedRandom random_{crypto::system_random()};
  Outbox outbox_{[] {}, [] {}};
  std::unique_ptr<GuestApi> api_;
  std::uint32_t opened_ = 0;
};

TEST_F(GuestFilesTest, LinksLeadNowhereElse) {
  fs::create_symlink("a.txt", folder_ / "inside");
  fs::create_symlink("../a.txt", folder_ / "sub" / "up");
  fs::create_symlink("../secret", folder_ / "out");
  fs::create_symlink(base_ / "secret", folder_ / "absolute");
  fs::create_symlink(folder_ / "a.txt", folder_ / "absolute-inside");
  fs::create_symlink("sub", folder_ / "folder-link");
  fs::create_symlink("..", folder_ / "parent-link");
  fs::create_symlink("loop", folder_ / "loop");
  fs::create_symlink("nothing", folder_ / "dangling");
  fs::create_symlink("/proc/self/root", folder_ / "magic");
  fs::create_symlink("/proc/self/environ", folder_ / "environ");
  start();
  EXPECT_EQ(contents("inside"), "0123456789");
  EXPECT_EQ(contents("sub/up"), "0123456789");
  for (const auto* path : {"out", "absolute", "absolute-inside", "folder-link", "folder-link/b.txt", "parent-link",
                           "parent-link/secret", "loop", "dangling", "magic", "magic/etc/passwd", "environ"})
    expect_hidden(path);
  EXPECT_EQ(list(kFolder, kBufferBytes), (std::vector<std::string>{".", "..", "a.txt", "inside", "sub"}));
}

TEST_F(GuestFilesTest, PathsStayInside) {
  start();
  for (const auto* path : {"..", "../secret", "../data/a.txt", "sub/../../secret", "/etc/passwd", "/", "//a.txt",
                           "./../secret", "sub/deep/../../../secret"})
    expect_hidden(path, Errno::notcapable);
  EXPECT_EQ(contents("sub/../a.txt"), "0123456789");
  EXPECT_EQ(contents("./sub//deep/./c.txt"), "ccc");
  EXPECT_EQ(open("sub"), Errno::success);
  const auto sub = opened_;
  EXPECT_EQ(open("../a.txt", 0, wasi::kFileRights, 0, sub),
            Errno::success);  // still in the dataset
  EXPECT_EQ(open("../../secret", 0, wasi::kFileRights, 0, sub), Errno::notcapable);
  EXPECT_EQ(open("a.txt/"), Errno::notdir);
  EXPECT_EQ(open("a.txt/x"), Errno::noent);
  EXPECT_EQ(open(""), Errno::noent);
  EXPECT_EQ(open("a.txt\0.png"sv), Errno::inval);
  EXPECT_EQ(open("\0"sv), Errno::inval);
  EXPECT_EQ(open(std::string(kPathBytesMax, 'x')), Errno::noent);
  EXPECT_EQ(open(std::string(kPathBytesMax + 1, 'x')), Errno::nametoolong);
  EXPECT_EQ(open("a.txt", wasi::kOflagsDirectory), Errno::notdir);
  EXPECT_EQ(open("x", 0, 0, 0, 1), Errno::notdir);  // not beneath stdout
}

TEST_F(GuestFilesTest, OddNames) {
  const std::vector<std::string> names{"\xff\xfe", "line\nbreak",        " ", "...", "-", "*", "a\\b",
                                       "\x01",     std::string(255, 'n')};
  for (const auto& name : names) write(folder_ / name, "odd");
  start();
  for (const auto& name : names) EXPECT_EQ(contents(name), "odd") << name;
}

TEST_F(GuestFilesTest, OnlyFilesAndFolders) {
  ASSERT_EQ(::mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{.sun_family = AF_UNIX};
  const auto path = (folder_ / "socket").string();
  ASSERT_LT(path.size(), sizeof address.sun_path);
  std::ranges::copy(path, address.sun_path);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const bool device = ::mknod((folder_ / "zero").c_str(), S_IFCHR | 0600, makedev(1, 5)) == 0;  // root only
  fs::create_symlink("/dev/zero", folder_ / "zero-link");
  start();
  for (const auto* name : {"fifo", "socket", "zero-link"}) expect_hidden(name);
  if (device) expect_hidden("zero");
  ::close(fd);
}

TEST_F(GuestFilesTest, WhatChangesAfterTheStart) {
  start();
  write(folder_ / "new.txt", "new");
  expect_hidden("new.txt");
  EXPECT_EQ(open("a.txt"), Errno::success);
  const auto a = opened_;
  std::ofstream(folder_ / "a.txt", std::ios::app) << "more";
  EXPECT_EQ(read(a), "0123456789");  // grown: the first bytes only
  fs::resize_file(folder_ / "a.txt", 4);
  EXPECT_EQ(call("fd_seek", {a, 0, wasi::kWhenceSet, kBuffer}), Errno::success);
  EXPECT_EQ(read(a), "0123");  // shrunk: what there is
  // Replaced by another file, a link out, a FIFO: gone.
  write(folder_ / "other", "another");
  fs::rename(folder_ / "other", folder_ / "a.txt");
  EXPECT_EQ(open("a.txt"), Errno::noent);
  fs::remove(folder_ / "a.txt");
  fs::create_symlink("../secret", folder_ / "a.txt");
  EXPECT_EQ(open("a.txt"), Errno::noent);
  fs::remove(folder_ / "a.txt");
  ASSERT_EQ(::mkfifo((folder_ / "a.txt").c_str(), 0600), 0);
  EXPECT_EQ(open("a.txt"), Errno::noent);  // and no wait for a writer
  // A folder on the way becomes a link out.
  fs::create_directories(base_ / "elsewhere");
  write(base_ / "elsewhere" / "b.txt", "secret");
  fs::rename(folder_ / "sub", base_ / "moved");
  fs::create_symlink("../elsewhere", folder_ / "sub");
  EXPECT_EQ(open("sub/b.txt"), Errno::noent);
}

TEST_F(GuestFilesTest, RenameRace) {
  write(folder_ / "race", "inside");
  start();
  fs::create_symlink("../secret", folder_ / "trap");
  std::atomic<bool> stop = false;
  std::thread swapper([&] {
    // Two names swap places again and again: the file and a link out.
    while (!stop)
      if (::renameat2(AT_FDCWD, (folder_ / "race").c_str(), AT_FDCWD, (folder_ / "trap").c_str(), RENAME_EXCHANGE) != 0)
        break;
  });
  int inside = 0;
  for (int i = 0; i < 3000; ++i) {
    const auto text = contents("race");
    EXPECT_NE(text, "secret");
    inside += text == "inside" ? 1 : 0;
  }
  stop = true;
  swapper.join();
  EXPECT_LE(inside, 3000);
}

TEST_F(GuestFilesTest, DeepFolders) {
  auto path = folder_;
  for (std::size_t i = 0; i < kSnapshotDepthMax; ++i) path /= "d";
  fs::create_directories(path);
  EXPECT_TRUE(Snapshot::take("logs", folder_).has_value());
  fs::create_directories(path / "d");
  auto refused = Snapshot::take("logs", folder_);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::dataset_unavailable);
}

TEST_F(GuestFilesTest, NothingIsWritten) {
  start();
  for (const auto oflags : {wasi::kOflagsCreat, wasi::kOflagsExcl, wasi::kOflagsTrunc})
    for (const auto* path : {"a.txt", "new.txt"}) EXPECT_EQ(open(path, oflags), Errno::rofs) << path;
  EXPECT_EQ(open("../new", wasi::kOflagsCreat), Errno::notcapable);
  EXPECT_EQ(open("a.txt", 0, wasi::kRightFdWrite), Errno::rofs);
  EXPECT_EQ(open("a.txt", 0, wasi::kFileRights, 1),
            Errno::success);  // O_APPEND: read all the same
  const std::uint64_t file = opened_;
  EXPECT_TRUE(memory().write_u32({kVector}, kBuffer) && memory().write_u32({kVector + 4}, 4));
  EXPECT_EQ(call("fd_write", {file, kVector, 1, kResult}), Errno::rofs);
  EXPECT_EQ(call("fd_write", {kFolder, kVector, 1, kResult}), Errno::isdir);
  EXPECT_EQ(call("fd_write", {0, kVector, 1, kResult}), Errno::badf);
  EXPECT_EQ(call("fd_fdstat_set_flags", {file, 1}), Errno::notsup);
  EXPECT_EQ(call("fd_fdstat_set_rights", {file, ~0ULL, 0}), Errno::notcapable);
  for (const auto* name : {"fd_allocate", "fd_filestat_set_size", "fd_filestat_set_times", "fd_pwrite"}) {
    EXPECT_EQ(call(name, {file, 0, 0, 0, 0}), Errno::rofs) << name;
    EXPECT_EQ(call(name, {99, 0, 0, 0, 0}), Errno::badf) << name;
  }
  for (const auto* name : {"path_create_directory", "path_filestat_set_times", "path_link", "path_remove_directory",
                           "path_rename", "path_unlink_file"})
    EXPECT_EQ(call(name, {kFolder, kPath, 5, kFolder, kPath, 5}), Errno::rofs) << name;
  EXPECT_EQ(call("path_symlink", {kPath, 5, kFolder, kPath, 5}), Errno::rofs);
  EXPECT_EQ(call("path_symlink", {kPath, 5, 99, kPath, 5}), Errno::badf);
  EXPECT_TRUE(memory().write({kPath}, bytes_of("a.txt"sv)));
  EXPECT_EQ(call("path_readlink", {kFolder, kPath, 5, kBuffer, 100, kResult}), Errno::inval);
  EXPECT_EQ(fs::file_size(folder_ / "a.txt"), 10U);
  EXPECT_FALSE(fs::exists(folder_ / "new.txt"));
}

TEST_F(GuestFilesTest, SeekTellPread) {
  start();
  ASSERT_EQ(open("a.txt"), Errno::success);
  const std::uint64_t fd = opened_;
  const auto tell = [&] {
    EXPECT_EQ(call("fd_tell", {fd, kBuffer}), Errno::success);
    return memory().read_u64({kBuffer}).value_or(0);
  };
  EXPECT_EQ(read(opened_, 3), "012");
  EXPECT_EQ(tell(), 3U);
  EXPECT_EQ(call("fd_seek", {fd, 2, wasi::kWhenceCur, kBuffer}), Errno::success);
  EXPECT_EQ(read(opened_, 2), "56");
  EXPECT_EQ(call("fd_seek", {fd, static_cast<std::uint64_t>(-2), wasi::kWhenceEnd, kBuffer}), Errno::success);
  EXPECT_EQ(read(opened_), "89");
  EXPECT_EQ(read(opened_), "");
  EXPECT_EQ(call("fd_seek", {fd, static_cast<std::uint64_t>(-11), wasi::kWhenceCur, kBuffer}), Errno::inval);
  EXPECT_EQ(call("fd_seek", {fd, 0x7fff'ffff'ffff'ffff, wasi::kWhenceEnd, kBuffer}), Errno::overflow);
  EXPECT_EQ(call("fd_seek", {fd, 0, 3, kBuffer}), Errno::inval);
  EXPECT_EQ(tell(), 10U);
  EXPECT_EQ(call("fd_seek", {fd, 0x7fff'ffff'ffff'fff0, wasi::kWhenceSet, kBuffer}), Errno::success);
  EXPECT_EQ(read(opened_), "");
  EXPECT_TRUE(memory().write_u32({kVector}, kBuffer) && memory().write_u32({kVector + 4}, 4));
  EXPECT_EQ(call("fd_pread", {fd, kVector, 1, 4, kResult}), Errno::success);
  EXPECT_EQ(buffer(memory().read_u32({kResult}).value_or(0)), "4567");
  EXPECT_EQ(call("fd_pread", {fd, kVector, 1, ~0ULL, kResult}), Errno::inval);
  EXPECT_EQ(call("fd_pread", {0, kVector, 1, 0, kResult}), Errno::spipe);
  EXPECT_EQ(call("fd_pread", {kFolder, kVector, 1, 0, kResult}), Errno::isdir);
  EXPECT_EQ(call("fd_seek", {kFolder, 0, 0, kBuffer}), Errno::isdir);
  EXPECT_EQ(call("fd_filestat_get", {fd, kBuffer}), Errno::success);
  EXPECT_EQ(memory().read_u64({kBuffer + 32}), 10U);
  EXPECT_EQ(call("fd_close", {fd}), Errno::success);
  EXPECT_EQ(call("fd_read", {fd, kVector, 1, kResult}), Errno::badf);
}

TEST_F(GuestFilesTest, ListsWithAnyBuffer) {
  for (int i = 0; i < 100; ++i) write(folder_ / "sub" / ("file" + std::to_string(1000 + i)), "");
  start();
  ASSERT_EQ(open("sub"), Errno::success);
  const auto sub = opened_;
  const auto whole = list(sub, kBufferBytes);
  ASSERT_EQ(whole.size(), 104U);
  EXPECT_TRUE(std::ranges::is_sorted(whole.begin() + 2, whole.end()));
  for (const std::uint32_t size : {40U, 64U, 100U, 1000U}) EXPECT_EQ(list(sub, size), whole) << size;
  EXPECT_EQ(call("fd_readdir", {sub, kBuffer, 100, ~0ULL, kResult}), Errno::success);
  EXPECT_EQ(memory().read_u32({kResult}), 0U);
}

TEST_F(GuestFilesTest, DescriptorsAreBounded) {
  start();
  std::size_t opened = 4;
  while (open("a.txt") == Errno::success) ++opened;
  EXPECT_EQ(opened, kDescriptorsMax);
  EXPECT_EQ(open("a.txt"), Errno::mfile);
  EXPECT_EQ(call("fd_close", {77}), Errno::success);
  EXPECT_EQ(open("a.txt"), Errno::success);
  EXPECT_EQ(opened_, 77U);
  EXPECT_EQ(call("fd_renumber", {77, 300}), Errno::badf);
}

}  // namespace
}  // namespace nmp::sandbox
