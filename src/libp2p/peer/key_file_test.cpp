#include "libp2p/peer/key_file.hpp"

#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "libp2p/peer/errors.hpp"

namespace nmp::libp2p {
namespace {

class KeyFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/tmp/nmp-key-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
  SeededRandom random_{1};
};

TEST_F(KeyFile, IsCreatedOnceAndPrivate) {
  auto path = folder_ / "key";
  EXPECT_EQ(load_key_file(path).error().code, Errc::not_found);
  auto first = load_or_create_key_file(path, random_).value();
  auto second = load_or_create_key_file(path, random_).value();
  EXPECT_EQ(first.public_key(), second.public_key());
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(status.st_size, 68);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(KeyFile, ReadableByOthersIsRefused) {
  auto path = folder_ / "key";
  ASSERT_TRUE(load_or_create_key_file(path, random_));
  for (mode_t mode : {0640U, 0604U, 0620U, 0602U}) {
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    EXPECT_EQ(load_or_create_key_file(path, random_).error().code, PeerErrc::key_file_permissions);
  }
}

TEST_F(KeyFile, OtherContentIsRefusedAndKept) {
  auto path = folder_ / "key";
  std::ofstream(path) << "not a key";
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  EXPECT_EQ(load_or_create_key_file(path, random_).error().code, PeerErrc::key_file_malformed);
  EXPECT_EQ(std::filesystem::file_size(path), 9U);
  EXPECT_EQ(load_key_file(folder_).error().code, PeerErrc::key_file_malformed);
  EXPECT_EQ(load_or_create_key_file(folder_ / "none" / "key", random_).error().code, Errc::io);
}

}  // namespace
}  // namespace nmp::libp2p
