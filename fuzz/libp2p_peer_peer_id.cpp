// fuzz: USES libp2p_peer
#include "libp2p/peer/cid.hpp"
#include "libp2p/peer/peer_id.hpp"

using namespace nmp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = view_of(data, size);
  if (auto id = libp2p::PeerId::from_bytes(input)) {
    NMP_ASSERT(equal(id->bytes(), input));
    NMP_ASSERT(libp2p::PeerId::parse(id->to_text()).value() == *id);
    NMP_ASSERT(libp2p::PeerId::parse(id->to_cid_text()).value() == *id);
  }
  if (auto id = libp2p::PeerId::parse(text_of(input))) {
    NMP_ASSERT(libp2p::PeerId::from_bytes(id->bytes()).value() == *id);
  }
  if (auto cid = libp2p::Cid::decode(input)) {
    NMP_ASSERT(equal(cid->bytes(), input));
    NMP_ASSERT(libp2p::Cid::parse(cid->to_text()).value() == *cid);
  }
  return 0;
}
