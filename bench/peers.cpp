// Two libp2p hosts in two processes: pings, bytes in bulk, connections that do nothing.
#include <fmt/format.h>

#include "base/async/event.hpp"
#include "base/async/task_group.hpp"
#include "base/async/tcp.hpp"
#include "bench.hpp"
#include "crypto/random.hpp"
#include "libp2p/host/machine.hpp"
#include "libp2p/host/perf_service.hpp"
#include "libp2p/ping/ping.hpp"
#include "rpc/server.hpp"

namespace nmp::bench {

namespace {

using libp2p::Host;
using libp2p::StreamPtr;
using std::chrono::milliseconds;

constexpr std::string_view kDiscard = "/bench/discard/1.0.0";
constexpr std::size_t kPieceBytes = 256UZ * 1024;

/// Over TCP with Noise alone, as the rows say: its opponents are told the same.
libp2p::HostOptions host_options() {
  libp2p::HostOptions options(libp2p::KeyPair::generate(crypto::system_random()));
  options.security = {libp2p::Security::noise};
  return options;
}

/// Reads all, then says how many bytes there were.
async::Awaitable<void> serve_discard(StreamPtr stream) {
  Bytes piece(kPieceBytes);
  std::size_t total = 0;
  for (;;) {
    auto size = co_await stream->read_some(piece);
    if (!size) co_return;
    if (*size == 0) break;
    total += *size;
  }
  const auto answer = std::to_string(total);
  auto written = co_await stream->write(bytes_of(answer));
  if (written) (void)co_await stream->close_write();
}

async::Awaitable<rpc::Status> echo(rpc::ServerCall& call) {
  auto message = co_await call.read_only();
  if (!message) co_return rpc::to_status(message.error());
  auto written = co_await call.write(std::move(*message));
  if (!written) co_return rpc::to_status(written.error());
  co_return rpc::Status();
}

async::Awaitable<void> serve_rpc(rpc::Server* server, async::ByteStreamPtr stream, rpc::Caller caller) {
  co_await server->serve(std::move(stream), std::move(caller));
}

async::Awaitable<void> accept_all(async::StreamListener* listener, rpc::Server* server, async::TaskGroup* tasks) {
  for (;;) {
    auto accepted = co_await listener->accept();
    if (!accepted) co_return;
    tasks->spawn(serve_rpc(server, std::move(accepted->stream), rpc::Caller(accepted->address)));
  }
}

async::Awaitable<Result<json>> ping_fresh(Host& host, libp2p::PeerId peer, std::size_t count, Duration interval) {
  Meter meter(0);
  for (std::size_t i = 0; i < count; ++i) {
    if (i == count / 10) meter.start();
    if (i > 0) NMP_CO_CHECK(co_await async::sleep_until(in(interval)));
    NMP_CO_TRY(const auto rtt, co_await host.ping(peer, in(kPatience)));
    meter.add(std::chrono::duration<double, std::micro>(rtt).count());
  }
  co_return meter.result();
}

async::Awaitable<Result<json>> ping_kept(Host& host, libp2p::PeerId peer, std::size_t count, pid_t peer_pid) {
  std::vector<std::string> protocols{std::string(libp2p::ping::kProtocol)};
  NMP_CO_TRY(auto stream, co_await host.open_stream(peer, std::move(protocols), in(kPatience)));
  const auto payload = crypto::system_random().bytes<libp2p::ping::kPayloadBytes>();
  libp2p::ping::Payload back{};
  Meter meter(peer_pid);
  for (std::size_t i = 0; i < count + count / 10; ++i) {
    if (i == count / 10) meter.start();
    NMP_CO_CHECK(co_await stream->write(payload));
    NMP_CO_CHECK(co_await async::read_exactly(*stream, back));
    meter.lap();
    if (back != payload) co_return fail(Errc::malformed, "another echo");
  }
  auto result = meter.result();
  (void)co_await stream->close_write();
  co_return result;
}

async::Awaitable<Result<json>> send_bulk(Host& host, libp2p::PeerId peer, std::size_t bytes, pid_t peer_pid) {
  std::vector<std::string> protocols{std::string(kDiscard)};
  NMP_CO_TRY(auto stream, co_await host.open_stream(peer, std::move(protocols), in(kPatience)));
  Bytes piece(kPieceBytes);
  crypto::system_random().fill(piece);
  Meter meter(peer_pid);
  for (std::size_t left = bytes; left > 0;) {
    const auto size = std::min(left, piece.size());
    NMP_CO_CHECK(co_await stream->write(ByteView(piece).first(size)));
    left -= size;
  }
  NMP_CO_CHECK(co_await stream->close_write());
  std::string answer;
  for (;;) {
    NMP_CO_TRY(const auto size, co_await stream->read_some(piece));
    if (size == 0) break;
    answer += text_of(ByteView(piece).first(size));
  }
  meter.lap();
  if (answer != std::to_string(bytes)) co_return fail(Errc::malformed, "the peer counted " + answer);
  auto result = meter.result();
  result["bytes"] = bytes;
  co_return result;
}

/// Hosts that dial at the same time.
struct Crowd {
  explicit Crowd(const async::Executor& executor) : changed(executor) {}
  async::Event changed;
  Meter meter{0};
  std::size_t connected = 0;
  std::optional<Error> failure;
};

async::Awaitable<void> join(Host* host, libp2p::PeerInfo peer, Crowd* crowd) {
  const auto begun = async::system_clock().now();
  auto connected = co_await host->connect(std::move(peer), in(kPatience));
  crowd->meter.add(std::chrono::duration<double, std::micro>(async::system_clock().now() - begun).count());
  if (connected) {
    ++crowd->connected;
  } else if (!crowd->failure) {
    crowd->failure = connected.error();
  }
  crowd->changed.notify_all();
}

}  // namespace

Command serve(async::MainLoop& loop, Options options) {
  auto settings = host_options();
  if (options.has("connections")) {
    NMP_CO_TRY(const auto connections, options.number("connections", 0));
    settings.limits.resources = libp2p::resources::Limits::scaled(libp2p::this_machine());
    settings.limits.resources->set_connections(connections);
    settings.limits.resources->system.descriptors = settings.limits.resources->transient.descriptors = SIZE_MAX;
  }
  for (const auto* at : {"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"}) {
    NMP_CO_TRY(auto listen, libp2p::Multiaddr::parse(at));
    settings.listen.push_back(std::move(listen));
  }
  NMP_CO_TRY(auto host, Host::make(loop.executor(), std::move(settings)));
  NMP_CO_TRY(const auto loopback, parse_endpoint("127.0.0.1:0"));
  NMP_CO_TRY(auto listener, async::StreamListener::tcp(loop.executor(), loopback));
  rpc::Server server(loop.executor(), rpc::ServerLimits());
  server.handle("/nmp.bench.Echo/Unary", &echo, rpc::MethodOptions());
  async::TaskGroup tasks(loop.executor());
  tasks.spawn(accept_all(listener.get(), &server, &tasks));
  host->handle(std::string(kDiscard), &serve_discard);
  host->handle(std::string(kGrpcProtocol), [&server](StreamPtr stream) {
    rpc::Caller caller(stream->remote(), stream->remote_address().to_text());
    return serve_rpc(&server, std::move(stream), std::move(caller));
  });
  libp2p::serve_perf(*host);
  json line;
  for (const auto& address : host->listen_addresses()) line["addrs"].push_back(address.with_peer(host->id()).to_text());
  line["tcp"] = fmt::format("127.0.0.1:{}", listener->port());
  say(line);
  co_await loop.until_interrupted();
  const auto held = host->resources();
  line = json();
  line["connections"] = held.system.usage.connections();
  line["refused"] = host->stats().handshakes_refused + held.system.refused + held.transient.refused;
  line["opened"] = host->stats().connections_opened;
  say(line);
  listener->close();
  co_await server.close();
  co_await tasks.close();
  co_await host->close();
  co_return json();
}

Command ping(async::MainLoop& loop, Options options) {
  NMP_CO_TRY(auto peer, parse_peer(options.text("dial")));
  NMP_CO_TRY(const auto count, options.number("count", 1000));
  NMP_CO_TRY(const auto interval, options.number("interval-ms", 0));
  NMP_CO_TRY(auto host, Host::make(loop.executor(), host_options()));
  const auto id = peer.id;
  auto result = Result<json>(json());
  if (auto connected = co_await host->connect(std::move(peer), in(kPatience)); !connected)
    result = fail(connected.error());
  if (result) {
    auto kept = options.text("stream", "kept") == "kept";
    auto pinging =
        kept ? ping_kept(*host, id, count, options.peer_pid()) : ping_fresh(*host, id, count, milliseconds(interval));
    result = co_await std::move(pinging);
  }
  co_await host->close();
  co_return result;
}

Command bulk(async::MainLoop& loop, Options options) {
  NMP_CO_TRY(auto peer, parse_peer(options.text("dial")));
  NMP_CO_TRY(const auto bytes, options.number("bytes", 64UZ << 20));
  NMP_CO_TRY(auto host, Host::make(loop.executor(), host_options()));
  const auto id = peer.id;
  auto result = Result<json>(json());
  if (auto connected = co_await host->connect(std::move(peer), in(kPatience)); !connected)
    result = fail(connected.error());
  if (result) result = co_await send_bulk(*host, id, bytes, options.peer_pid());
  co_await host->close();
  co_return result;
}

Command perf(async::MainLoop& loop, Options options) {
  NMP_CO_TRY(auto peer, parse_peer(options.text("dial")));
  NMP_CO_TRY(const auto upload, options.number("upload", 0));
  NMP_CO_TRY(const auto download, options.number("download", 0));
  NMP_CO_TRY(auto host, Host::make(loop.executor(), host_options()));
  const auto id = peer.id;
  auto result = Result<json>(json());
  if (auto connected = co_await host->connect(std::move(peer), in(kPatience)); !connected)
    result = fail(connected.error());
  if (result) {
    Meter meter(options.peer_pid());
    auto report = co_await libp2p::measure_perf(*host, id, upload, download, in(kPatience));
    meter.lap();
    result = meter.result();
    (*result)["upload"] = upload;
    (*result)["download"] = download;
    if (!report) result = fail(report.error());
  }
  co_await host->close();
  co_return result;
}

/// Holds one connection of each of `--count` hosts until it is killed; begins `--per-second` of them a second, or each
/// when the one before is up.
Command idle(async::MainLoop& loop, Options options) {
  NMP_CO_TRY(const auto peer, parse_peer(options.text("dial")));
  NMP_CO_TRY(const auto count, options.number("count", 200));
  NMP_CO_TRY(const auto per_second, options.number("per-second", 0));
  std::vector<std::unique_ptr<Host>> hosts;
  Crowd crowd(loop.executor());
  async::TaskGroup dials(loop.executor());
  const auto begun = async::system_clock().now();
  while (!crowd.failure && hosts.size() < count && !loop.interrupted()) {
    if (per_second > 0)
      NMP_CO_CHECK(co_await async::sleep_until(begun + std::chrono::seconds(1) * hosts.size() / per_second));
    auto host = Host::make(loop.executor(), host_options());
    if (!host) {
      crowd.failure = host.error();
      break;
    }
    hosts.push_back(std::move(*host));
    dials.spawn(join(hosts.back().get(), peer, &crowd));
    while (per_second == 0 && !crowd.failure && crowd.connected < hosts.size())
      NMP_CO_CHECK(co_await crowd.changed.wait(in(kPatience)));
  }
  while (!crowd.failure && crowd.connected < hosts.size()) NMP_CO_CHECK(co_await crowd.changed.wait(in(kPatience)));
  if (!crowd.failure) {
    auto line = crowd.meter.result();
    line["connected"] = hosts.size();
    say(line);
    co_await loop.until_interrupted();
  }
  co_await dials.close();
  for (auto& host : hosts) co_await host->close();
  if (crowd.failure) co_return fail(*crowd.failure);
  co_return json();
}

}  // namespace nmp::bench
