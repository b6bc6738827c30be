// fuzz: USES libp2p_peer
#include "libp2p/peer/keys.hpp"

using namespace nmp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = view_of(data, size);
  auto key = libp2p::PublicKey::decode(input);
  if (key) {
    NMP_ASSERT(equal(key->bytes(), input));
    NMP_ASSERT(!key->verify(bytes_of("message"), {}));
  }
  if (auto pair = libp2p::KeyPair::decode(input)) {
    auto again = libp2p::KeyPair::decode(pair->encode().view());
    NMP_ASSERT(again && again->public_key() == pair->public_key());
    NMP_ASSERT(pair->public_key().verify(bytes_of("message"), pair->sign(bytes_of("message"))));
  }
  return 0;
}
