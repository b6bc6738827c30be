// fuzz: USES libp2p_peer
#include "libp2p/peer/multiaddr.hpp"

using namespace nmp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = view_of(data, size);
  if (auto address = libp2p::Multiaddr::decode(input)) {
    NMP_ASSERT(equal(address->bytes(), input));
    auto text = address->to_text();
    NMP_ASSERT(libp2p::Multiaddr::parse(text).value() == *address);
    // Every reader must bear every address.
    (void)address->is_quic_v1();
    (void)address->is_tcp();
    (void)address->tcp_endpoint();
    (void)address->udp_endpoint();
    (void)address->ip();
    (void)address->dns_name();
    auto id = address->peer_id();
    NMP_ASSERT(!id || address->with_peer(*id) == *address);
  }
  if (auto address = libp2p::Multiaddr::parse(text_of(input))) {
    NMP_ASSERT(libp2p::Multiaddr::decode(address->bytes()).value() == *address);
    NMP_ASSERT(libp2p::Multiaddr::parse(address->to_text()).value() == *address);
  }
  return 0;
}
