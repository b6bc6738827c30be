#include <algorithm>

#include "libp2p/dial/ranking.hpp"
#include "libp2p/host/addresses.hpp"
#include "libp2p/host/host_impl.hpp"

namespace nmp::libp2p {

namespace {

/// Addresses given with connect() (libp2p.md section 17, "temp 2 min").
constexpr Duration kTemporaryTtl = std::chrono::minutes(2);

}  // namespace

// --- which addresses

void Host::Impl::plan_found(Dial& dial) {
  auto found = dial.names.take_addresses();
  std::erase_if(found, [&](const Multiaddr& address) {
    if (transport_for(address) == nullptr) {
      dial.last_error = Error{make_error_code(Errc::unsupported), address.to_text()};
      return true;
    }
    if (!backoff.holds(dial.peer, address, now())) return false;
    dial.last_error = Error{make_error_code(host::Errc::dial_failed), "failed a moment ago: " + address.to_text()};
    return true;
  });
  const auto chosen = dial::choose(black_holes.keep(found), kDialAddressesMax - dial.planned);
  for (auto& attempt : dial::rank(chosen)) dial.plan.emplace(now() + attempt.delay, std::move(attempt.address));
  dial.planned += chosen.size();
}

void Host::Impl::ask_names(const DialPtr& dial, Instant deadline) {
  for (auto& question : dial->names.take_questions()) tasks.spawn(ask_name(dial, std::move(question), deadline));
}

async::Awaitable<Result<void>> Host::Impl::look_up(DialPtr dial,
                                                   dial::Resolution::Question question,
                                                   Instant deadline) {
  using Kind = dial::Resolution::Kind;
  while (lookups >= kLookupsMax) NMP_CO_CHECK(co_await lookup_ended.wait(deadline));
  if (dial->result) co_return fail(Errc::cancelled, "the dial is over");
  ++lookups;
  Result<void> answered;
  if (question.kind == Kind::text) {
    auto texts = co_await options.resolver->texts(question.name, deadline);
    if (texts) dial->names.on_texts(question.id, *texts);
    if (!texts) answered = std::unexpected(std::move(texts).error());
  } else {
    auto addresses = co_await options.resolver->addresses(question.name, question.kind == Kind::ip6, deadline);
    std::vector<IpAddress> ips;
    for (const auto& address : addresses.value_or(std::vector<SocketAddress>())) ips.push_back(to_endpoint(address).ip);
    if (addresses) dial->names.on_addresses(question.id, ips);
    if (!addresses) answered = std::unexpected(std::move(addresses).error());
  }
  --lookups;
  lookup_ended.notify_all();
  co_return answered;
}

async::Awaitable<void> Host::Impl::ask_name(DialPtr dial, dial::Resolution::Question question, Instant deadline) {
  const auto number = question.id;
  const auto name = question.name;
  auto answered = co_await look_up(dial, std::move(question), deadline);
  if (dial->result) co_return;
  if (!answered) {
    dial->names.on_addresses(number, {});
    dial->last_error = Error{answered.error().code, name + ": " + answered.error().context};
  }
  plan_found(*dial);
  ask_names(dial, deadline);
  dial->changed.notify_all();
}

// --- one dial

void Host::Impl::start_attempt(const DialPtr& dial, const Multiaddr& address) {
  auto started = transport_for(address)->dial(address, dial->peer);
  if (!started) {
    dial->last_error = std::move(started).error();
    return;
  }
  attempts.emplace(*started, Attempt{dial, address});
  ++dial->live;
}

void Host::Impl::end_attempt(ConnectionId connection, std::optional<Error> why) {
  const auto node = attempts.extract(connection);
  if (node.empty()) return;
  const auto& [dial, address] = node.mapped();
  --dial->live;
  // What we had no room for was there.
  const bool reached = !why || why->code == host::Errc::gated;
  black_holes.record(address, reached);
  if (!reached) backoff.failed(dial->peer, address, now());
  if (why) dial->last_error = std::move(why);
  dial->changed.notify_all();
}

void Host::Impl::end_losers(const DialPtr& dial) {
  std::vector<ConnectionId> losers;
  for (const auto& [connection, attempt] : attempts)
    if (attempt.dial == dial) losers.push_back(connection);
  const bool lost = !dial->result || !*dial->result;
  for (auto connection : losers) {
    const auto node = attempts.extract(connection);
    black_holes.record(node.mapped().address, false);
    // Slower than another is no failure.
    if (lost) backoff.failed(dial->peer, node.mapped().address, now());
    transport_of(connection).close(connection, connection_code::kSupplanted);
  }
}

async::Awaitable<void> Host::Impl::run_dial(DialPtr dial) {
  const auto deadline = now() + kDialTimeMax;
  plan_found(*dial);
  ask_names(dial, std::min(deadline, now() + kResolveTimeMax));
  for (;;) {
    if (connection_of(dial->peer)) {
      dial->result.emplace();
      break;
    }
    const auto time = now();
    if (time >= deadline) {
      dial->result.emplace(fail(Errc::deadline_exceeded, "dial"));
      break;
    }
    auto& plan = dial->plan;
    if (!plan.empty() && (time >= plan.begin()->first || dial->live == 0)) {
      start_attempt(dial, plan.extract(plan.begin()).mapped());
      continue;
    }
    if (plan.empty() && dial->live == 0 && dial->names.done()) {
      auto error = dial->last_error.value_or(Error{make_error_code(host::Errc::dial_failed), {}});
      if (error.code.category() != make_error_code(host::Errc::dial_failed).category()) {
        error.context = error.message();
        error.code = make_error_code(host::Errc::dial_failed);
      }
      dial->result.emplace(fail(std::move(error)));
      break;
    }
    auto waited = co_await dial->changed.wait(plan.empty() ? deadline : std::min(plan.begin()->first, deadline));
    if (!waited && waited.error().code == Errc::cancelled) {
      dial->result.emplace(fail(Errc::closed, "host"));
      break;
    }
  }
  dial->plan.clear();
  end_losers(dial);
  if (auto it = dials.find(dial->peer); it != dials.end() && it->second == dial) dials.erase(it);
  dial->changed.notify_all();
}

async::Awaitable<Result<void>> Host::Impl::connect(Self self, PeerInfo peer, Instant deadline) {
  if (peer.id == self->id) co_return fail(host::Errc::self_dial);
  self->book.add(peer.id, peer.addresses, self->now(), kTemporaryTtl);
  bool joined_before = false;
  for (;;) {
    if (self->closed) co_return fail(Errc::closed, "host");
    if (self->connection_of(peer.id)) co_return Result<void>();
    DialPtr dial;
    bool joined = false;
    if (auto it = self->dials.find(peer.id); it != self->dials.end()) {
      dial = it->second;
      joined = true;
    } else {
      auto addresses = self->book.find(peer.id, self->now());
      if (addresses.empty()) co_return fail(host::Errc::no_address, peer.id.to_text());
      // What the caller gave comes first, then what was learned last.
      auto unasked = [&](const Multiaddr& address) { return std::ranges::count(peer.addresses, address) == 0; };
      std::ranges::stable_sort(addresses, {}, unasked);
      if (self->dials.size() >= kDialsMax) co_return fail(Errc::exhausted, "dials in progress");
      dial = std::make_shared<Dial>(self->executor, peer.id, std::move(addresses));
      self->dials.emplace(peer.id, dial);
      self->tasks.spawn(self->run_dial(dial));
    }
    while (!dial->result) NMP_CO_CHECK(co_await dial->changed.wait(deadline));
    if (*dial->result) co_return Result<void>();
    // The dial that we joined may not have known the addresses that we were given.
    bool untried = std::ranges::any_of(peer.addresses, [&](const Multiaddr& address) {
      auto plain = address.without_peer();
      return plain && !dial->tried.contains(*plain);
    });
    if (!joined || joined_before || !untried) co_return *dial->result;
    joined_before = true;
  }
}

}  // namespace nmp::libp2p
