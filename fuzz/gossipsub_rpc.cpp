// fuzz: USES libp2p_gossipsub
#include <cstdlib>

#include "base/random.hpp"
#include "libp2p/gossipsub/router.hpp"

using namespace nmp;
using namespace nmp::libp2p;

namespace {

KeyPair key_of(std::byte fill) {
  ByteArray<32> seed;
  seed.fill(fill);
  return KeyPair::from_seed(SecretBytes<32>(std::span<const std::byte, 32>(seed)));
}

const KeyPair& own_key() {
  static const KeyPair key = key_of(std::byte{1});
  return key;
}

}  // namespace

/// Input: how fast time goes, then a stream of RPCs of one peer. What decodes encodes to something that decodes alike;
/// a router that hears all of it keeps within its ceilings and says only what can be decoded.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gossipsub;
  if (size == 0) return 0;
  const auto step = std::chrono::milliseconds(data[0]);
  SeededRandom random(1);
  Instant now{std::chrono::hours(1)};
  Router router(own_key(), random, Router::Options(), now);
  const auto peer = PeerId::of(key_of(std::byte{2}).public_key());
  if (!router.add_peer(peer, {.version = Version::v1_2}, now) || !router.subscribe("topic", now)) std::abort();
  if (!router.publish("topic", to_bytes("hello"), now)) std::abort();

  Splitter splitter;
  splitter.feed(view_of(data, size).subspan(1));
  for (;;) {
    const auto frame = splitter.next();
    if (!frame || !*frame) return 0;
    const auto rpc = decode(**frame);
    if (rpc) {
      Splitter again;
      again.feed(encode_delimited(*rpc));
      const auto written = again.next();
      if (written && *written && decode(**written).value() != *rpc) std::abort();
      router.on_rpc(peer, *rpc, now);
    }
    now += step;
    router.on_deadline(now);
    for (const auto& message : router.take_received()) {
      if (message.topic != "topic" || message.data.size() > kDataBytesMax) std::abort();
      router.decide(message.id, static_cast<Verdict>(message.data.size() % 3), now);
    }
    for (const auto& out : router.take_output()) {
      if (out.to != peer) std::abort();
      Splitter said;
      said.feed(encode_delimited(out.rpc));
      const auto body = said.next();
      if (!body || !*body || !decode(**body)) std::abort();
    }
    if (router.mesh("topic").size() > 1) std::abort();
  }
}
