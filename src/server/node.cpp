#include "server/node.hpp"

#include <spdlog/spdlog.h>

#include "base/async/event.hpp"
#include "base/async/tcp.hpp"
#include "base/encoding.hpp"
#include "core/capability.hpp"
#include "crypto/random.hpp"
#include "libp2p/host/dht.hpp"
#include "libp2p/host/machine.hpp"
#include "rpc/reflection.hpp"
#include "server/manifest_service.hpp"
#include "server/network_limits.hpp"
#include "server/service.hpp"
#include "server/state_file.hpp"
#include "server/watch_keeper.hpp"
#include "store/storage_key.hpp"
#include "store/watch_store.hpp"

namespace nmp::server {

namespace {

constexpr std::chrono::seconds kSweepInterval{5};
/// What the DHT learned is written this often, and at the end: what a crash in between loses, others provide again.
constexpr std::chrono::minutes kSnapshotInterval{5};
constexpr std::chrono::seconds kJoinDeadline{15};
constexpr std::chrono::seconds kProvideDeadline{30};
constexpr std::chrono::seconds kProvideRetry{20};

class LogObserver final : public ServiceObserver {
 public:
  void negotiated(const libp2p::PeerId& agent, const Session& session) override {
    spdlog::debug("event=negotiated agent={} capability={}", agent.to_text(), session.capability);
  }
  void refused(const std::optional<libp2p::PeerId>& caller, std::string_view call, const Refusal& refusal) override {
    spdlog::debug("event=refused call={} caller={} reason={}", call, caller ? caller->to_text() : "-",
                  refusal.reason->reason);
    // An operator must act; callers can repeat it at will, so it is said once a minute.
    auto now = async::system_clock().now();
    if (refusal.reason->reason == "storage_failed" && now >= storage_said_ + std::chrono::minutes(1)) {
      storage_said_ = now;
      spdlog::error("event=storage_failed words=\"the state folder cannot be written: every call is refused\"");
    }
  }
  void run_ended(const Session& session, std::string_view reason, const core::Usage& used) override {
    spdlog::debug("event=run_ended agent={} capability={} reason={} fuel={} memory_bytes={} ms={}",
                  session.agent.to_text(), session.capability, reason.empty() ? "ok" : reason, used.fuel,
                  used.memory_bytes, used.wall_time_ms);
  }

 private:
  Instant storage_said_{};
};

std::vector<libp2p::PeerInfo> peers_of(const std::vector<libp2p::Multiaddr>& addresses) {
  std::vector<libp2p::PeerInfo> peers;
  for (const auto& address : addresses) {
    auto id = address.peer_id();
    auto where = address.without_peer();
    if (id && where) peers.push_back({*id, {*where}});
  }
  return peers;
}

}  // namespace

class Node::Impl {
 public:
  Impl(async::Executor on, NodeOptions given) : executor(std::move(on)), options(std::move(given)), tasks(executor) {}

