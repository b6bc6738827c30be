#pragma once

#include <gtest/gtest.h>

#include "base/async/task_group.hpp"
#include "base/async/testing.hpp"
#include "rpc/channel.hpp"
#include "rpc/server.hpp"

/// For tests: a server and a channel at the two ends of a pipe in memory, and HTTP/2 frames by hand.
namespace nmp::rpc::testing {

using async::Awaitable;
using namespace std::chrono_literals;

inline Instant in(Duration d) { return async::system_clock().now() + d; }
inline Bytes text(std::string_view t) { return to_bytes(t); }

inline Awaitable<Status> echo(ServerCall& call) {
  auto message = co_await call.read_only();
  if (!message) co_return to_status(message.error());
  for (const auto& [name, value] : call.context().metadata.fields())
    if (name.starts_with("x-")) call.add_initial_metadata(name, value);
  call.add_trailing_metadata("x-address", call.context().caller.address);
  if (call.context().metadata.find("x-compress")) call.compress(true);
  auto written = co_await call.write(*std::move(message));
  co_return written ? Status() : to_status(written.error());
}

inline Awaitable<Status> echo_each(ServerCall& call) {
  for (;;) {
    auto message = co_await call.read();
    if (!message) co_return to_status(message.error());
    if (!*message) co_return Status();
    auto written = co_await call.write(**std::move(message));
    if (!written) co_return to_status(written.error());
  }
}

struct Rig {
  explicit Rig(async::Executor e, ServerLimits limits = ServerLimits()) : executor(e), server(e, limits), tasks(e) {
    auto pipe = async::memory_pipe(e, 256 * 1024);
    near = std::move(pipe.first);
    far = std::move(pipe.second);
    server.handle("/t.T/Echo", echo);
    server.handle("/t.T/EchoEach", echo_each);
  }
  static Awaitable<void> run_server(Server& server, async::ByteStreamPtr stream) {
    co_await server.serve(std::move(stream), Caller("here"));
  }
  /// The server at the far end, the channel at the near one.
  void start() {
    start_server();
    start_channel();
  }
  void start_server() { tasks.spawn(run_server(server, std::move(far))); }
  void start_channel() { channel = Channel::make(executor, std::move(near), channel_options); }
  Awaitable<void> stop() {
    if (channel) co_await channel->close();
    co_await server.close();
    co_await tasks.close();
  }
  async::Executor executor;
  Server server;
  async::TaskGroup tasks;
  async::ByteStreamPtr near, far;
  ChannelOptions channel_options;
  std::unique_ptr<Channel> channel;
};

template <class Body>
void with_rig(Body body, ServerLimits limits = ServerLimits()) {
  boost::asio::io_context context(1);
  auto run = [](boost::asio::io_context& c, Body test, ServerLimits l) -> Awaitable<bool> {
    Rig rig(c.get_executor(), l);
    co_await test(rig);
    co_await rig.stop();
    co_return true;
  };
  EXPECT_TRUE(async::run_until_done(context, run(context, std::move(body), limits)));
}

inline Bytes frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream, std::string_view payload) {
  Bytes out{std::byte(payload.size() >> 16),
            std::byte(payload.size() >> 8),
            std::byte(payload.size()),
            std::byte{type},
            std::byte{flags},
            std::byte(stream >> 24),
            std::byte(stream >> 16),
            std::byte(stream >> 8),
            std::byte(stream)};
  append(out, bytes_of(payload));
  return out;
}
inline Bytes preface() { return concat({bytes_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(4, 0, 0, "")}); }
/// A field without indexing, name and value below 127 bytes (RFC 7541 section 6.2.2).
inline std::string literal(std::string_view name, std::string_view value) {
  return std::string(1, '\0') + static_cast<char>(name.size()) + std::string(name) + static_cast<char>(value.size()) +
         std::string(value);
}

}  // namespace nmp::rpc::testing
