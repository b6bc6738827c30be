#include "client/agent.hpp"

#include "base/async/with_deadline.hpp"
#include "core/capability.hpp"
#include "core/watch.hpp"

namespace nmp::client {

namespace {

constexpr std::string_view kGrpcProtocol = "/nmp/grpc/1.0.0";
/// A manifest is read whole; core caps what it may hold, this caps what is read.
constexpr std::size_t kManifestBytesMax = 256 * 1024;
/// Then the next bootstrap address is tried.
constexpr std::chrono::seconds kBootstrapPatience{5};

double seconds_since(Instant start) {
  return std::chrono::duration<double>(async::system_clock().now() - start).count();
}

}  // namespace

class Agent::Impl {
 public:
  Impl(async::Executor on,
       AgentOptions given,
       std::unique_ptr<store::Store> records,
       std::unique_ptr<libp2p::Host> node)
      : executor(std::move(on)), options(std::move(given)), store(std::move(records)), host(std::move(node)) {
    libp2p::DhtOptions dht_options;
    dht_options.mode = libp2p::kad::Mode::client;
    dht_options.bootstrap = options.bootstrap;
    dht = std::make_unique<libp2p::Dht>(*host, std::move(dht_options));
  }

  /// The agent and the calls under way: while one awaits, another may find the channel dead and replace it.
  using ChannelPtr = std::shared_ptr<rpc::Channel>;

  /// One gRPC connection per node, made anew once it is dead.
  async::Awaitable<Attempt<ChannelPtr>> channel(libp2p::PeerId node, Instant deadline) {
    if (auto live = find(node)) co_return live;
    std::vector<std::string> protocols{std::string(kGrpcProtocol)};
    auto stream = co_await host->open_stream(node, std::move(protocols), deadline);
    if (!stream) co_return std::unexpected(failure("unavailable", stream.error().message()));
    if (closed) co_return std::unexpected(failure("cancelled"));
    if (auto live = find(node)) co_return live;  // another call was quicker; the stream ends here
    ChannelPtr made = rpc::Channel::make(executor, std::move(*stream), rpc::ChannelOptions());
    auto dead = std::exchange(channels[node], made);
    if (dead) co_await dead->close();
    co_return made;
  }
  ChannelPtr find(const libp2p::PeerId& node) const {
    auto it = channels.find(node);
    return it != channels.end() && it->second->alive() ? it->second : nullptr;
  }

