// nmp_grpc_interop server --port N: grpc's interop test service on 127.0.0.1, with reflection and health.
// nmp_grpc_interop client --port N --case NAME: one interop case against a server there; exit code 0 if it passed.
#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "base/async/task_group.hpp"
#include "base/async/tcp.hpp"
#include "client.hpp"
#include "rpc/reflection.hpp"
#include "service.hpp"

namespace nmp::interop {
namespace {

SocketAddress loopback(std::uint16_t port) {
  SocketAddress address;
  address.ip[0] = std::byte{127};
  address.ip[3] = std::byte{1};
  address.port = port;
  return address;
}

async::Awaitable<void> serve(rpc::Server* server, async::ByteStreamPtr stream, rpc::Caller caller) {
  co_await server->serve(std::move(stream), std::move(caller));
}

async::Awaitable<void> accept_all(async::StreamListener* listener, rpc::Server* server, async::TaskGroup* tasks) {
  for (;;) {
    auto accepted = co_await listener->accept();
    if (!accepted) co_return;
    tasks->spawn(serve(server, std::move(accepted->stream), rpc::Caller(accepted->address)));
  }
}

int run_server(std::uint16_t port) {
  boost::asio::io_context context(1);
  auto listener = async::StreamListener::tcp(context.get_executor(), loopback(port));
  if (!listener) {
    std::fprintf(stderr, "%s\n", listener.error().message().c_str());
    return 1;
  }
  rpc::Server server(context.get_executor(), rpc::ServerLimits());
  add_test_service(server);
  rpc::add_reflection(server);
  rpc::add_health(server);
  async::TaskGroup tasks(context.get_executor());
  tasks.spawn(accept_all(listener->get(), &server, &tasks));
  std::printf("listening on %u\n", (*listener)->port());
  std::fflush(stdout);
  context.run();
  return 0;
}

async::Awaitable<void> call_all(async::Executor executor, std::uint16_t port, std::string name, std::string* wrong) {
  auto deadline = async::system_clock().now() + std::chrono::seconds(5);
  auto stream = co_await async::dial_tcp(loopback(port), deadline);
  if (!stream) {
    *wrong = stream.error().message();
    co_return;
  }
  auto channel = rpc::Channel::make(executor, *std::move(stream), rpc::ChannelOptions());
  *wrong = co_await run_case(*channel, std::move(name));
  co_await channel->close();
}

int run_client(std::uint16_t port, std::string_view name) {
  boost::asio::io_context context(1);
  std::string wrong;
  boost::asio::co_spawn(context, call_all(context.get_executor(), port, std::string(name), &wrong),
                        boost::asio::detached);
  context.run();
  if (wrong.empty()) return 0;
  std::fprintf(stderr, "%s\n", wrong.c_str());
  return 1;
}

}  // namespace
}  // namespace nmp::interop

int main(int count, char** arguments) {
  const std::vector<std::string_view> words(arguments + 1, arguments + count);
  bool server = words.size() == 3 && words[0] == "server";
  bool client = words.size() == 5 && words[0] == "client" && words[3] == "--case";
  std::uint16_t port = 0;
  if ((server || client) && words[1] == "--port") {
    const auto* end = words[2].data() + words[2].size();
    auto [at, error] = std::from_chars(words[2].data(), end, port);
    if (error == std::errc() && at == end)
      return server ? nmp::interop::run_server(port) : nmp::interop::run_client(port, words[4]);
  }
  std::fprintf(stderr, "usage: nmp_grpc_interop server --port N | client --port N --case NAME\n");
  return 2;
}
