#include "libp2p/host/perf_service.hpp"

#include <gtest/gtest.h>

#include "base/async/testing.hpp"
#include "crypto/random.hpp"

namespace nmp::libp2p {
namespace {

using async::Awaitable;

Instant soon() { return async::system_clock().now() + std::chrono::seconds(30); }

struct Two {
  Two(boost::asio::io_context& context, const char* listen) {
    HostOptions serving(KeyPair::generate(crypto::system_random()));
    serving.listen.push_back(Multiaddr::parse(listen).value());
    server = Host::make(context.get_executor(), std::move(serving)).value();
    HostOptions asking(KeyPair::generate(crypto::system_random()));
    client = Host::make(context.get_executor(), std::move(asking)).value();
  }
  std::unique_ptr<Host> server;
  std::unique_ptr<Host> client;

  Awaitable<bool> connect() {
    PeerInfo info{server->id(), server->listen_addresses()};
    auto connected = co_await client->connect(std::move(info), soon());
    EXPECT_TRUE(connected) << connected.error().message();
    co_return connected.has_value();
  }
  Awaitable<StreamPtr> open() {
    std::vector<std::string> protocols{std::string(perf::kProtocol)};
    co_return *co_await client->open_stream(server->id(), std::move(protocols), soon());
  }
  Awaitable<Result<PerfReport>> measure(std::uint64_t up, std::uint64_t down) {
    return measure_perf(*client, server->id(), up, down, soon());
  }
};

class PerfOver : public testing::TestWithParam<const char*> {
 protected:
  /// Runs `body(two)` on two connected hosts and closes them.
  template <class Body>
  void with_two(Body body) {
    boost::asio::io_context context;
    Two two(context, GetParam());
    auto run = [](Two& both, Body act) -> Awaitable<bool> {
      if (co_await both.connect()) co_await act(both);
      co_await both.client->close();
      co_await both.server->close();
      co_return true;
    };
    EXPECT_TRUE(async::run_until_done(context, run(two, std::move(body))));
  }
};
INSTANTIATE_TEST_SUITE_P(Transports,
                         PerfOver,
                         testing::Values("/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"),
                         [](const auto& of) {
                           return std::string_view(of.param).find("tcp") != std::string_view::npos ? "Tcp" : "Quic";
                         });

TEST_P(PerfOver, IsOffUnlessServed) {
  with_two([](Two& two) -> Awaitable<void> {
    auto report = co_await two.measure(0, 10);
    EXPECT_FALSE(report);
    if (!report) {
      EXPECT_EQ(report.error().code, host::Errc::protocol_unsupported);
    }
  });
}

TEST_P(PerfOver, CarriesBytesUpAndDown) {
  with_two([](Two& two) -> Awaitable<void> {
    serve_perf(*two.server);
    constexpr std::pair<std::uint64_t, std::uint64_t> kCases[] = {
        {0, 0}, {0, 1}, {1, 0}, {3'000'000, 0}, {0, 3'000'000}, {1'000'000, 1'000'001}};
    for (const auto& [up, down] : kCases) {
      auto report = co_await two.measure(up, down);
      EXPECT_TRUE(report) << up << " up, " << down << " down: " << report.error().message();
      if (report) {
        EXPECT_GT(report->upload, Duration::zero());
      }
    }
  });
}

TEST_P(PerfOver, RefusesMoreThanItsLimits) {
  with_two([](Two& two) -> Awaitable<void> {
    PerfServiceLimits limits;
    limits.stream = {.upload_bytes_max = 1000, .download_bytes_max = 2000};
    serve_perf(*two.server, limits);
    constexpr std::pair<std::uint64_t, std::uint64_t> kTooMuch[] = {{1001, 0}, {0, 2001}, {0, ~0ULL}};
    for (const auto& [up, down] : kTooMuch) EXPECT_FALSE(co_await two.measure(up, down));
    EXPECT_TRUE(co_await two.measure(1000, 2000));
  });
}

TEST_P(PerfOver, ServesSoManyAtATimeAndGivesUpOnTheSilent) {
  with_two([](Two& two) -> Awaitable<void> {
    PerfServiceLimits limits;
    limits.streams_max = 1;
    limits.time_max = std::chrono::milliseconds(200);
    serve_perf(*two.server, limits);
    const auto request = perf::encode_request(1);
    std::array<std::byte, 8> piece;
    auto silent = co_await two.open();
    EXPECT_TRUE(co_await silent->write(request));
    auto second = co_await two.open();
    EXPECT_TRUE(co_await second->write(request));
    EXPECT_FALSE(co_await second->read_some(piece));
    EXPECT_EQ(second->peer_code(), stream_code::kRateLimited);
    EXPECT_FALSE(co_await silent->read_some(piece));
    EXPECT_EQ(silent->peer_code(), stream_code::kResourceLimit);
    EXPECT_TRUE(co_await two.measure(10, 10));
  });
}

}  // namespace
}  // namespace nmp::libp2p
