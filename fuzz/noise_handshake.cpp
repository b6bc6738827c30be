// fuzz: USES libp2p_noise
#include <cstddef>
#include <cstdint>

#include "fuzz/tamper.hpp"
#include "libp2p/noise/limits.hpp"
#include "libp2p/noise/testing.hpp"

namespace {

using namespace nmp;
using namespace nmp::libp2p;
using namespace nmp::libp2p::noise;

const std::vector<std::string> kMuxers = {"/yamux/1.0.0", "/b"};

const KeyPair& identity(bool dialer) {
  static const auto kDialer = KeyPair::from_seed(SecretBytes<32>());
  static const auto kListener = [] {
    SecretBytes<32> seed;
    seed.mutable_view()[0] = std::byte{1};
    return KeyPair::from_seed(std::move(seed));
  }();
  return dialer ? kDialer : kListener;
}

Session session(bool dials) {
  SeededRandom random(dials ? 1 : 2);
  Options options{.expected = {}, .muxers = kMuxers};
  auto made = dials ? Session::dial(identity(dials), random, std::move(options))
                    : Session::accept(identity(dials), random, std::move(options));
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
    auto output = end.take_output();
    NMP_ASSERT(!error || output.empty());
    output_bytes += output.size();
    input = input.subspan(piece.size());
  }
  NMP_ASSERT(!end.established() && end.unread().empty());
  NMP_ASSERT(end.write(bytes_of("x")).error().code == (error ? error : make_error_code(noise::Errc::not_established)));
  NMP_ASSERT(!end.on_end());
  // One message at most.
  NMP_ASSERT(output_bytes <= 1024);
  return error;
}

/// A peer that knows its Noise and says `payload` of itself. The static key is always the same, so that signatures in
/// the corpus hold.
void say(bool dials, ByteView payload) {
  if (payload.size() > kHandshakeMessageBytesMax - 96) return;
  auto end = session(dials);
  SeededRandom random(3);
  RawPeer peer(dials ? Role::responder : Role::initiator, random);
  if (!dials) NMP_ASSERT(end.on_bytes(peer.write({})));
  NMP_ASSERT(peer.read(end.take_output()));
  auto fed = end.on_bytes(peer.write(payload));

  auto read = HandshakePayload::decode(payload);
  bool good = false;
  if (read) {
    NMP_ASSERT(read->stream_muxers.size() <= kMuxersMax);
    auto again = HandshakePayload::decode(read->encode());
    NMP_ASSERT(again && *again == *read);
    auto key = verify_identity(*read, peer.static_key());
    auto muxer = dials ? choose_muxer(kMuxers, read->stream_muxers) : choose_muxer(read->stream_muxers, kMuxers);
    good = key && muxer;
    if (good) NMP_ASSERT(end.established() && end.peer() == PeerId::of(*key) && end.muxer() == *muxer);
  }
  NMP_ASSERT(fed.has_value() == good && end.established() == good);
  if (!good) NMP_ASSERT(end.take_output().empty());
  if (good && dials) NMP_ASSERT(peer.read(end.take_output()));
}

/// Two sessions, and the input decides what the wire does to each message: which byte of which message to change.
void between(ByteView script) {
  auto left = session(true);
  auto right = session(false);
  bool changed = false;
  bool failed = false;
  auto carry = [&](Session& from, Session& to) {
    auto message = from.take_output();
    if (fuzz::tamper(message, script)) changed = true;
    if (!message.empty() && !to.on_bytes(message)) failed = true;
  };
  // Changes may undo one another, which is no matter: then nothing is asserted of the outcome.
  carry(left, right);
  carry(right, left);
  carry(left, right);
  if (!changed) NMP_ASSERT(!failed && left.established() && right.established());
  if (left.established() && right.established()) {
    NMP_ASSERT(left.peer() == PeerId::of(identity(false).public_key()));
    NMP_ASSERT(right.peer() == PeerId::of(identity(true).public_key()));
    NMP_ASSERT(left.muxer() == kMuxers[0] && right.muxer() == kMuxers[0]);
    NMP_ASSERT(left.write(bytes_of("hello")) && right.on_bytes(left.take_output()));
    NMP_ASSERT(text_of(right.unread()) == "hello");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  auto input = view_of(data, size).subspan(2);
  switch (data[0] % 5) {
    case 0:
    case 1: {
      // How the bytes are cut makes no difference.
      auto dials = data[0] % 5 == 0;
      NMP_ASSERT(strange(dials, input, SIZE_MAX) == strange(dials, input, 1 + data[1]));
      break;
    }
    case 2: say(true, input); break;
    case 3: say(false, input); break;
    default: between(input); break;
  }
  return 0;
}
