// fuzz: USES libp2p_peer
#include "libp2p/peer/envelope.hpp"

using namespace nmp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = view_of(data, size);
  if (auto envelope = libp2p::SignedEnvelope::decode(input)) {
    auto again = libp2p::SignedEnvelope::decode(envelope->encode());
    NMP_ASSERT(again && again->encode() == envelope->encode());
    auto record = libp2p::open_peer_record(input);
    NMP_ASSERT(!record || record->id == libp2p::PeerId::of(envelope->signer));
  }
  if (auto record = libp2p::PeerRecord::decode(input)) {
    auto encoded = record->encode();
    auto again = libp2p::PeerRecord::decode(encoded);
    // Canonical form may be a little longer than a form with its fields in another place: only then is it over the
    // ceiling.
    NMP_ASSERT(again ? *again == *record : encoded.size() > input.size());
  }
  return 0;
}
