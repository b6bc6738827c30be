// Unary calls of our gRPC runtime, one after the other, inside a QUIC stream or on TCP.
#include "base/async/tcp.hpp"
#include "bench.hpp"
#include "crypto/random.hpp"
#include "rpc/channel.hpp"

namespace nmp::bench {

namespace {

/// What both sides' messages hold: a small request of an RPC.
constexpr std::size_t kMessageBytes = 64;

async::Awaitable<Result<json>> call_many(rpc::Channel& channel, std::size_t count, pid_t peer_pid) {
  const Bytes message(kMessageBytes, std::byte{7});
  Meter meter(peer_pid);
  for (std::size_t i = 0; i < count + count / 10; ++i) {
    if (i == count / 10) meter.start();
    rpc::CallOptions options;
    options.deadline = in(kPatience);
    auto calling = channel.unary("/nmp.bench.Echo/Unary", message, std::move(options));
    NMP_CO_TRY(const auto reply, co_await std::move(calling));
    meter.lap();
    if (reply != message) co_return fail(Errc::malformed, "another echo");
  }
  co_return meter.result();
}

async::Awaitable<Result<json>> call_over(async::Executor executor,
                                         async::ByteStreamPtr stream,
                                         std::size_t count,
                                         pid_t peer_pid) {
  auto channel = rpc::Channel::make(executor, std::move(stream), rpc::ChannelOptions());
  auto result = co_await call_many(*channel, count, peer_pid);
  co_await channel->close();
  co_return result;
}

async::Awaitable<Result<json>> call_over_quic(libp2p::Host& host,
                                              libp2p::PeerInfo peer,
                                              std::size_t count,
                                              pid_t peer_pid) {
  const auto id = peer.id;
  NMP_CO_CHECK(co_await host.connect(std::move(peer), in(kPatience)));
  std::vector<std::string> protocols{std::string(kGrpcProtocol)};
  NMP_CO_TRY(auto stream, co_await host.open_stream(id, std::move(protocols), in(kPatience)));
  co_return co_await call_over(host.executor(), std::move(stream), count, peer_pid);
}

}  // namespace

Command grpc(async::MainLoop& loop, Options options) {
  NMP_CO_TRY(const auto count, options.number("count", 2000));
  if (options.has("tcp")) {
    NMP_CO_TRY(const auto address, parse_endpoint(options.text("tcp")));
    NMP_CO_TRY(auto stream, co_await async::dial_tcp(address, in(kPatience)));
    co_return co_await call_over(loop.executor(), std::move(stream), count, options.peer_pid());
  }
  NMP_CO_TRY(auto peer, parse_peer(options.text("dial")));
  libp2p::HostOptions settings(libp2p::KeyPair::generate(crypto::system_random()));
  NMP_CO_TRY(auto host, libp2p::Host::make(loop.executor(), std::move(settings)));
  auto result = co_await call_over_quic(*host, std::move(peer), count, options.peer_pid());
  co_await host->close();
  co_return result;
}

}  // namespace nmp::bench
