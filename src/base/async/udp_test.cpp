#include "base/async/udp.hpp"

#include <gtest/gtest.h>

#include "base/async/testing.hpp"

namespace nmp::async {
namespace {

SocketAddress loopback(bool v6) {
  SocketAddress address;
  address.is_v6 = v6;
  if (v6) {
    address.ip[15] = std::byte{1};
  } else {
    address.ip[0] = std::byte{127};
    address.ip[3] = std::byte{1};
  }
  return address;
}

Awaitable<std::vector<Bytes>> collect(UdpSocket& socket, std::size_t bytes) {
  std::vector<Bytes> got;
  std::size_t total = 0;
  while (total < bytes) {
    if (!co_await socket.wait_readable()) break;
    auto batch = socket.receive();
    if (!batch) break;
    for (const auto& datagram : *batch) {
      got.push_back(to_bytes(datagram.bytes));
      total += datagram.bytes.size();
    }
  }
  co_return got;
}

class UdpTest : public testing::TestWithParam<std::tuple<bool, bool>> {};

TEST_P(UdpTest, CutsABundleIntoItsDatagrams) {
  auto [v6, offload] = GetParam();
  boost::asio::io_context context;
  UdpOptions options;
  options.gso = options.gro = offload;
  auto a = UdpSocket::bind(context.get_executor(), loopback(v6), options);
  auto b = UdpSocket::bind(context.get_executor(), loopback(v6), options);
  if (v6 && !a) GTEST_SKIP() << "no IPv6 here";
  ASSERT_TRUE(a && b);
  EXPECT_NE((*a)->local().port, 0);
  Bytes sent(1200 * 9 + 37);
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::byte>(i / 1200);
  EXPECT_EQ((*a)->send(sent, 1200, (*b)->local(), nullptr), sent.size());
  auto got = run_until_done(context, collect(**b, sent.size()));
  ASSERT_EQ(got.size(), 10U);
  for (std::size_t i = 0; i < 9; ++i) EXPECT_EQ(got[i], Bytes(1200, static_cast<std::byte>(i)));
  EXPECT_EQ(got[9].size(), 37U);
}
INSTANTIATE_TEST_SUITE_P(Families, UdpTest, testing::Combine(testing::Bool(), testing::Bool()));

TEST(Udp, AWildcardSocketTellsWhereTheDatagramWasSentTo) {
  boost::asio::io_context context;
  auto a = UdpSocket::bind(context.get_executor(), SocketAddress{});
  auto b = UdpSocket::bind(context.get_executor(), loopback(false));
  ASSERT_TRUE(a && b);
  auto to = loopback(false);
  to.port = (*a)->local().port;
  to.ip[3] = std::byte{7};
  EXPECT_EQ((*b)->send(bytes_of("x"), 1, to, nullptr), 1U);
  auto wait = [](UdpSocket& socket) -> Awaitable<Result<void>> { co_return co_await socket.wait_readable(); };
  ASSERT_TRUE(run_until_done(context, wait(**a)));
  auto got = (*a)->receive();
  ASSERT_TRUE(got);
  ASSERT_EQ(got->size(), 1U);
  EXPECT_EQ(got->front().local, to);
  EXPECT_EQ(got->front().remote, (*b)->local());
  auto source = got->front().local;
  EXPECT_EQ((*a)->send(bytes_of("y"), 1, (*b)->local(), &source), 1U);
  ASSERT_TRUE(run_until_done(context, wait(**b)));
  auto reply = (*b)->receive();
  ASSERT_TRUE(reply);
  ASSERT_EQ(reply->size(), 1U);
  EXPECT_EQ(reply->front().remote, to);
}

TEST(Udp, ClosingEndsAPendingWait) {
  boost::asio::io_context context;
  auto socket = UdpSocket::bind(context.get_executor(), loopback(false));
  ASSERT_TRUE(socket);
  auto task = [](UdpSocket& udp) -> Awaitable<Result<void>> { co_return co_await udp.wait_readable(); };
  boost::asio::post(context, [&] { (*socket)->close(); });
  auto result = run_until_done(context, task(**socket));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::closed);
}

}  // namespace
}  // namespace nmp::async
