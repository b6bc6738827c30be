// How many round trips a first byte takes, counted from the datagrams that pass a relay with delay.
#include <deque>

#include <gtest/gtest.h>

#include "base/async/task_group.hpp"
#include "base/async/testing.hpp"
#include "base/async/udp.hpp"
#include "crypto/random.hpp"
#include "libp2p/host/addresses.hpp"
#include "libp2p/host/host.hpp"

namespace nmp::libp2p {
namespace {

using async::Awaitable;

/// Longer than the two hosts take to answer, also with sanitizers.
constexpr Duration kOneWay = std::chrono::milliseconds(100);

Instant now() { return async::system_clock().now(); }
Instant soon() { return now() + std::chrono::seconds(30); }

/// Between one dialler and one listener: delays each datagram by kOneWay and remembers which way it went.
class Relay {
 public:
  Relay(const async::Executor& executor, SocketAddress listener)
      : listener_(listener), front_(bind(executor)), back_(bind(executor)), tasks_(executor) {
    tasks_.spawn(forward(/*to_listener=*/true));
    tasks_.spawn(forward(/*to_listener=*/false));
  }

  [[nodiscard]] SocketAddress address() const { return front_->local(); }
  /// Waves of the dialler that the listener has answered: where the direction turns.
  [[nodiscard]] std::size_t round_trips() const {
    std::size_t turns = 0;
    for (std::size_t i = 1; i < ways_.size(); ++i) turns += ways_[i - 1] && !ways_[i] ? 1 : 0;
    return turns;
  }
  Awaitable<void> close() {
    co_await tasks_.close();
    front_->close();
    back_->close();
  }

 private:
  static std::unique_ptr<async::UdpSocket> bind(const async::Executor& executor) {
    SocketAddress loopback;
    loopback.ip = {std::byte{127}, std::byte{0}, std::byte{0}, std::byte{1}};
    return async::UdpSocket::bind(executor, loopback).value();
  }

  Awaitable<void> forward(bool to_listener) {
    auto& in = to_listener ? *front_ : *back_;
    for (;;) {
      if (!co_await in.wait_readable()) co_return;
      auto batch = in.receive();
      if (!batch) co_return;
      for (const auto& datagram : *batch) {
        if (to_listener) dialler_ = datagram.remote;
        ways_.push_back(to_listener);
        tasks_.spawn(deliver(to_bytes(datagram.bytes), to_listener));
      }
    }
  }
  Awaitable<void> deliver(Bytes datagram, bool to_listener) {
    if (!co_await async::sleep_until(now() + kOneWay)) co_return;
    auto& out = to_listener ? *back_ : *front_;
    (void)out.send(datagram, datagram.size(), to_listener ? listener_ : dialler_, nullptr);
  }

  SocketAddress listener_;
  SocketAddress dialler_;
  std::unique_ptr<async::UdpSocket> front_;
  std::unique_ptr<async::UdpSocket> back_;
  std::deque<bool> ways_;
  async::TaskGroup tasks_;
};

Awaitable<void> greet(StreamPtr stream) {
  std::array<std::byte, 8> piece;
  if (!co_await stream->read_some(piece)) co_return;
  (void)co_await stream->write(bytes_of("hello"));
  (void)co_await stream->close_write();
}

constexpr const char* kGreeting = "/greeting/1.0.0";

Awaitable<bool> count(boost::asio::io_context& context) {
  HostOptions serving(KeyPair::generate(crypto::system_random()));
  serving.listen.push_back(Multiaddr::parse("/ip4/127.0.0.1/udp/0/quic-v1").value());
  // Identify's streams would turn the direction too.
  serving.identify = false;
  auto server = Host::make(context.get_executor(), std::move(serving)).value();
  server->handle(kGreeting, greet);
  HostOptions dialling(KeyPair::generate(crypto::system_random()));
  dialling.identify = false;
  auto client = Host::make(context.get_executor(), std::move(dialling)).value();
  Relay relay(context.get_executor(), to_socket(server->listen_addresses().front().udp_endpoint().value()));

  const auto begun = now();
  PeerInfo info{server->id(), {Multiaddr::quic_v1(to_endpoint(relay.address()))}};
  EXPECT_TRUE(co_await client->connect(std::move(info), soon()));
  std::vector<std::string> protocols{kGreeting};
  auto stream = co_await client->open_stream(server->id(), std::move(protocols), soon());
  EXPECT_TRUE(stream);
  if (stream) {
    EXPECT_TRUE(co_await (*stream)->write(bytes_of("?")));
    std::array<std::byte, 8> piece;
    auto size = co_await (*stream)->read_some(piece);
    EXPECT_TRUE(size);
    EXPECT_EQ(relay.round_trips(), 2U);
    EXPECT_GE(now() - begun, 4 * kOneWay);
    EXPECT_LT(now() - begun, 6 * kOneWay);
  }
  co_await relay.close();
  co_await client->close();
  co_await server->close();
  co_return true;
}

TEST(RoundTrips, TheFirstByteOverQuicComesInTheSecond) {
  boost::asio::io_context context;
  EXPECT_TRUE(async::run_until_done(context, count(context)));
}

}  // namespace
}  // namespace nmp::libp2p
