#include "libp2p/host/read_size.hpp"

#include <gtest/gtest.h>

namespace nmp::libp2p {
namespace {

TEST(ReadSize, GrowsWhileReadsFillItAndShrinksWhileTheyDoNot) {
  ReadSize wanted(20'000);
  EXPECT_EQ(wanted.size(), ReadSize::kLeast);
  for (int i = 0; i < 3; ++i) wanted.note(wanted.size());
  EXPECT_EQ(wanted.size(), 20'000U);
  wanted.note(20'000);
  EXPECT_EQ(wanted.size(), 20'000U);
  // A pause in a flow changes nothing.
  for (int i = 0; i < 100; ++i) {
    for (std::size_t k = 1; k < ReadSize::kSmallReads; ++k) wanted.note(10);
    wanted.note(6000);
    ASSERT_EQ(wanted.size(), 20'000U);
  }
  for (std::size_t i = 0; i < 10 * ReadSize::kSmallReads; ++i) wanted.note(1);
  EXPECT_EQ(wanted.size(), ReadSize::kLeast);
}

}  // namespace
}  // namespace nmp::libp2p
