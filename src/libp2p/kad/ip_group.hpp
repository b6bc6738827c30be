#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "libp2p/peer/multiaddr.hpp"

namespace nmp::libp2p::kad {

/// Whoever holds one network address usually holds its neighbours too: peers are counted by prefix, so that an attacker
/// has to own many networks, not many identities. A group is a prefix with its kind, the host bits masked away.
///
/// narrow: IPv4 /24, IPv6 /48 (what one customer gets). wide: IPv4 /16, IPv6 /32 (what one provider gets).
/// IPv6 addresses that only wrap an IPv4 one count as that: NAT64 (64:ff9b::/96, RFC 6052), 6to4 (2002::/16, RFC 3056),
/// Teredo (2001::/32, RFC 4380). Otherwise the owner of one IPv4 address had a /48 for nothing.
class IpGroup {
 public:
  enum class Width : std::uint8_t { narrow, wide };

  /// Of a public address; nothing for private and loopback ones, which are not scarce and are not counted.
  [[nodiscard]] static std::optional<IpGroup> of(const IpAddress& address, Width width);

  [[nodiscard]] Width width() const { return static_cast<Width>(packed_ >> 57 & 1); }
  friend auto operator<=>(const IpGroup&, const IpGroup&) = default;

 private:
  explicit IpGroup(std::uint64_t packed) : packed_(packed) {}
  std::uint64_t packed_;  ///< family, width, then up to 48 bits of prefix
};

/// The groups of all public addresses, each once: both widths of each.
[[nodiscard]] std::vector<IpGroup> groups_of(std::span<const Multiaddr> addresses);

}  // namespace nmp::libp2p::kad
