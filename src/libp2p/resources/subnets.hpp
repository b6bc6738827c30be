#pragma once

#include <map>
#include <optional>

#include "base/address_block.hpp"
#include "libp2p/resources/errors.hpp"
#include "libp2p/resources/limits.hpp"

namespace nmp::libp2p::resources {

/// Inbound connections by who owns the address they come from: IPv4 /32, IPv6 /56, and IPv6 /48 beside it. Counts and
/// rates are of proven addresses only, so that forged ones do not shut out their owners.
class Subnets {
 public:
  explicit Subnets(const SubnetLimits& limits) : limits_(limits) {}

  /// Whether one connection more may come from there. Counts nothing. Errors: crowded, rate_limited.
  [[nodiscard]] Result<void> check(const SocketAddress& from, Instant now) const;
  /// check(), and counts it until leave(). Errors: as check().
  Result<void> enter(const SocketAddress& from, Instant now);
  void leave(const SocketAddress& from, Instant now);

  /// Subnets that something is remembered of.
  [[nodiscard]] std::size_t size() const { return subnets_.size(); }

 private:
  struct Subnet {
    std::size_t open = 0;
    Instant full_at{};  ///< when its bucket will be full again, which says how much is in it now
  };
  struct Rule {
    AddressBlock block;
    std::size_t open_max;
    std::size_t per_second;
    std::size_t burst;
    const char* kind;
  };
  struct Rules {
    std::array<Rule, 2> rules;
    std::size_t count = 0;
  };

  [[nodiscard]] Rules rules_of(const SocketAddress& from) const;
  void sweep(Instant now);

  SubnetLimits limits_;
  Instant swept_{};
  std::map<std::pair<std::size_t, AddressBlock>, Subnet> subnets_;  // by rule number and block: peers choose the keys
};

}  // namespace nmp::libp2p::resources
