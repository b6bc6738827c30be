// `chat` prints where it listens, `chat ADDRESS` calls there. Lines typed here appear there.
#include <cstdio>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read_until.hpp>
#include <unistd.h>

#include "base/async/main_loop.hpp"
#include "base/async/task_group.hpp"
#include "crypto/random.hpp"
#include "libp2p/host/host.hpp"

using namespace nmp;
using namespace nmp::libp2p;
static async::Awaitable<void> print_all(Stream* stream) {
  Bytes buffer(1024);
  for (auto size = co_await stream->read_some(buffer); size && *size > 0; size = co_await stream->read_some(buffer)) {
    std::fwrite(buffer.data(), 1, *size, stdout);
    std::fflush(stdout);
  }
}

static async::Awaitable<void> talk(StreamPtr stream) {
  async::TaskGroup printing(co_await boost::asio::this_coro::executor);
  printing.spawn(print_all(stream.get()));
  boost::asio::posix::stream_descriptor input(printing.executor(), ::dup(STDIN_FILENO));
  for (std::string typed;;) {
    auto [error, size] = co_await boost::asio::async_read_until(input, boost::asio::dynamic_buffer(typed, 4096), '\n',
                                                                boost::asio::as_tuple(boost::asio::use_awaitable));
    if (error) break;
    if (auto sent = co_await stream->write(bytes_of(std::string_view(typed).substr(0, size))); !sent) break;
    typed.erase(0, size);
  }
  (void)co_await stream->close_write();
  co_await printing.close();
}

static async::Awaitable<int> chat(async::MainLoop* loop, std::string to) {
  HostOptions options(KeyPair::generate(crypto::system_random()));
  options.listen = {Multiaddr::parse("/ip4/0.0.0.0/udp/0/quic-v1").value()};
  auto host = std::move(Host::make(loop->executor(), std::move(options)).value());
  std::vector<std::string> protocols{"/chat/1.0.0"};
  host->handle(protocols[0], [](StreamPtr stream) { return talk(std::move(stream)); });
  for (const auto& address : host->listen_addresses()) std::puts(address.with_peer(host->id()).to_text().c_str());
  std::fflush(stdout);
  if (auto address = Multiaddr::parse(to); address && address->peer_id()) {
    host->add_addresses(*address->peer_id(), {*address}, std::chrono::hours(1));
    auto deadline = async::system_clock().now() + std::chrono::seconds(10);
    auto stream = co_await host->open_stream(*address->peer_id(), std::move(protocols), deadline);
    if (stream) co_await talk(std::move(*stream));
  } else {
    co_await loop->until_interrupted();
  }
  co_await host->close();
  co_return 0;
}
int main(int argc, char** argv) {
  async::MainLoop loop;
  return loop.run(chat(&loop, argc > 1 ? argv[1] : ""));
}
