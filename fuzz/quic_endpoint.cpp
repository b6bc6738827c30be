// fuzz: USES libp2p_quic
// Hostile datagrams into an endpoint with one live connection: cut, flipped and invented. The connection must survive
// what is not authenticated, the tables must stay within their limits, and no answer may be larger than what caused it.
#include <cstddef>
#include <cstdint>

#include "crypto/random.hpp"
#include "libp2p/quic/endpoint.hpp"

namespace {

using namespace nmp;
using namespace nmp::libp2p;
using namespace nmp::libp2p::quic;

class FixedClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return Instant(std::chrono::seconds(1000)); }
  [[nodiscard]] UnixSeconds unix_now() const override { return 1'800'000'000; }
};

SecretBytes<32> secret_of(int seed) {
  ByteArray<32> bytes;
  bytes.fill(static_cast<std::byte>(seed));
  return SecretBytes<32>(std::span<const std::byte, 32>(bytes));
}

SocketAddress address_of(int host) {
  SocketAddress address;
  address.ip = {std::byte{10}, std::byte{0}, std::byte{0}, static_cast<std::byte>(host)};
  address.port = 4001;
  return address;
}

struct Side {
  explicit Side(int number, const Clock& clock)
      : address(address_of(number)),
        identity(KeyPair::from_seed(secret_of(number))),
        id(PeerId::of(identity.public_key())) {
    auto certificate = make_certificate(identity, clock.unix_now(), crypto::system_random());
    NMP_ASSERT(certificate);
    tls = *tls::Context::make(id, *certificate, clock);
  }
  void start(int number) {
    Endpoint::Secrets secrets{secret_of(number), secret_of(number + 100)};
    EndpointLimits limits;
    limits.handshakes_max = 8;
    limits.retry_threshold = 4;
    endpoint = std::make_unique<Endpoint>(*tls, crypto::system_random(), std::move(secrets), limits);
    endpoint->set_accepting(true);
  }
  SocketAddress address;
  KeyPair identity;
  PeerId id;
  std::unique_ptr<tls::Context> tls;
  std::unique_ptr<Endpoint> endpoint;
};

Bytes buffer(70'000);

/// Moves what `from` has to say to `to`; a copy of each datagram goes to `seen`.
bool move(Side& from, Side& to, Instant now, std::vector<Bytes>& seen) {
  bool any = false;
  while (auto batch = from.endpoint->next_batch(buffer, now)) {
    any = true;
    ByteView all = ByteView(buffer).first(batch->size);
    while (!all.empty()) {
      auto piece = to_bytes(all.first(std::min(all.size(), batch->segment)));
      all = all.subspan(piece.size());
      if (batch->remote != to.address) continue;
      seen.push_back(piece);
      Connection::Path path{0, to.address, from.address};
      to.endpoint->on_datagram(path, piece, now);
    }
  }
  return any;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const FixedClock clock;
  static Side client(1, clock);
  static Side server(2, clock);
  client.start(1);
  server.start(2);
  auto now = clock.now();
  auto id = *client.endpoint->dial({0, client.address, server.address}, server.id, now);
  std::vector<Bytes> seen;
  while (move(client, server, now, seen) || move(server, client, now, seen)) now += std::chrono::milliseconds(1);
  NMP_ASSERT(client.endpoint->find(id)->established());
  (void)server.endpoint->take_events();
  auto strangers = address_of(9);
  auto input = view_of(data, size);
  // A script: 2 bytes choose what to do, the rest of the input is the material.
  for (int step = 0; step < 32 && input.size() >= 4; ++step) {
    auto what = std::to_integer<unsigned>(input[0]);
    auto where = std::to_integer<std::size_t>(input[1]) * 256 + std::to_integer<std::size_t>(input[2]);
    auto change = input[3];
    input = input.subspan(4);
    Bytes datagram;
    if ((what & 1) != 0) {
      datagram = seen[where % seen.size()];
      datagram[where % datagram.size()] ^= change;
      if ((what & 2) != 0) datagram.resize(where % datagram.size() + 1);
    } else {
      auto take = std::min(input.size(), where % 1500);
      datagram = to_bytes(input.first(take));
      input = input.subspan(take);
      if ((what & 4) != 0) datagram.resize(1200);
    }
    if (datagram.empty()) continue;
    auto from = (what & 8) != 0 ? strangers : client.address;
    server.endpoint->on_datagram({0, server.address, from}, datagram, now);
    std::size_t answered = 0;
    while (auto batch = server.endpoint->next_batch(buffer, now)) {
      if (batch->remote == strangers) answered += batch->size;
    }
    NMP_ASSERT(answered <= 3 * std::max<std::size_t>(datagram.size(), 1200));
    NMP_ASSERT(server.endpoint->size() <= 2 + 8);
    now += std::chrono::milliseconds(1);
    server.endpoint->on_deadline(now);
    (void)server.endpoint->take_events();
  }
  return 0;
}
