// fuzz: USES libp2p_tls
#include <cstddef>
#include <cstdint>

#include "fuzz/tamper.hpp"
#include "libp2p/peer/certificate.hpp"
#include "libp2p/peer/keys.hpp"
#include "libp2p/tls/session.hpp"

namespace {

using namespace nmp;
using namespace nmp::libp2p;
using namespace nmp::libp2p::tls;

const std::vector<std::string> kMuxers = {"/yamux/1.0.0", "/b"};

class FixedClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return {}; }
  [[nodiscard]] UnixSeconds unix_now() const override { return 1'800'000'000; }
};

struct Side {
  explicit Side(std::uint8_t number) : identity(KeyPair::from_seed(seed(number))) {
    SeededRandom random(number);
    auto certificate = make_certificate(identity, clock.unix_now(), random);
    NMP_ASSERT(certificate);
    auto made = Context::make(PeerId::of(identity.public_key()), *certificate, clock);
    NMP_ASSERT(made);
    context = *std::move(made);
  }
  static SecretBytes<32> seed(std::uint8_t number) {
    SecretBytes<32> out;
    out.mutable_view()[0] = std::byte{number};
    return out;
  }
  FixedClock clock;
  KeyPair identity;
  std::unique_ptr<Context> context;
};

Side& side(bool dials) {
  static Side dialer(1);
  static Side listener(2);
  return dials ? dialer : listener;
}

Session session(bool dials) {
  Options options{.expected = {}, .muxers = kMuxers};
  auto made = dials ? Session::dial(*side(dials).context, std::move(options))
                    : Session::accept(*side(dials).context, std::move(options));
  NMP_ASSERT(made);
  return *std::move(made);
}

/// Bytes of somebody who holds no key.
std::error_code strange(bool dials, ByteView input, std::size_t step) {
  auto end = session(dials);
  std::error_code error;
  std::size_t output_bytes = 0;
  while (!input.empty() && !error) {
    auto piece = input.first(std::min(step, input.size()));
    auto taken = end.on_bytes(piece);
    NMP_ASSERT(!taken || *taken == piece.size());
    if (!taken) error = taken.error().code;
    output_bytes += end.take_output().size();
    input = input.subspan(piece.size());
  }
  NMP_ASSERT(!end.established() && end.unread().empty() && !end.ended());
  NMP_ASSERT(end.write(bytes_of("x")).error().code == (error ? error : make_error_code(tls::Errc::not_established)));
  NMP_ASSERT(!end.on_end());
  // A hello, its retry, a certificate and what goes with it; an alert.
  NMP_ASSERT(output_bytes <= 4096);
  return error;
}

/// Two sessions, and the input decides what the wire does to their bytes: which byte of which flight to change.
void between(ByteView script) {
  auto left = session(true);
  auto right = session(false);
  bool changed = false;
  bool failed = false;
  auto carry = [&](Session& from, Session& to) {
    auto bytes = from.take_output();
    if (fuzz::tamper(bytes, script)) changed = true;
    if (!bytes.empty() && !to.on_bytes(bytes)) failed = true;
  };
  carry(left, right);
  carry(right, left);
  carry(left, right);
  if (!changed) NMP_ASSERT(!failed && left.established() && right.established());
  // Changes may undo one another, or be of a record's type, which is not sealed.
  if (left.established() && right.established()) {
    NMP_ASSERT(left.peer() == PeerId::of(side(false).identity.public_key()));
    NMP_ASSERT(right.peer() == PeerId::of(side(true).identity.public_key()));
    NMP_ASSERT(left.muxer() == kMuxers[0] && right.muxer() == kMuxers[0]);
    NMP_ASSERT(left.write(bytes_of("hello")) && right.on_bytes(left.take_output()));
    NMP_ASSERT(text_of(right.unread()) == "hello");
    right.consume(5);
    // Then a stranger gets hold of the wire.
    if (!right.on_bytes(script)) failed = true;
    NMP_ASSERT(right.unread().empty() && !right.ended());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  auto input = view_of(data, size).subspan(2);
  switch (data[0] % 3) {
    case 0:
    case 1: {
      // How the bytes are cut makes no difference.
      auto dials = data[0] % 3 == 0;
      NMP_ASSERT(strange(dials, input, SIZE_MAX) == strange(dials, input, 1 + data[1]));
      break;
    }
    default: between(input); break;
  }
  return 0;
}
