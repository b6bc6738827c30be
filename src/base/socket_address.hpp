#pragma once

#include <compare>
#include <functional>

#include "base/bytes.hpp"

namespace nmp {

/// An IP address and a port as a value, without any operating system type.
struct SocketAddress {
  bool is_v6 = false;
  ByteArray<16> ip{};  ///< network order; IPv4 uses the first four bytes, the rest is zero
  std::uint16_t port = 0;
  std::uint32_t scope_id = 0;  ///< IPv6 link-local only

  [[nodiscard]] ByteView ip_bytes() const { return ByteView(ip).first(is_v6 ? 16 : 4); }
  [[nodiscard]] bool is_wildcard() const {
    return std::ranges::all_of(ip, [](std::byte b) { return b == std::byte{0}; });
  }
  [[nodiscard]] bool is_loopback() const {
    if (!is_v6) return ip[0] == std::byte{127};
    return std::ranges::all_of(ByteView(ip).first(15), [](std::byte b) { return b == std::byte{0}; }) &&
           ip[15] == std::byte{1};
  }
  friend auto operator<=>(const SocketAddress&, const SocketAddress&) = default;
};

}  // namespace nmp
