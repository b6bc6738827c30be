#include "libp2p/host/dht.hpp"

#include <algorithm>

#include "base/async/with_deadline.hpp"
#include "crypto/random.hpp"
#include "libp2p/identify/profile.hpp"

namespace nmp::libp2p {
namespace {

constexpr std::size_t kReadBytes = 16UZ * 1024;
/// How often the periodic work looks whether something is due.
constexpr Duration kTick = std::chrono::seconds(15);

Instant now() { return async::system_clock().now(); }

kad::Now both_times() { return kad::Now{now(), async::system_clock().unix_now()}; }

/// What came over a public connection names no private address to dial.
void clean(std::vector<PeerInfo>& peers, const Multiaddr& heard_over) {
  for (auto& peer : peers) peer.addresses = identify::keep_reachable(std::move(peer.addresses), heard_over, peer.id);
}

}  // namespace

struct Dht::Run {
  Run(Dht& dht, kad::Query::Want want, const std::vector<PeerInfo>& seeds, kad::LookupOptions options)
      : query(std::move(want), dht.host_.id(), seeds, dht.options_.validators, options, now(), dht.observer_),
        changed(dht.tasks_.executor()) {}
  kad::Query query;
  bool news = false;  ///< since the loop last asked the query what to do
  async::Event changed;
};

struct Dht::Tally {
  explicit Tally(const async::Executor& executor) : changed(executor) {}
  std::size_t pending = 0;
  std::size_t delivered = 0;
  async::Event changed;
};

/// Counts a public function in progress: close() waits for its end.
class Dht::Call {
 public:
  explicit Call(Dht& dht) : dht_(dht) { ++dht_.calls_; }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() {
    --dht_.calls_;
    dht_.call_ended_.notify_all();
  }

