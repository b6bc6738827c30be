#include <boost/asio/this_coro.hpp>

#include "base/async/with_deadline.hpp"
#include "crypto/random.hpp"
#include "libp2p/host/host_impl.hpp"
#include "libp2p/identify/message.hpp"
#include "libp2p/peer/envelope.hpp"
#include "libp2p/ping/ping.hpp"

/// The protocols that every host speaks: identify, identify push, ping.
namespace nmp::libp2p {

namespace {

/// Responder's patience for one exchange, libp2p.md section 11.
constexpr Duration kPingIdleMax = std::chrono::seconds(30);

}  // namespace

void Host::Impl::add_own_protocols() {
  auto add = [this](std::string_view protocol, StreamHandler handler) {
    handlers.emplace(std::string(protocol), std::make_shared<StreamHandler>(std::move(handler)));
  };
  add(identify::kProtocol, [this](StreamPtr stream) { return answer_identify(std::move(stream)); });
  add(identify::kPushProtocol, [this](StreamPtr stream) { return take_push(std::move(stream)); });
  add(ping::kProtocol, [](StreamPtr stream) { return answer_ping(std::move(stream)); });
}

Result<Bytes> Host::Impl::own_identity(const Multiaddr& observed) const {
  identify::Message message;
  message.public_key = options.identity.public_key().bytes();
  message.listen_addresses = listen_addresses();
  for (const auto& [protocol, handler] : handlers) message.protocols.push_back(protocol);
  message.observed_address = observed;
  message.protocol_version = options.protocol_version;
  message.agent_version = options.agent_version;
  PeerRecord record{id, static_cast<std::uint64_t>(async::system_clock().unix_now()), message.listen_addresses};
  message.signed_peer_record = seal_peer_record(options.identity, record);
  return identify::encode(message);
}

async::Awaitable<void> Host::Impl::answer_identify(StreamPtr stream) {
  auto message = own_identity(stream->remote_address());
  if (!message) {
    stream->reset(stream_code::kResourceLimit);
    co_return;
  }
  if (!co_await stream->write(*message)) co_return;
  (void)co_await stream->close_write();
  // The asker's end of the stream, so that the destructor does not reset what is still on its way.
  std::array<std::byte, 64> nothing;
  auto wait = stream->read_some(nothing);
  (void)co_await async::with_deadline(now() + identify::kTimeout, std::move(wait));
}

async::Awaitable<Result<void>> Host::Impl::read_identity(Stream& stream, LinkPtr link) {
  identify::Decoder decoder;
  std::array<std::byte, 4096> piece;
  for (;;) {
    NMP_CO_TRY(auto size, co_await stream.read_some(piece));
    if (size == 0) break;
    NMP_CO_CHECK(decoder.feed(ByteView(piece).first(size)));
  }
  NMP_CO_TRY(auto message, decoder.finish());
  NMP_CO_CHECK(identify::apply(message, link->peer, link->address, link->profile));
  book.add(link->peer, link->profile.addresses, now(), identify::kAddressTtl);
  if (!link->inbound) {
    std::vector<Multiaddr> dialled{link->address};
    book.add(link->peer, dialled, now(), identify::kAddressTtl);
  }
  const auto& profile = link->profile;
  PeerDetails details{profile.agent_version, profile.protocol_version, profile.protocols,
                      profile.addresses,     profile.observed_address, profile.record_sequence.has_value()};
  for (auto* observer : std::vector(observers)) observer->identified(link->peer, details);
  co_return Result<void>();
}

async::Awaitable<void> Host::Impl::ask_identity(ConnectionId connection, LinkPtr link) {
  auto deadline = now() + identify::kTimeout;
  std::vector<std::string> protocols{std::string(identify::kProtocol)};
  auto stream = co_await open_on(shared_from_this(), connection, std::move(protocols), deadline);
  if (!stream) co_return;
  (void)co_await (*stream)->close_write();
  auto reading = read_identity(**stream, link);
  // A peer that does not answer stays connected: it only stays unknown.
  auto result = co_await async::with_deadline(deadline, std::move(reading));
  if (!result) (*stream)->reset(stream_code::kNone);
}

async::Awaitable<void> Host::Impl::take_push(StreamPtr stream) {
  LinkPtr link;
  for (const auto& [connection, candidate] : links) {
    if (candidate->peer == stream->remote() && candidate->address == stream->remote_address()) link = candidate;
  }
  if (!link || ++link->pushes > identify::kPushBurst) {
    stream->reset(stream_code::kRateLimited);
    co_return;
  }
  auto reading = read_identity(*stream, link);
  auto result = co_await async::with_deadline(now() + identify::kTimeout, std::move(reading));
  if (!result) {
    stream->reset(stream_code::kProtocolViolation);
  } else {
    (void)co_await stream->close_write();
  }
}

async::Awaitable<void> Host::Impl::answer_ping(StreamPtr stream) {
  ping::Responder responder;
  std::array<std::byte, 256> piece;
  for (;;) {
    auto reading = stream->read_some(piece);
    auto size = co_await async::with_deadline(async::system_clock().now() + kPingIdleMax, std::move(reading));
    if (!size) {
      stream->reset(stream_code::kNone);
      co_return;
    }
    if (*size == 0) break;
    auto input = ByteView(piece).first(*size);
    while (auto payload = responder.feed(input)) {
      if (!co_await stream->write(*payload)) co_return;
    }
  }
  (void)co_await stream->close_write();
}

async::Awaitable<Result<Duration>> Host::Impl::ping(Self self, PeerId peer, Instant deadline) {
  auto exchange = [](Self host, PeerId to, Instant until) -> async::Awaitable<Result<Duration>> {
    std::vector<std::string> protocols{std::string(ping::kProtocol)};
    NMP_CO_TRY(auto stream, co_await open_stream(host, std::move(to), std::move(protocols), until));
    ping::Initiator initiator;
    auto payload = initiator.start(crypto::system_random(), host->now());
    NMP_CO_CHECK(co_await stream->write(payload));
    std::array<std::byte, 64> piece;
    for (;;) {
      NMP_CO_TRY(auto size, co_await stream->read_some(piece));
      if (size == 0) co_return fail(Errc::closed, "ping");
      NMP_CO_TRY(auto rtt, initiator.feed(ByteView(piece).first(size), host->now()));
      if (!rtt) continue;
      (void)co_await stream->close_write();
      co_return *rtt;
    }
  };
  auto running = exchange(std::move(self), std::move(peer), deadline);
  co_return co_await async::with_deadline(deadline, std::move(running));
}

}  // namespace nmp::libp2p