  async::Executor executor;
  AgentOptions options;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<libp2p::Host> host;
  std::unique_ptr<libp2p::Dht> dht;
  std::map<libp2p::PeerId, ChannelPtr> channels;
  bool closed = false;
};

Agent::Agent(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Agent::~Agent() = default;

Result<std::unique_ptr<Agent>> Agent::make(async::Executor executor, AgentOptions options) {
  auto file = options.state.empty() ? std::filesystem::path() : options.state / "agent.db";
  NMP_TRY(auto store, store::Store::open(file));
  libp2p::HostOptions host_options(options.identity.copy());
  host_options.key_log = options.key_log;
  NMP_TRY(auto host, libp2p::Host::make(executor, std::move(host_options)));
  auto impl = std::make_unique<Impl>(executor, std::move(options), std::move(store), std::move(host));
  return std::unique_ptr<Agent>(new Agent(std::move(impl)));
}

libp2p::Host& Agent::host() { return *impl_->host; }
libp2p::Dht& Agent::dht() { return *impl_->dht; }
store::Store& Agent::store() { return *impl_->store; }

async::Awaitable<Attempt<std::size_t>> Agent::join(Instant deadline) {
  if (impl_->options.bootstrap.empty())
    co_return std::unexpected(
        failure("nobody_reachable", "no bootstrap address: give --bootstrap, or set NMP_BOOTSTRAP"));
  // A client fills no routing table of its own: one member of the mesh is where its lookups start.
  std::string last;
  auto peers = impl_->options.bootstrap;
  for (auto& peer : peers) {
    auto id = peer.id;
    auto until = std::min(deadline, async::system_clock().now() + kBootstrapPatience);
    impl_->host->forget_failures(id);
    auto connected = co_await impl_->host->connect(std::move(peer), until);
    if (connected) co_return std::size_t{1};
    if (connected.error().code == Errc::cancelled) co_return std::unexpected(failure("cancelled"));
    last = id.to_text() + ": " + connected.error().message();
  }
  co_return std::unexpected(failure("nobody_reachable", "no bootstrap peer answered; " + last));
}

async::Awaitable<Attempt<std::vector<libp2p::PeerInfo>>> Agent::find(std::string capability,
                                                                     std::size_t count,
                                                                     libp2p::Dht::ProviderFound found,
                                                                     Instant deadline) {
  auto key = core::capability_key(capability);
  auto providers = co_await impl_->dht->find_providers(std::move(key), count, std::move(found), deadline);
  if (providers) co_return std::move(*providers);
  if (providers.error().code == Errc::cancelled) co_return std::unexpected(failure("cancelled"));
  co_return std::unexpected(failure("nobody_found", "the mesh knows no provider of " + capability));
}

namespace {
async::Awaitable<Result<Bytes>> read_to_end(libp2p::Stream& stream, std::size_t size_max) {
  Bytes all;
  std::array<std::byte, 4096> buffer{};
  for (;;) {
    NMP_CO_TRY(auto size, co_await stream.read_some(buffer));
    if (size == 0) co_return all;
    if (all.size() + size > size_max) co_return fail(Errc::too_large);
    append(all, ByteView(buffer).first(size));
  }
}
}  // namespace

async::Awaitable<Attempt<core::ReceivedManifest>> Agent::manifest(libp2p::PeerInfo node, Instant deadline) {
  auto id = node.id;
  impl_->host->forget_failures(id);
  auto connected = co_await impl_->host->connect(std::move(node), deadline);
  if (!connected) co_return std::unexpected(failure("nobody_reachable", connected.error().message()));
  std::vector<std::string> protocols{std::string(core::kManifestProtocol)};
  auto stream = co_await impl_->host->open_stream(id, std::move(protocols), deadline);
  if (!stream) co_return std::unexpected(failure("nobody_reachable", stream.error().message()));
  auto closed = co_await (*stream)->close_write();
  if (!closed) co_return std::unexpected(failure("nobody_reachable", closed.error().message()));
  auto bytes = co_await async::with_deadline(deadline, read_to_end(**stream, kManifestBytesMax));
  // A stream that broke says nothing of the manifest; one that does not end does.
  if (!bytes) {
    const auto* reason = bytes.error().code == Errc::too_large ? "bad_manifest" : "unavailable";
    co_return std::unexpected(failure(reason, "its manifest: " + bytes.error().message()));
  }
  auto now = async::system_clock().unix_now();
  auto received = core::verify_manifest(*bytes, id, now);
  if (!received) co_return std::unexpected(failure("bad_manifest", received.error().message()));
  auto accepted = impl_->store->accept_manifest(id, received->manifest.seq, received->hash, now);
  if (!accepted) co_return std::unexpected(failure("bad_manifest", accepted.error().message()));
  co_return std::move(*received);
}

async::Awaitable<Attempt<SessionPtr>> Agent::negotiate(libp2p::PeerInfo node,
                                                       const RunRequest& request,
                                                       Instant deadline,
                                                       RunObserver& observer) {
  if (request.require != core::ReceiptKind::is_signed)
    co_return std::unexpected(failure("not_available", "receipts of that kind are not available"));
  auto started = async::system_clock().now();
  auto id = node.id;
  observer.step(id, "connect");
  auto manifest = co_await this->manifest(std::move(node), deadline);
  if (!manifest) co_return std::unexpected(manifest.error());
  if (!core::is_watch_request(request.op) && manifest->manifest.find(request.capability) == nullptr)
    co_return std::unexpected(
        failure("unknown_capability", "the node's manifest does not offer " + request.capability));
  auto connected = seconds_since(started);

  observer.step(id, "negotiate");
  auto channel = co_await impl_->channel(id, deadline);
  if (!channel) co_return std::unexpected(channel.error());

  auto session = co_await negotiate_over(**channel, id, impl_->options.identity, manifest->hash, request, deadline);
  if (!session) co_return std::unexpected(session.error());
  if (impl_->options.trust.find(id) != nullptr) (*session)->pinned = true;
  (*session)->seconds.connect = connected;
  co_return std::move(*session);
}

async::Awaitable<Attempt<RunOutcome>> Agent::execute(Session& session, Instant deadline, RunObserver& observer) {
  observer.step(session.node(), "run");
  auto channel = co_await impl_->channel(session.node(), deadline);
  if (!channel) co_return std::unexpected(channel.error());
  auto executed = co_await execute_over(**channel, session, deadline, observer);
  if (!executed) co_return std::unexpected(executed.error());
  if (executed->record) {
    auto added = impl_->store->add_run(*executed->record);
    if (!added)
      co_return std::unexpected(failure("internal", "the run record was not stored: " + added.error().message()));
  }
  co_return std::move(executed->outcome);
}

async::Awaitable<Attempt<RunOutcome>> Agent::run(libp2p::PeerInfo node,
                                                 const RunRequest& request,
                                                 Instant deadline,
                                                 RunObserver& observer) {
  const auto id = node.id;
  auto session = co_await negotiate(std::move(node), request, deadline, observer);
  if (!session) co_return std::unexpected(session.error());
  std::string address;
  for (const auto& connection : impl_->host->connections())
    if (connection.peer == id) address = connection.address.to_text();
  auto outcome = co_await execute(**session, deadline, observer);
  if (outcome) outcome->address = std::move(address);
  co_return outcome;
}

async::Awaitable<void> Agent::close() {
  impl_->closed = true;
  for (auto channels = std::exchange(impl_->channels, {}); auto& [node, channel] : channels) co_await channel->close();
  co_await impl_->dht->close();
  co_await impl_->host->close();
}

}  // namespace nmp::client