  Result<void> open() {
    std::error_code error;
    std::filesystem::create_directories(options.state, error);
    if (error) return fail(Errc::io, "state folder " + options.state.string() + ": " + error.message());
    std::filesystem::permissions(options.state, std::filesystem::perms::owner_all, error);
    NMP_TRY(store, store::Store::open(options.state / "node.db"));

    libp2p::HostOptions host_options(options.identity.copy());
    host_options.listen = options.config.listen;
    host_options.key_log = options.key_log;
    host_options.limits.untrusted.reset();
    host_options.limits.resources = network_limits(options.config.limits, libp2p::this_machine());
    NMP_TRY(host, libp2p::Host::make(executor, std::move(host_options)));
    NMP_TRY(manifests, ManifestService::make(*host, options.config, *store, async::system_clock()));

    if (!options.config.capabilities.empty()) {
      sandbox::EngineOptions engine_options{.receipt_key = options.identity.ed25519().copy(), .node = host->id()};
      for (const auto& dataset : options.config.datasets) {
        sandbox::DatasetOptions folder;
        folder.name = dataset.name;
        folder.path = dataset.path;
        folder.commit = dataset.commit;
        engine_options.datasets.push_back(std::move(folder));
      }
      engine_options.clock = &async::system_clock();
      engine_options.random = &crypto::system_random();
      engine_options.runner.runs_max = options.config.limits.runs;
      engine_options.runner.worker_threads = options.config.limits.worker_threads;
      for (const auto& capability : options.config.capabilities)
        engine_options.runner.memory_bytes_max =
            std::max(engine_options.runner.memory_bytes_max, capability.limits.memory_bytes);
      const bool watches = std::ranges::any_of(
          options.config.capabilities, [](const CapabilityConfig& capability) { return capability.watch.has_value(); });
      std::vector<sandbox::StoredWatch> kept;
      SecretBytes<32> storage_key;
      if (watches || options.config.limits.code_cache_bytes > 0) {
        NMP_TRY(storage_key, store::load_or_create_storage_key(options.state / "storage.key", crypto::system_random()));
      }
      NMP_CHECK(open_code_caches(storage_key, watches));
      engine_options.runner.code_cache = run_code;
      if (watches) {
        NMP_TRY(watch_store, store::WatchStore::open(options.state / "watchdogs.db"));
        NMP_TRY(kept, stored_watchdogs(*watch_store, options.config));
        engine_options.watch.emplace();
        engine_options.watch->storage_key = std::move(storage_key);
        engine_options.watch->code_cache = watch_code;
        engine_options.watch->watchdogs_max = options.config.limits.watchdogs;
        engine_options.watch->per_owner_max = options.config.limits.watchdogs_per_caller;
        engine_options.watch->memory_bytes_max = options.config.limits.watchdog_memory;
        if (!kept.empty()) spdlog::info("event=watchdogs_restored count={}", kept.size());
      }
      NMP_TRY(engine, sandbox::Engine::make(executor, std::move(engine_options)));
      auto [ours, theirs] = async::memory_pipe(executor, 256 * 1024);
      engine_client = std::make_unique<sandbox::EngineClient>(executor, std::move(ours));
      tasks.spawn(engine->serve(std::move(theirs)));
      if (watches) {
        watch_keeper = std::make_unique<WatchKeeper>(*watch_store);
        engine_client->keep_watchdogs(*watch_keeper, std::move(kept));
      }

      ServiceParts parts{.executor = executor,
                         .config = options.config,
                         .me = host->id(),
                         .identity = options.identity.ed25519(),
                         .store = *store,
                         .engine = *engine_client,
                         .clock = async::system_clock(),
                         .random = crypto::system_random(),
                         .observer = observer,
                         .manifest_hash = [this] { return manifests->current().hash; },
                         .trust = [this](const libp2p::PeerId& peer) { host->mark_trusted(peer); }};
      parts.keeps_watchdogs = watches;
      service = std::make_unique<Service>(std::move(parts));
      rpc::ServerLimits limits;
      limits.probation = true;
      limits.connections_max = kGrpcStreamsMax;
      rpc_server = std::make_unique<rpc::Server>(executor, limits);
      service->register_with(*rpc_server);
      host->handle(std::string(kGrpcProtocol),
                   [this](libp2p::StreamPtr stream) { return serve_grpc(std::move(stream)); });
      if (options.config.tcp) NMP_CHECK(listen_tcp(*options.config.tcp));
    }
    host->handle(std::string(core::kManifestProtocol),
                 [this](libp2p::StreamPtr stream) { return manifests->serve(std::move(stream)); });
    libp2p::DhtOptions dht_options;
    dht_options.bootstrap = peers_of(options.config.bootstrap);
    dht = std::make_unique<libp2p::Dht>(*host, std::move(dht_options));
    restore_dht();
    for (const auto& capability : options.config.capabilities)
      if (capability.open)
        spdlog::warn("event=open_capability name={} words=\"anyone may run filters on it: no grant is asked for\"",
                     capability.name);
    if (options.key_log)
      spdlog::warn("event=key_log file={} words=\"TLS secrets are written to a file\"", options.key_log->string());
    return {};
  }

  /// Half of the disk's room for each, so that runs, which anyone with a grant may send, cannot crowd out the code of
  /// watchdogs.
  Result<void> open_code_caches(const SecretBytes<32>& storage_key, bool watches) {
    const auto bytes = options.config.limits.code_cache_bytes;
    if (bytes == 0) return {};
    const auto open = [&](const char* folder) {
      sandbox::CodeCacheOptions cache;
      cache.folder = options.state / folder;
      cache.bytes_max = watches ? bytes / 2 : bytes;
      cache.storage_key = storage_key.copy();
      cache.random = &crypto::system_random();
      return sandbox::CodeCache::open(std::move(cache));
    };
    NMP_TRY(run_code, open("code.runs"));
    if (watches) {
      NMP_TRY(watch_code, open("code.watchdogs"));
    }
    for (const auto* cache : {run_code.get(), watch_code.get()})
      if (cache != nullptr)
        spdlog::debug("event=code_cache_opened entries={} bytes={}", cache->stats().entries, cache->stats().bytes);
    return {};
  }

