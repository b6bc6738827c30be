#include "server/state_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace nmp::server {
namespace {

namespace fs = std::filesystem;

class StateFile : public testing::Test {
 protected:
  StateFile() { fs::create_directories(folder_); }
  ~StateFile() override { fs::remove_all(folder_); }
  fs::path folder_ = fs::path(testing::TempDir()) / ("state-" + std::to_string(::getpid()));
  fs::path file_ = folder_ / "dht.snapshot";
};

TEST_F(StateFile, IsReplacedWholeAndPrivate) {
  EXPECT_EQ(load_state_file(file_, 100).error().code, Errc::not_found);
  ASSERT_TRUE(replace_state_file(file_, bytes_of("one")));
  ASSERT_TRUE(replace_state_file(file_, bytes_of("another")));
  EXPECT_EQ(string_of(load_state_file(file_, 100).value()), "another");
  EXPECT_EQ(fs::status(file_).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
  EXPECT_EQ(load_state_file(file_, 3).error().code, Errc::too_large);
}

TEST_F(StateFile, ALeftoverOfAKilledProcessIsNoObstacle) {
  ASSERT_TRUE(replace_state_file(folder_ / "dht.snapshot.new", bytes_of("half")));
  ASSERT_TRUE(replace_state_file(file_, bytes_of("whole")));
  EXPECT_EQ(string_of(load_state_file(file_, 100).value()), "whole");
}

TEST_F(StateFile, WhereNothingCanBeWrittenItSaysSo) {
  EXPECT_EQ(replace_state_file(folder_ / "absent" / "file", bytes_of("x")).error().code, Errc::io);
  EXPECT_EQ(load_state_file(folder_, 100).error().code, Errc::io);
}

}  // namespace
}  // namespace nmp::server
