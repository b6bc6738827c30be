// fuzz: USES libp2p_peer
#include "libp2p/peer/certificate.hpp"

using namespace nmp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = view_of(data, size);
  std::array chain = {to_bytes(input)};
  auto id = libp2p::verify_certificate(chain, 1'780'000'000);
  if (!id) return 0;
  // Who is named here is a peer ID like any other, and one byte more makes another certificate.
  NMP_ASSERT(libp2p::PeerId::from_bytes(id->bytes()).value() == *id);
  chain[0].push_back(std::byte{0});
  NMP_ASSERT(!libp2p::verify_certificate(chain, 1'780'000'000));
  return 0;
}
