#include "libp2p/host/dht.hpp"

#include <algorithm>
#include <utility>

#include "base/async/with_deadline.hpp"
#include "crypto/random.hpp"
#include "libp2p/identify/profile.hpp"

namespace nmp::libp2p {
namespace {

constexpr std::size_t kReadBytes = 16UZ * 1024;

Instant now() { return async::system_clock().now(); }

kad::Now both_times() { return kad::Now{now(), async::system_clock().unix_now()}; }

/// What came over a public connection names no private address to dial.
void clean(std::vector<PeerInfo>& peers, const Multiaddr& heard_over) {
  for (auto& peer : peers) peer.addresses = identify::keep_reachable(std::move(peer.addresses), heard_over, peer.id);
}

kad::NodeOptions node_options(const DhtOptions& from) {
  kad::NodeOptions to;
  to.mode = from.mode;
  to.lookup.k = from.k;
  to.lookup.alpha = from.alpha;
  to.lookup.beta = from.beta;
  to.lookup.paths = from.paths;
  to.lookup.diversity = from.diversity;
  to.lookup.request_timeout = from.request_timeout;
  to.table.k = from.k;
  to.table.diversity = from.diversity;
  to.refresh_interval = from.refresh_interval;
  to.provide_interval = from.provide_interval;
  to.bootstrap = from.bootstrap;
  return to;
}

}  // namespace

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
      node_(
          host.id(),
          node_options(options_),
          *options_.policy,
          [this](const PeerId& peer) { return known(peer); },
          crypto::system_random(),
          options_.observer != nullptr ? *options_.observer : kad::silent_observer()),
      tasks_(host.executor()),
      streams_(host, tasks_, options_.policy->protocol(), options_.message_bytes_max),
      call_ended_(host.executor()),
      finished_news_(host.executor()),
      rearm_(host.executor()),
      self_(std::make_shared<Dht*>(this)) {
  host_.add_observer(this);
  advertise();
  tasks_.spawn(keep_time());
}

Dht::~Dht() { NMP_ASSERT(closed()); }

async::Awaitable<void> Dht::close() {
  if (closed()) co_return;
  host_.remove_observer(this);
  if (serving_protocol_) host_.unhandle(options_.policy->protocol());
  *self_ = nullptr;
  self_.reset();
  co_await tasks_.close();
  finished_news_.notify_all();
  while (calls_ > 0) {
    auto waited = co_await call_ended_.wait();
    if (!waited) co_await boost::asio::this_coro::reset_cancellation_state();
  }
  streams_.clear();
}

// ---- what the node hears of

void Dht::connected(const PeerId& peer, const Multiaddr& address, bool inbound) {
  if (inbound) node_.on_inbound(peer, address, both_times());
}

void Dht::identified(const PeerId& peer, const PeerDetails& details) {
  bool serves = std::ranges::find(details.protocols, options_.policy->protocol()) != details.protocols.end();
  PeerInfo info{peer, {}};
  auto connections = host_.connections();
  auto connection = std::ranges::find(connections, peer, &ConnectionInfo::peer);
  if (connection != connections.end()) {
    info.addresses = details.listen_addresses;
    info.addresses.insert(info.addresses.begin(), connection->address);
    info.addresses = identify::keep_reachable(std::move(info.addresses), connection->address, peer);
  }
  node_.on_identified(std::move(info), serves, both_times());
  pump();
}

void Dht::disconnected(const PeerId& peer) { node_.on_disconnected(peer); }

void Dht::on_reachability(kad::Reachability verdict) {
  node_.on_reachability(verdict);
  pump();
}

std::optional<PeerInfo> Dht::known(const PeerId& peer) const {
  if (peer == host_.id()) return PeerInfo{peer, host_.listen_addresses()};
  if (!host_.is_connected(peer)) return std::nullopt;
  auto addresses = host_.addresses(peer);
  if (addresses.empty()) return std::nullopt;
  return PeerInfo{peer, std::move(addresses)};
}

Bytes Dht::snapshot() const { return node_.snapshot(both_times()); }
Result<void> Dht::restore(ByteView snapshot) { return node_.restore(snapshot, both_times()); }

// ---- what the node wants

void Dht::pump() {
  if (closed()) return;
  for (bool more = true; more;) {
    more = false;
    for (auto& request : node_.take_requests()) tasks_.spawn(perform(std::move(request)));
    for (auto& found : node_.take_providers()) {
      host_.add_addresses(found.provider.id, found.provider.addresses, kad::kFoundAddressTtl);
      auto watcher = watchers_.find(found.call);
      if (watcher == watchers_.end() || watcher->second(found.provider)) continue;
      watchers_.erase(watcher);
      node_.stop(found.call, both_times());
      more = true;
    }
    for (auto& finished : node_.take_finished()) {
      auto id = finished.call;
      finished_.emplace(id, std::move(finished));
      finished_news_.notify_all();
    }
  }
  advertise();
  if (node_.deadline() < armed_) rearm_.notify_all();
}

void Dht::advertise() {
  bool serves = node_.serves(both_times());
  if (serves == std::exchange(serving_protocol_, serves)) return;
  if (serves)
    host_.handle(options_.policy->protocol(),
                 [self = self_](StreamPtr stream) { return accept(self, std::move(stream)); });
  else
    host_.unhandle(options_.policy->protocol());
}

async::Awaitable<void> Dht::keep_time() {
  while (!closed()) {
    armed_ = node_.deadline();
    auto woken = co_await rearm_.wait(armed_);
    if (closed() || (!woken && woken.error().code == Errc::cancelled)) co_return;
    armed_ = kNever;
    if (now() < node_.deadline()) continue;
    node_.on_timer(both_times());
    streams_.close_idle(now() - kad::kStreamIdle);
    pump();
  }
}

async::Awaitable<void> Dht::perform(kad::Request request) {
  const auto& peer = request.peer;
  host_.add_addresses(peer.id, peer.addresses, kad::kHeardAddressTtl);
  std::optional<DhtStreams::Answer> answer;
  Result<void> sent;
  if (request.answered) {
    auto answered = co_await streams_.request(peer.id, std::move(request.message), request.deadline);
    if (answered)
      answer = *std::move(answered);
    else
      sent = fail(std::move(answered).error());
  } else {
    sent = co_await streams_.send(peer.id, std::move(request.message), request.deadline);
  }
  if (closed() || (!sent && sent.error().code == Errc::cancelled)) co_return;
  if (answer) {
    clean(answer->message.closer_peers, answer->from);
    clean(answer->message.provider_peers, answer->from);
    node_.on_answer(request.id, answer->message, both_times());
  } else if (sent) {
    node_.on_sent(request.id, both_times());
  } else {
    node_.on_failure(request.id, both_times());
  }
  pump();
}

// ---- calls

async::Awaitable<Result<kad::Outcome>> Dht::end_of(kad::CallId id) {
  pump();
  while (true) {
    if (auto found = finished_.find(id); found != finished_.end()) {
      auto finished = std::move(found->second);
      finished_.erase(found);
      last_stats_ = finished.stats;
      co_return std::move(finished.outcome);
    }
    if (closed()) co_return fail(Errc::cancelled);
    auto woken = co_await finished_news_.wait();
    if (woken) continue;
    if (!closed()) {
      node_.stop(id, both_times());
      pump();
    }
    finished_.erase(id);
    co_return fail(Errc::cancelled);
  }
}

async::Awaitable<Result<std::size_t>> Dht::bootstrap(Instant deadline) {
  Call call(*this);
  if (closed()) co_return fail(Errc::cancelled);
  auto id = node_.bootstrap(deadline, both_times());
  NMP_CO_TRY(auto outcome, co_await end_of(id));
  co_return outcome.count;
}

async::Awaitable<Result<std::size_t>> Dht::provide(Bytes key, Instant deadline) {
  Call call(*this);
  if (closed()) co_return fail(Errc::cancelled);
  auto id = node_.provide(std::move(key), deadline, both_times());
  NMP_CO_TRY(auto outcome, co_await end_of(id));
  co_return outcome.count;
}

void Dht::stop_providing(ByteView key) { node_.stop_providing(key); }

async::Awaitable<Result<std::vector<PeerInfo>>> Dht::find_providers(Bytes key,
                                                                    std::size_t count,
                                                                    ProviderFound found,
                                                                    Instant deadline) {
  Call call(*this);
  if (closed()) co_return fail(Errc::cancelled);
  auto id = node_.find_providers(std::move(key), count, deadline, both_times());
  if (found) watchers_.emplace(id, std::move(found));
  auto outcome = co_await end_of(id);
  watchers_.erase(id);
  if (!outcome) co_return fail(std::move(outcome).error());
  co_return std::move(outcome->providers);
}

async::Awaitable<Result<PeerInfo>> Dht::find_peer(PeerId peer, Instant deadline) {
  Call call(*this);
  if (closed()) co_return fail(Errc::cancelled);
  auto id = node_.find_peer(peer, deadline, both_times());
  NMP_CO_TRY(auto outcome, co_await end_of(id));
  NMP_ASSERT(outcome.peer.has_value());
  host_.add_addresses(peer, outcome.peer->addresses, kad::kFoundAddressTtl);
  co_return *std::move(outcome.peer);
}

async::Awaitable<Result<std::size_t>> Dht::put_value(Bytes key, Bytes value, Instant deadline) {
  Call call(*this);
  if (closed()) co_return fail(Errc::cancelled);
  auto id = node_.put_value(std::move(key), std::move(value), deadline, both_times());
  NMP_CO_TRY(auto outcome, co_await end_of(id));
  co_return outcome.count;
}

async::Awaitable<Result<Bytes>> Dht::get_value(Bytes key, Instant deadline, std::size_t quorum) {
  Call call(*this);
  if (closed()) co_return fail(Errc::cancelled);
  auto id = node_.get_value(std::move(key), quorum, deadline, both_times());
  NMP_CO_TRY(auto outcome, co_await end_of(id));
  co_return std::move(outcome.value);
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
    auto code = served.error().code;
    if (code == Errc::deadline_exceeded || code == Errc::cancelled)
      stream->reset(stream_code::kGarbageCollected);
    else
      stream->reset(code == Errc::exhausted ? stream_code::kResourceLimit : stream_code::kProtocolViolation);
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
    auto reply = node_.serve(request, stream.remote(), both_times());
    if (!reply) co_return fail(std::move(reply).error());
    if (*reply) {
      NMP_CO_TRY(auto frame, kad::encode_delimited(**reply));
      NMP_CO_CHECK(co_await async::with_deadline(now() + kad::kServeTimeout, stream.write(frame)));
    }
    deadline = now() + (splitter.idle() ? Duration(2 * kad::kStreamIdle) : Duration(kad::kServeTimeout));
  }
}

}  // namespace nmp::libp2p