 private:
  Dht& dht_;
};

Dht::Dht(Host& host, DhtOptions options)
    : host_(host),
      options_(std::move(options)),
      observer_(options_.observer != nullptr ? *options_.observer : kad::silent_observer()),
      table_(host.id(), kad::TableOptions{.k = options_.k, .diversity = options_.diversity}, observer_),
      server_(
          table_,
          options_.validators,
          [this](const PeerId& peer) { return known(peer); },
          kad::ServerOptions{.k = options_.k},
          observer_),
      tasks_(host.executor()),
      streams_(host, tasks_, options_.protocol, options_.message_bytes_max),
      call_ended_(host.executor()),
      self_(std::make_shared<Dht*>(this)) {
  host_.add_observer(this);
  if (options_.server)
    host_.handle(options_.protocol, [self = self_](StreamPtr stream) { return accept(self, std::move(stream)); });
}

Dht::~Dht() { NMP_ASSERT(closed()); }

async::Awaitable<void> Dht::close() {
  if (closed()) co_return;
  host_.remove_observer(this);
  if (options_.server) host_.unhandle(options_.protocol);
  *self_ = nullptr;
  self_.reset();
  co_await tasks_.close();
  while (calls_ > 0) {
    auto waited = co_await call_ended_.wait();
    if (!waited) co_await boost::asio::this_coro::reset_cancellation_state();
  }
  streams_.clear();
}

void Dht::identified(const PeerId& peer, const PeerDetails& details) {
  if (std::ranges::find(details.protocols, options_.protocol) == details.protocols.end()) {
    table_.remove(peer);
    return;
  }
  PeerInfo info{peer, {}};
  auto connections = host_.connections();
  auto connection = std::ranges::find(connections, peer, &ConnectionInfo::peer);
  if (connection != connections.end()) {
    info.addresses = details.listen_addresses;
    info.addresses.insert(info.addresses.begin(), connection->address);
    info.addresses = identify::keep_reachable(std::move(info.addresses), connection->address, peer);
  }
  table_.insert(std::move(info), now());
}

void Dht::disconnected(const PeerId& peer) {
  if (table_.contains(peer)) lost_ = true;
}

std::optional<PeerInfo> Dht::known(const PeerId& peer) const {
  if (peer == host_.id()) return PeerInfo{peer, host_.listen_addresses()};
  auto member = table_.find(peer);
  if (member) return member;
  if (!host_.is_connected(peer)) return std::nullopt;
  auto addresses = host_.addresses(peer);
  if (addresses.empty()) return std::nullopt;
  return PeerInfo{peer, std::move(addresses)};
}

std::vector<PeerInfo> Dht::seeds_for(const kad::Key& target) const {
  auto seeds = table_.closest(target, options_.k);
  return seeds.empty() ? options_.bootstrap : seeds;
}

// ---- asking

async::Awaitable<Result<Dht::RunPtr>> Dht::run(kad::Query::Want want,
                                               std::vector<PeerInfo> seeds,
                                               ProviderFound found,
                                               Instant deadline) {
  kad::LookupOptions options;
  options.k = options_.k;
  options.alpha = options_.alpha;
  options.beta = options_.beta;
  options.request_timeout = options_.request_timeout;
  options.deadline = deadline;
  auto run = std::make_shared<Run>(*this, std::move(want), seeds, options);
  while (true) {
    if (closed()) co_return fail(Errc::cancelled);
    for (auto& provider : run->query.take_providers()) {
      if (provider.id == host_.id()) continue;
      host_.add_addresses(provider.id, provider.addresses, kad::kFoundAddressTtl);
      if (found && !found(provider)) run->query.stop(now());
    }
    if (run->query.done()) break;
    run->news = false;
    for (auto& peer : run->query.next(now())) tasks_.spawn(ask(run, std::move(peer)));
    // A request may be over before spawn() returns (dial backoff, no address): nobody waits for its event yet.
    if (run->news) continue;
    auto woken = co_await run->changed.wait(run->query.deadline());
    if (!woken && woken.error().code == Errc::cancelled) {
      run->query.stop(now());
      co_return fail(Errc::cancelled);
    }
    run->query.on_timer(now());
  }
  co_return run;
}

async::Awaitable<void> Dht::ask(RunPtr run, PeerInfo peer) {
  host_.add_addresses(peer.id, peer.addresses, kad::kHeardAddressTtl);
  auto deadline = now() + options_.request_timeout;
  auto answer = co_await streams_.request(peer.id, run->query.request(), deadline);
  if (answer) {
    clean(answer->message.closer_peers, answer->from);
    clean(answer->message.provider_peers, answer->from);
    table_.on_answer(peer.id, now());
    if (!table_.contains(peer.id)) table_.insert(peer, now());
    run->query.on_answer(peer.id, answer->message, now(), async::system_clock().unix_now());
  } else {
    if (answer.error().code != Errc::cancelled) table_.on_failure(peer.id);
    run->query.on_failure(peer.id, now());
  }
  run->news = true;
  run->changed.notify_all();
}

async::Awaitable<Result<std::size_t>> Dht::send_to_all(std::vector<PeerInfo> peers,
                                                       kad::Message message,
                                                       Instant deadline) {
  auto tally = std::make_shared<Tally>(tasks_.executor());
  if (closed()) co_return fail(Errc::cancelled);
  tally->pending = peers.size();
  for (auto& peer : peers) tasks_.spawn(deliver(tally, std::move(peer), message, deadline));
  while (tally->pending > 0) {
    auto woken = co_await tally->changed.wait();
    if (!woken) co_return fail(std::move(woken).error());
  }
  if (closed()) co_return fail(Errc::cancelled);
  co_return tally->delivered;
}

async::Awaitable<void> Dht::deliver(TallyPtr tally, PeerInfo peer, kad::Message message, Instant deadline) {
  auto until = std::min(deadline, now() + options_.request_timeout);
  bool delivered = false;
  if (message.type == kad::MessageType::add_provider) {
    auto sent = co_await streams_.send(peer.id, std::move(message), until);
    delivered = sent.has_value();
  } else {
    auto answer = co_await streams_.request(peer.id, std::move(message), until);
    delivered = answer && answer->message.type == kad::MessageType::put_value;
  }
  if (delivered) ++tally->delivered;
  --tally->pending;
  tally->changed.notify_all();
}

async::Awaitable<Result<void>> Dht::look_up_self(Instant deadline) {
  kad::Query::Want want;
  want.key = to_bytes(host_.id().bytes());
  auto seeds = table_.closest(table_.self_key(), options_.k);
  // Always: a bootstrap peer that was away for so long that it left the tables knows nobody until a member comes back.
  seeds.insert(seeds.end(), options_.bootstrap.begin(), options_.bootstrap.end());
  NMP_CO_TRY(auto done, co_await run(std::move(want), std::move(seeds), ProviderFound(), deadline));
  last_stats_ = done->query.stats(now());
  if (done->query.closest().empty()) co_return fail(Errc::unavailable, "kad: no peer answered");
  co_return Result<void>();
}

async::Awaitable<Result<void>> Dht::refresh_buckets(Instant deadline) {
  auto depth = table_.refresh_depth();
  for (std::size_t prefix = 0; prefix <= depth && now() < deadline; ++prefix) {
    kad::Query::Want want;
    want.key = kad::raw_key_in_bucket(table_.self_key(), prefix, crypto::system_random());
    auto seeds = seeds_for(kad::Key::of(want.key));
    NMP_CO_TRY(auto done, co_await run(std::move(want), std::move(seeds), ProviderFound(), deadline));
  }
  co_return Result<void>();
}

async::Awaitable<Result<std::size_t>> Dht::bootstrap(Instant deadline) {
  Call call(*this);
  if (!maintaining_ && !closed()) {
    maintaining_ = true;
    tasks_.spawn(maintain());
  }
  NMP_CO_CHECK(co_await look_up_self(deadline));
  auto stats = last_stats_;
  NMP_CO_CHECK(co_await refresh_buckets(deadline));
  last_stats_ = stats;
  co_return table_.size();
}

async::Awaitable<void> Dht::maintain() {
  auto tick = std::min({kTick, options_.refresh_interval / 2, options_.provide_interval / 4});
  auto refreshed = now();
  auto checked = now();
  while (!closed()) {
    auto slept = co_await async::sleep_until(now() + tick);
    if (!slept || closed()) co_return;
    server_.expire(now());
    streams_.close_idle(now() - kad::kStreamIdle);

    auto stats = last_stats_;  // of calls only
    auto deadline = now() + kad::kLookupTimeout;
    bool low =
        table_.size() < kad::kTableLow && (std::exchange(lost_, false) || now() - checked >= kad::kTableCheckInterval);
    bool due = now() - refreshed >= options_.refresh_interval;
    if (low || due) {
      checked = now();
      auto joined = co_await look_up_self(deadline);
      if (!joined && joined.error().code == Errc::cancelled) co_return;
    }
    if (due) {
      refreshed = now();
      auto refresh = co_await refresh_buckets(deadline);
      if (!refresh) co_return;
      // Questionable members: who does not answer makes room.
      for (auto& member : table_.stale(now())) {
        kad::Message ping;
        ping.key = to_bytes(host_.id().bytes());
        auto answer = co_await streams_.request(member.id, std::move(ping), now() + options_.request_timeout);
        if (closed()) co_return;
        if (answer)
          table_.on_answer(member.id, now());
        else
          table_.on_failure(member.id);
      }
    }
    std::vector<Bytes> again;
    for (const auto& [key, at] : provided_)
      if (now() - at >= options_.provide_interval) again.push_back(key);
    for (auto& key : again) {
      auto announced = co_await announce(std::move(key), now() + kad::kLookupTimeout);
      if (!announced && announced.error().code == Errc::cancelled) co_return;
    }
    last_stats_ = stats;
  }
}

async::Awaitable<Result<std::size_t>> Dht::announce(Bytes key, Instant deadline) {
  kad::Query::Want want;
  want.key = key;
  auto seeds = seeds_for(kad::Key::of(key));
  NMP_CO_TRY(auto done, co_await run(std::move(want), std::move(seeds), ProviderFound(), deadline));
  last_stats_ = done->query.stats(now());
  kad::Message message;
  message.type = kad::MessageType::add_provider;
  message.key = key;
  message.provider_peers.push_back(PeerInfo{host_.id(), host_.listen_addresses()});
  NMP_CO_TRY(auto sent, co_await send_to_all(done->query.closest(), std::move(message), deadline));
  // Announced to nobody: due again at the next tick.
  if (auto provided = provided_.find(key); provided != provided_.end() && sent > 0) provided->second = now();
  if (sent == 0) co_return fail(Errc::unavailable, "kad: no peer took the provider record");
  co_return sent;
}

async::Awaitable<Result<std::size_t>> Dht::provide(Bytes key, Instant deadline) {
  Call call(*this);
  if (key.empty() || key.size() > kad::kProviderKeyBytesMax) co_return fail(Errc::too_large, "kad: provider key");
  provided_.try_emplace(key, now() - options_.provide_interval);
  PeerInfo self{host_.id(), host_.listen_addresses()};
  NMP_CO_CHECK(server_.providers().add(key, std::move(self), now()));
  co_return co_await announce(std::move(key), deadline);
}

void Dht::stop_providing(ByteView key) {
  provided_.erase(to_bytes(key));
  server_.providers().remove(key, host_.id());
}

async::Awaitable<Result<std::vector<PeerInfo>>> Dht::find_providers(Bytes key,
                                                                    std::size_t count,
                                                                    ProviderFound found,
                                                                    Instant deadline) {
  Call call(*this);
  if (key.empty() || key.size() > kad::kProviderKeyBytesMax) co_return fail(Errc::too_large, "kad: provider key");
  auto providers = std::make_shared<std::vector<PeerInfo>>();  // this call and the lookup's callback
  auto take = [providers, count, found, self = host_.id()](const PeerInfo& provider) {
    auto same = [&](const PeerInfo& other) { return other.id == provider.id; };
    if (provider.id == self || std::ranges::any_of(*providers, same)) return true;
    providers->push_back(provider);
    return (!found || found(provider)) && (count == 0 || providers->size() < count);
  };
  auto wants_more = true;
  for (const auto& provider : server_.providers().get(key, now()))
    if (wants_more) wants_more = take(provider);
  if (wants_more) {
    kad::Query::Want want;
    want.type = kad::MessageType::get_providers;
    want.key = key;
    ProviderFound callback = take;
    auto seeds = seeds_for(kad::Key::of(key));
    NMP_CO_TRY(auto done, co_await run(std::move(want), std::move(seeds), std::move(callback), deadline));
    last_stats_ = done->query.stats(now());
  } else {
    last_stats_ = {};
  }
  if (providers->empty()) co_return fail(Errc::not_found, "kad: no provider");
  co_return std::move(*providers);
}

async::Awaitable<Result<PeerInfo>> Dht::find_peer(PeerId peer, Instant deadline) {
  Call call(*this);
  last_stats_ = {};
  if (auto here = known(peer)) co_return *std::move(here);
  kad::Query::Want want;
  want.key = to_bytes(peer.bytes());
  want.peer = peer;
  auto seeds = seeds_for(kad::Key::of(peer));
  NMP_CO_TRY(auto done, co_await run(std::move(want), std::move(seeds), ProviderFound(), deadline));
  last_stats_ = done->query.stats(now());
  auto found = done->query.found_peer();
  if (!found) co_return fail(Errc::not_found, "kad: no such peer");
  host_.add_addresses(found->id, found->addresses, kad::kFoundAddressTtl);
  co_return *std::move(found);
}

async::Awaitable<Result<std::size_t>> Dht::put_value(Bytes key, Bytes value, Instant deadline) {
  Call call(*this);
  kad::Message message;
  message.type = kad::MessageType::put_value;
  message.key = key;
  message.record = kad::Record{key, value, {}};
  // Our own server is the first to judge it: what it refuses, nobody should be asked to keep.
  NMP_CO_TRY(auto stored, server_.answer(message, host_.id(), both_times()));
  kad::Query::Want want;
  want.key = key;
  auto seeds = seeds_for(kad::Key::of(key));
  NMP_CO_TRY(auto done, co_await run(std::move(want), std::move(seeds), ProviderFound(), deadline));
  last_stats_ = done->query.stats(now());
  NMP_CO_TRY(auto confirmed, co_await send_to_all(done->query.closest(), std::move(message), deadline));
  if (confirmed == 0) co_return fail(Errc::unavailable, "kad: no peer took the value");
  co_return confirmed;
}

async::Awaitable<Result<Bytes>> Dht::get_value(Bytes key, Instant deadline, std::size_t quorum) {
  Call call(*this);
  kad::Query::Want want;
  want.type = kad::MessageType::get_value;
  want.key = key;
  want.enough = quorum;
  auto seeds = seeds_for(kad::Key::of(key));
  NMP_CO_TRY(auto done, co_await run(std::move(want), std::move(seeds), ProviderFound(), deadline));
  last_stats_ = done->query.stats(now());
  const auto* held = server_.records().get(key, now());
  auto unix_now = async::system_clock().unix_now();
  if (held != nullptr && options_.validators.validate(key, held->value, unix_now)) done->query.offer_value(held->value);
  auto value = done->query.value();
  if (!value) co_return fail(Errc::not_found, "kad: no valid value");
  kad::Message correction;
  correction.type = kad::MessageType::put_value;
  correction.key = key;
  correction.record = kad::Record{key, *value, {}};
  auto tally = std::make_shared<Tally>(tasks_.executor());  // nobody waits for corrections
  for (auto& peer : done->query.stale_holders()) {
    ++tally->pending;
    tasks_.spawn(deliver(tally, std::move(peer), correction, now() + options_.request_timeout));
  }
  co_return *std::move(value);
}

// ---- answering

async::Awaitable<void> Dht::accept(std::shared_ptr<Dht*> self, StreamPtr stream) {
  // Served by a task of ours, so that close() ends it. `*self` is null once closed.
  if (*self != nullptr) (*self)->tasks_.spawn((*self)->serve(std::move(stream)));
  co_return;
}

async::Awaitable<void> Dht::serve(StreamPtr stream) {
  auto peer = stream->remote();
  auto present = serving_.find(peer);
  bool crowded = present != serving_.end() && present->second >= kad::kInboundStreamsPerPeer;
  if (crowded || serving_total_ >= kad::kInboundStreamsMax) {
    stream->reset(stream_code::kResourceLimit);
    co_return;
  }
  ++serving_[peer];
  ++serving_total_;
  auto served = co_await serve_requests(*stream);
  if (!served) {
    bool idle = served.error().code == Errc::deadline_exceeded || served.error().code == Errc::cancelled;
    stream->reset(idle ? stream_code::kGarbageCollected : stream_code::kProtocolViolation);
  }
  --serving_total_;
  if (auto count = serving_.find(peer); count != serving_.end() && --count->second == 0) serving_.erase(count);
}

async::Awaitable<Result<void>> Dht::serve_requests(Stream& stream) {
  kad::Splitter splitter(options_.message_bytes_max);
  Bytes buffer(kReadBytes);
  auto deadline = now() + 2 * kad::kStreamIdle;
  while (true) {
    NMP_CO_TRY(auto whole, splitter.next());
    if (!whole) {
      NMP_CO_TRY(auto size, co_await async::with_deadline(deadline, stream.read_some(buffer)));
      if (size == 0) {
        if (!splitter.idle()) co_return fail(Errc::truncated);
        co_return co_await stream.close_write();
      }
      // The first bytes of a request start its clock; a trickle does not restart it.
      if (splitter.idle()) deadline = now() + kad::kServeTimeout;
      splitter.feed(ByteView(buffer).first(size));
      continue;
    }
    NMP_CO_TRY(auto request, kad::decode(*whole, options_.message_bytes_max));
    clean(request.provider_peers, stream.remote_address());
    NMP_CO_TRY(auto reply, server_.answer(request, stream.remote(), both_times()));
    if (reply) {
      NMP_CO_TRY(auto frame, kad::encode_delimited(*reply));
      NMP_CO_CHECK(co_await async::with_deadline(now() + kad::kServeTimeout, stream.write(frame)));
    }
    deadline = now() + (splitter.idle() ? Duration(2 * kad::kStreamIdle) : Duration(kad::kServeTimeout));
  }
}

}  // namespace nmp::libp2p
