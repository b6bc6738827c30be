// fuzz: USES libp2p_tls
#include <cstddef>
#include <cstdint>

#include "base/codec.hpp"
#include "libp2p/tls/certificate_message.hpp"

namespace {

using namespace nmp;

/// RFC 8446 section 4.4.2, with no context and no extensions.
Bytes encode(std::span<const Bytes> certificates) {
  auto u24 = [](std::size_t size) {
    return Writer().u8(static_cast<std::uint8_t>(size >> 16)).u16be(static_cast<std::uint16_t>(size)).take();
  };
  Bytes list;
  for (const auto& certificate : certificates) {
    append(list, u24(certificate.size()));
    append(list, certificate);
    append(list, Bytes(2));
  }
  return concat({Bytes(1), u24(list.size()), list});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size >= 1U << 23) return 0;
  auto certificates = libp2p::tls::certificates_of(view_of(data, size));
  if (!certificates) return 0;
  NMP_ASSERT(certificates->size() <= 2);
  auto again = libp2p::tls::certificates_of(encode(*certificates));
  NMP_ASSERT(again && *again == *certificates);
  return 0;
}
