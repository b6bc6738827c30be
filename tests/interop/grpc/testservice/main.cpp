// nmp_grpc_interop server --port N: grpc's interop test service on 127.0.0.1, with reflection and health.
#include <charconv>
#include <cstdio>
#include <cstring>

#include <boost/asio/io_context.hpp>

#include "base/async/task_group.hpp"
#include "base/async/tcp.hpp"
#include "rpc/reflection.hpp"
#include "service.hpp"

namespace nmp::interop {
namespace {

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
  SocketAddress address;
  address.ip[0] = std::byte{127};
  address.ip[3] = std::byte{1};
  address.port = port;
  auto listener = async::StreamListener::tcp(context.get_executor(), address);
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

}  // namespace
}  // namespace nmp::interop

int main(int count, char** arguments) {
  unsigned port = 0;
  if (count == 4 && std::strcmp(arguments[1], "server") == 0 && std::strcmp(arguments[2], "--port") == 0) {
    const char* text = arguments[3];
    auto [end, error] = std::from_chars(text, text + std::strlen(text), port);
    if (error == std::errc() && *end == 0 && port < 65536)
      return nmp::interop::run_server(static_cast<std::uint16_t>(port));
  }
  std::fprintf(stderr, "usage: nmp_grpc_interop server --port N\n");
  return 2;
}
