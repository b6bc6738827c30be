#include "libp2p/host/dht_streams.hpp"

#include <algorithm>

#include "base/async/with_deadline.hpp"

namespace nmp::libp2p {
namespace {

constexpr std::size_t kReadBytes = 16UZ * 1024;

Instant now() { return async::system_clock().now(); }

/// Half-closes and waits for the other half, so that the last request is not lost to a reset.
async::Awaitable<Result<void>> finish(Stream& stream) {
  NMP_CO_CHECK(co_await stream.close_write());
  Bytes buffer(1024);
  while (true) {
    NMP_CO_TRY(auto size, co_await stream.read_some(buffer));
    if (size == 0) co_return Result<void>();
  }
}

async::Awaitable<void> retire(StreamPtr stream) {
  auto finished = co_await async::with_deadline(now() + kad::kServeTimeout, finish(*stream));
  if (!finished) stream->reset(stream_code::kGarbageCollected);
}

}  // namespace

async::Awaitable<Result<DhtStreams::Answer>> DhtStreams::request(PeerId peer, kad::Message message, Instant deadline) {
  NMP_CO_TRY(auto answer, co_await run(peer, std::move(message), /*answered=*/true, deadline));
  NMP_ASSERT(answer.has_value());
  co_return *std::move(answer);
}

async::Awaitable<Result<void>> DhtStreams::send(PeerId peer, kad::Message message, Instant deadline) {
  auto sent = co_await run(peer, std::move(message), /*answered=*/false, deadline);
  if (!sent) co_return fail(std::move(sent).error());
  co_return Result<void>();
}

DhtStreams::Exchange DhtStreams::run(PeerId peer, kad::Message message, bool answered, Instant deadline) {
  NMP_CO_TRY(auto frame, kad::encode_delimited(message));
  if (auto held = idle_.extract(peer)) {
    Link link = std::move(held.mapped());
    auto result = co_await async::with_deadline(deadline, exchange(link, frame, answered));
    if (result) {
      keep(peer, std::move(link));
      co_return result;
    }
    link.stream->reset(stream_code::kNone);
    if (result.error().code == Errc::cancelled || result.error().code == Errc::deadline_exceeded) co_return result;
  }
  NMP_CO_TRY(auto stream, co_await open(peer, deadline));
  Link link{std::move(stream), kad::Splitter(message_bytes_max_), {}};
  auto result = co_await async::with_deadline(deadline, exchange(link, frame, answered));
  if (result)
    keep(peer, std::move(link));
  else
    link.stream->reset(stream_code::kNone);
  co_return result;
}

DhtStreams::Exchange DhtStreams::exchange(Link& link, const Bytes& frame, bool answered) {
  NMP_CO_CHECK(co_await link.stream->write(frame));
  std::optional<Answer> answer;
  if (!answered) co_return answer;
  Bytes buffer(kReadBytes);
  while (true) {
    NMP_CO_TRY(auto whole, link.splitter.next());
    if (whole) {
      NMP_CO_TRY(auto message, kad::decode(*whole, message_bytes_max_));
      answer.emplace(std::move(message), link.stream->remote_address());
      co_return answer;
    }
    NMP_CO_TRY(auto size, co_await link.stream->read_some(buffer));
    if (size == 0) co_return fail(Errc::closed, "kad: no answer");
    link.splitter.feed(ByteView(buffer).first(size));
  }
}

async::Awaitable<Result<StreamPtr>> DhtStreams::open(PeerId peer, Instant deadline) {
  bool dialled = !host_.is_connected(peer);
  if (dialled) {
    auto failed = undialable_until_.find(peer);
    if (failed != undialable_until_.end() && now() < failed->second) co_return fail(Errc::unavailable, "kad: backoff");
    deadline = std::min<Instant>(deadline, now() + kad::kDialTimeout);
    // The pace is this one. The host's would refuse what failed for another caller, or longer and longer: a bootstrap
    // peer that comes back after an hour would be found minutes later.
    host_.forget_failures(peer);
  }
  std::vector<std::string> protocols{protocol_};
  auto stream = co_await host_.open_stream(peer, std::move(protocols), deadline);
  if (stream)
    undialable_until_.erase(peer);
  else if (dialled && stream.error().code != Errc::cancelled && undialable_until_.size() < kad::kDialBackoffPeersMax)
    undialable_until_.insert_or_assign(peer, now() + kad::kDialBackoff);
  co_return stream;
}

void DhtStreams::keep(const PeerId& peer, Link link) {
  link.used_at = now();
  if (!link.splitter.idle()) {  // bytes that nobody asked for
    link.stream->reset(stream_code::kProtocolViolation);
    return;
  }
  if (idle_.size() >= kad::kOutboundStreamsMax) {
    auto oldest = std::ranges::min_element(idle_, {}, [](const auto& entry) { return entry.second.used_at; });
    tasks_.spawn(retire(std::move(oldest->second.stream)));
    idle_.erase(oldest);
  }
  auto [at, kept] = idle_.try_emplace(peer, std::move(link));
  if (!kept) tasks_.spawn(retire(std::move(link.stream)));
}

void DhtStreams::close_idle(Instant since) {
  for (auto link = idle_.begin(); link != idle_.end();) {
    auto current = link++;
    if (current->second.used_at > since) continue;
    tasks_.spawn(retire(std::move(current->second.stream)));
    idle_.erase(current);
  }
  std::erase_if(undialable_until_, [time = now()](const auto& entry) { return entry.second <= time; });
}

}  // namespace nmp::libp2p
