#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include <gtest/gtest.h>

#include "base/async/task_group.hpp"
#include "base/async/tcp.hpp"
#include "base/async/testing.hpp"
#include "crypto/random.hpp"
#include "rpc/channel.hpp"
#include "rpc/server.hpp"
#include "sandbox/engine.hpp"
#include "server/service.hpp"

namespace nmp::security {

using async::Awaitable;
using namespace std::chrono_literals;

/// The real clocks, set forward or back.
class SetClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return async::system_clock().now() + passed; }
  [[nodiscard]] UnixSeconds unix_now() const override { return async::system_clock().unix_now() + wall.count(); }
  Duration passed{0};
  std::chrono::seconds wall{0};
};

inline Instant in(Duration time) { return async::system_clock().now() + time; }

/// A folder that goes with its owner.
class TemporaryFolder {
 public:
  TemporaryFolder()
      : path_(std::filesystem::temp_directory_path() /
              ("nmp_security_" + std::to_string(crypto::system_random().u64()))) {
    std::filesystem::create_directories(path_ / "data");
    std::ofstream(path_ / "data" / "a.txt") << "dataset bytes";
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Capabilities: `scan` (one run a session), `many` (600), `closed` (asks for a grant).
inline server::Config test_config(const std::filesystem::path& folder, std::string_view more = {}) {
  auto parsed = server::parse_config(R"(
listen = ["/ip4/127.0.0.1/udp/0/quic-v1"]
[tcp]
listen = "127.0.0.1:0"
[[dataset]]
name = "logs"
path = "data"
[[capability]]
name = "scan"
datasets = ["logs"]
open = true
memory = "16MiB"
wall_time = "120s"
output = "8MiB"
[[capability]]
name = "many"
datasets = ["logs"]
open = true
memory = "16MiB"
wall_time = "120s"
output = "8MiB"
runs_per_session = 600
[[capability]]
name = "closed"
datasets = ["logs"]
)" + std::string(more),
                                     folder);
  for (const auto& problem : parsed.problems) ADD_FAILURE() << problem.to_text("test");
  return parsed.config;
}

struct WorldOptions {
  WorldOptions() { limits.probation = true; }
  std::string config;  ///< More TOML.
  rpc::ServerLimits limits;
  std::uint8_t node = 2;        ///< Whose key it has (core::testing::key_of).
  std::filesystem::path state;  ///< Empty: its own folder.
  Duration run_overhead = server::kRunOverhead;
};

inline libp2p::KeyPair key_of(std::uint8_t number) {
  SecretBytes<32> seed;
  std::ranges::fill(seed.mutable_view(), std::byte{number});
  return libp2p::KeyPair::from_seed(std::move(seed));
}
inline libp2p::PeerId peer_of(std::uint8_t number) { return libp2p::PeerId::of(key_of(number).public_key()); }

/// What a node says of its work.
class Notes final : public server::ServiceObserver {
 public:
  void negotiated(const libp2p::PeerId&, const server::Session&) override { ++negotiations; }
  void run_ended(const server::Session&, std::string_view reason, const core::Usage&) override {
    ended.emplace_back(reason);
  }
  std::size_t negotiations = 0;
  std::vector<std::string> ended;
};

/// A data node without libp2p: its callers are who the test says they are. close() before destruction.
class World {
 public:
  explicit World(async::Executor on, WorldOptions given = WorldOptions())
      : executor(on), options(std::move(given)), identity(key_of(options.node)), me(peer_of(options.node)), tasks(on) {
    if (options.state.empty()) options.state = own.path();
    config = test_config(own.path(), options.config);
    open_store();
    sandbox::EngineOptions engine_options{.receipt_key = identity.ed25519().copy(), .node = me};
    sandbox::DatasetOptions dataset;
    dataset.name = "logs";
    dataset.path = own.path() / "data";
    engine_options.datasets.push_back(dataset);
    engine_options.clock = &clock;
    engine_options.random = &crypto::system_random();
    engine_options.runner.runs_max = config.limits.runs;
    auto made = sandbox::Engine::make(executor, std::move(engine_options));
    NMP_ASSERT(made.has_value());
    engine = *std::move(made);
    auto [ours, theirs] = async::memory_pipe(executor, 256 * 1024);
    engine_client = std::make_unique<sandbox::EngineClient>(executor, std::move(ours));
    tasks.spawn(engine->serve(std::move(theirs)));
    open_service();
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// The end of a connection whose peer is `caller`; without one it is the plain listener's.
  std::shared_ptr<rpc::Channel> connect(std::optional<libp2p::PeerId> caller) {
    return keep(rpc::Channel::make(executor, stream(std::move(caller)), rpc::ChannelOptions()));
  }
  async::ByteStreamPtr stream(std::optional<libp2p::PeerId> caller) {
    auto [near, far] = async::memory_pipe(executor, 256 * 1024);
    tasks.spawn(serve(this, std::move(far), std::move(caller)));
    return std::move(near);
  }
  std::shared_ptr<rpc::Channel> keep(std::unique_ptr<rpc::Channel> channel) {
    channels.emplace_back(std::move(channel));
    return channels.back();
  }
  /// The agent's end of a connection that `other` serves, which ends before close().
  std::shared_ptr<rpc::Channel> connect_to(rpc::Server& other) {
    auto [near, far] = async::memory_pipe(executor, 256 * 1024);
    tasks.spawn(serve_by(&other, std::move(far)));
    return keep(rpc::Channel::make(executor, std::move(near), rpc::ChannelOptions()));
  }
  /// Over 127.0.0.1, as the plain listener serves it.
  Awaitable<std::shared_ptr<rpc::Channel>> connect_tcp() {
    if (!listener) {
      SocketAddress loopback;
      loopback.ip = {std::byte{127}, std::byte{0}, std::byte{0}, std::byte{1}};
      auto made = async::StreamListener::tcp(executor, loopback);
      NMP_ASSERT(made.has_value());
      listener = *std::move(made);
      tasks.spawn(accept(this));
    }
    SocketAddress address;
    address.ip = {std::byte{127}, std::byte{0}, std::byte{0}, std::byte{1}};
    address.port = listener->port();
    auto dialled = co_await async::dial_tcp(address, in(10s));
    NMP_ASSERT(dialled.has_value());
    co_return keep(rpc::Channel::make(executor, std::move(*dialled), rpc::ChannelOptions()));
  }

  /// The service ends and begins anew on the same state, as a process would: sessions and keys are gone.
  Awaitable<void> restart() {
    co_await stop_service();
    store.reset();
    open_store();
    open_service();
  }

  Awaitable<void> close() {
    co_await stop_service();
    if (listener) listener->close();
    co_await engine_client->close();
    co_await tasks.close();
  }

  /// Lets the network thread work until `done`, for at most `patience`.
  static Awaitable<bool> until(std::function<bool()> done, Duration patience = 20s) {
    auto end = in(patience);
    while (!done() && async::system_clock().now() < end) (void)co_await async::sleep_until(in(2ms));
    co_return done();
  }

  async::Executor executor;
  WorldOptions options;
  TemporaryFolder own;
  server::Config config;
  SetClock clock;
  libp2p::KeyPair identity;
  libp2p::PeerId me;
  crypto::Digest manifest_hash = crypto::sha256(bytes_of("manifest"));
  Notes notes;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<sandbox::Engine> engine;
  std::unique_ptr<sandbox::EngineClient> engine_client;
  std::unique_ptr<server::Service> service;
  std::unique_ptr<rpc::Server> rpc_server;
  std::unique_ptr<async::StreamListener> listener;
  std::vector<std::shared_ptr<rpc::Channel>> channels;
  async::TaskGroup tasks;

 private:
  void open_store() {
    auto opened = store::Store::open(options.state / "node.db");
    NMP_ASSERT(opened.has_value());
    store = *std::move(opened);
  }
  void open_service() {
    server::ServiceParts parts{.executor = executor,
                               .config = config,
                               .me = me,
                               .identity = identity.ed25519(),
                               .store = *store,
                               .engine = *engine_client,
                               .clock = clock,
                               .random = crypto::system_random(),
                               .observer = notes,
                               .manifest_hash = [this] { return manifest_hash; },
                               .trust = [](const libp2p::PeerId&) {}};
    parts.run_overhead = options.run_overhead;
    service = std::make_unique<server::Service>(std::move(parts));
    rpc_server = std::make_unique<rpc::Server>(executor, options.limits);
    service->register_with(*rpc_server);
  }
  Awaitable<void> stop_service() {
    for (auto closing = std::exchange(channels, {}); auto& channel : closing) co_await channel->close();
    co_await rpc_server->close();
    co_await service->close();
    rpc_server.reset();
    service.reset();
  }
  static Awaitable<void> serve(World* self, async::ByteStreamPtr stream, std::optional<libp2p::PeerId> caller) {
    rpc::Caller who = caller ? rpc::Caller(*caller, "test") : rpc::Caller("test");
    co_await self->rpc_server->serve(std::move(stream), std::move(who));
  }
  static Awaitable<void> serve_by(rpc::Server* other, async::ByteStreamPtr stream) {
    co_await other->serve(std::move(stream), rpc::Caller("agent"));
  }
  static Awaitable<void> accept(World* self) {
    for (;;) {
      auto accepted = co_await self->listener->accept();
      if (!accepted) co_return;
      self->tasks.spawn(serve(self, std::move(accepted->stream), std::nullopt));
    }
  }
};

/// Runs `body(world)` on a world of its own.
template <class Body>
void in_world(Body body, WorldOptions options = WorldOptions()) {
  boost::asio::io_context context(1);
  auto run = [](async::Executor executor, Body test, WorldOptions given) -> Awaitable<bool> {
    World world(executor, std::move(given));
    co_await test(world);
    co_await world.close();
    co_return true;
  };
  EXPECT_TRUE(async::run_until_done(context, run(context.get_executor(), std::move(body), std::move(options)), 250s));
}

}  // namespace nmp::security