  /// An operator must look at both: somebody wrote into the folder, or nobody can.
  void look_at_code_caches() {
    std::uint64_t refused = 0;
    std::uint64_t failed = 0;
    for (const auto* cache : {run_code.get(), watch_code.get()}) {
      if (cache == nullptr) continue;
      const auto stats = cache->stats();
      refused += stats.refused;
      failed += stats.write_failures;
      spdlog::trace("event=code_cache hits={} misses={} refused={} stored={} evicted={} entries={} bytes={}",
                    stats.hits, stats.misses, stats.refused, stats.stored, stats.evicted, stats.entries, stats.bytes);
    }
    if (refused > code_refused)
      spdlog::warn(
          "event=code_cache_refused count={} words=\"compiled filters on the disk were not what this node "
          "stored: they were removed and compiled anew\"",
          refused - code_refused);
    if (failed > code_failed)
      spdlog::warn("event=code_cache_full count={} words=\"compiled filters could not be stored\"",
                   failed - code_failed);
    code_refused = refused;
    code_failed = failed;
  }

  [[nodiscard]] std::filesystem::path dht_file() const { return options.state / "dht.snapshot"; }

  /// A file that is none of ours, or broken, costs what it would have saved, no more.
  void restore_dht() {
    auto saved = load_state_file(dht_file(), libp2p::kad::kSnapshotBytesMax);
    if (!saved && saved.error().code == Errc::not_found) return;
    auto restored = saved ? dht->restore(*saved) : Result<void>(std::unexpected(saved.error()));
    if (!restored)
      spdlog::warn("event=dht_restore_failed error=\"{}\"", escape_text(restored.error().message()));
    else
      spdlog::debug("event=dht_restored records={}", dht->server().providers().size());
  }

  void save_dht() {
    dht_saved = async::system_clock().now();
    if (auto saved = replace_state_file(dht_file(), dht->snapshot()); !saved)
      spdlog::error("event=dht_save_failed error=\"{}\"", escape_text(saved.error().message()));
  }

  async::Awaitable<void> serve_grpc(libp2p::StreamPtr stream) {
    rpc::Caller caller(stream->remote(), stream->remote_address().to_text());
    co_await rpc_server->serve(std::move(stream), std::move(caller));
  }

  /// The listener for grpcurl and stock clients: nothing is proved about who is there, so the intent's signer is the
  /// caller.
  Result<void> listen_tcp(const TcpConfig& wanted) {
    if (wanted.unix_path) {
      NMP_TRY(tcp, async::StreamListener::unix_socket(executor, wanted.unix_path->string()));
      tcp_address = "unix:" + wanted.unix_path->string();
    } else {
      NMP_ASSERT(wanted.loopback);  // of the two exactly one is set
      SocketAddress address;
      address.is_v6 = wanted.loopback->ip.v6;
      address.ip = wanted.loopback->ip.bytes;
      address.port = wanted.loopback->port;
      if (!address.is_loopback()) return fail(Errc::unsupported, "tcp.listen is not a loopback address");
      NMP_TRY(tcp, async::StreamListener::tcp(executor, address));
      tcp_address = (address.is_v6 ? "[::1]:" : "127.0.0.1:") + std::to_string(tcp->port());
    }
    rpc::ServerLimits limits;
    limits.probation = true;
    limits.connections_max = kTcpConnectionsMax;
    tcp_server = std::make_unique<rpc::Server>(executor, limits);
    service->register_with(*tcp_server);
    rpc::add_health(*tcp_server);
    rpc::add_reflection(*tcp_server);
    tasks.spawn(accept_tcp());
    return {};
  }

  async::Awaitable<void> accept_tcp() {
    for (;;) {
      auto accepted = co_await tcp->accept();
      if (!accepted) {
        if (accepted.error().code != Errc::io) co_return;
        auto slept = co_await async::sleep_until(async::system_clock().now() + std::chrono::milliseconds(100));
        if (!slept) co_return;
        continue;
      }
      tasks.spawn(serve_tcp(std::move(accepted->stream), std::move(accepted->address)));
    }
  }

  async::Awaitable<void> serve_tcp(async::ByteStreamPtr stream, std::string address) {
    rpc::Caller caller(std::move(address));
    co_await tcp_server->serve(std::move(stream), std::move(caller));
  }

  /// Joins and provides; tries again while it fails, since a mesh may come up after its nodes.
  async::Awaitable<void> join() {
    while (!options.config.bootstrap.empty()) {
      auto joined = co_await dht->bootstrap(async::system_clock().now() + kJoinDeadline);
      if (joined || joined.error().code == Errc::cancelled) break;
      spdlog::warn("event=join_failed words=\"no bootstrap peer answered; trying again\"");
      auto slept = co_await async::sleep_until(async::system_clock().now() + std::chrono::seconds(2));
      if (!slept) co_return;
    }
    if (options.config.bootstrap.empty()) {
      auto alone = co_await dht->bootstrap(async::system_clock().now() + kJoinDeadline);
      if (!alone && alone.error().code == Errc::cancelled) co_return;
    }
    joined_once = true;
    changed.notify_all();
    tasks.spawn(provide_all());
  }

