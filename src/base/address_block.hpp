#pragma once

#include "base/socket_address.hpp"

namespace nmp {

/// What one owner of addresses has: an IPv4 address, an IPv6 /56 (libp2p.md section 17). Limits count by it.
struct AddressBlock {
  bool is_v6 = false;
  ByteArray<7> bytes{};
  friend auto operator<=>(const AddressBlock&, const AddressBlock&) = default;
};

[[nodiscard]] inline AddressBlock block_of(const SocketAddress& address) {
  AddressBlock block{address.is_v6, {}};
  std::copy_n(address.ip.begin(), address.is_v6 ? 7 : 4, block.bytes.begin());
  return block;
}

}  // namespace nmp