  async::Awaitable<void> provide_all() {
    for (const auto& capability : options.config.capabilities) {
      for (;;) {
        auto key = core::capability_key(capability.name);
        auto told = co_await dht->provide(std::move(key), async::system_clock().now() + kProvideDeadline);
        if (told) {
          spdlog::info("event=provided capability={} peers={}", capability.name, *told);
          break;
        }
        if (told.error().code == Errc::cancelled) co_return;
        // Alone so far: the DHT announces again by itself once there are peers; asking again soon makes a young mesh
        // quick.
        auto slept = co_await async::sleep_until(async::system_clock().now() +
                                                 (dht->table().size() == 0 ? kRetryAlone : kProvideRetry));
        if (!slept) co_return;
      }
    }
  }

  async::Awaitable<void> housekeeping() {
    for (;;) {
      auto slept = co_await async::sleep_until(async::system_clock().now() + kSweepInterval);
      if (!slept) co_return;
      if (service) service->sweep();
      look_at_code_caches();
      if (async::system_clock().now() - dht_saved >= kSnapshotInterval) save_dht();
      if (auto refreshed = manifests->refresh(); !refreshed)
        spdlog::error("event=manifest_refresh_failed error=\"{}\"", escape_text(refreshed.error().message()));
    }
  }

  static constexpr std::chrono::seconds kRetryAlone{1};

  async::Executor executor;
  NodeOptions options;
  LogObserver observer;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<store::WatchStore> watch_store;
  std::shared_ptr<sandbox::CodeCache> run_code;    // the engine's too
  std::shared_ptr<sandbox::CodeCache> watch_code;  // the engine's too
  std::uint64_t code_refused = 0;
  std::uint64_t code_failed = 0;
  std::unique_ptr<WatchKeeper> watch_keeper;  ///< Outlives the engine's client.
  std::unique_ptr<libp2p::Host> host;
  std::unique_ptr<ManifestService> manifests;
  std::unique_ptr<sandbox::Engine> engine;
  std::unique_ptr<sandbox::EngineClient> engine_client;
  std::unique_ptr<Service> service;
  std::unique_ptr<rpc::Server> rpc_server;  ///< On libp2p streams.
  std::unique_ptr<rpc::Server> tcp_server;  ///< On the plain listener: with what tools ask for.
  std::unique_ptr<libp2p::Dht> dht;
  std::unique_ptr<async::StreamListener> tcp;
  std::optional<std::string> tcp_address;
  Instant dht_saved = async::system_clock().now();
  bool joined_once = false;
  async::Event changed{executor};
  async::TaskGroup tasks;
};

Node::Node(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Node::~Node() = default;

async::Awaitable<Result<std::unique_ptr<Node>>> Node::start(async::Executor executor, NodeOptions options) {
  std::unique_ptr<Node> node(new Node(std::make_unique<Impl>(std::move(executor), std::move(options))));
  auto opened = node->impl_->open();
  if (!opened) {
    co_await node->close();
    co_return fail(opened.error());
  }
  node->impl_->tasks.spawn(node->impl_->join());
  node->impl_->tasks.spawn(node->impl_->housekeeping());
  // Ready means reachable: with a bootstrap peer, the node waits for its first join, but not for ever.
  auto deadline = async::system_clock().now() + kJoinDeadline;
  while (!node->impl_->joined_once) {
    auto waited = co_await node->impl_->changed.wait(deadline);
    if (waited || waited.error().code != Errc::cancelled) {
      if (!waited) break;
      continue;
    }
    co_await node->close();
    co_return fail(Errc::cancelled);
  }
  co_return std::move(node);
}

Ready Node::ready() const {
  Ready ready(impl_->host->id());
  for (const auto& address : impl_->host->listen_addresses()) ready.addresses.push_back(address.with_peer(ready.peer));
  ready.tcp = impl_->tcp_address;
  ready.peers_joined = impl_->dht->table().size();
  return ready;
}

libp2p::Host& Node::host() { return *impl_->host; }

async::Awaitable<void> Node::close() {
  auto& impl = *impl_;
  if (impl.tcp) impl.tcp->close();
  if (impl.tcp_server) co_await impl.tcp_server->close();
  if (impl.rpc_server) co_await impl.rpc_server->close();
  if (impl.service) co_await impl.service->close();
  if (impl.dht) {
    impl.save_dht();
    co_await impl.dht->close();
  }
  if (impl.engine_client) co_await impl.engine_client->close();
  impl.look_at_code_caches();
  co_await impl.tasks.close();
  if (impl.host) co_await impl.host->close();
}

}  // namespace nmp::server
