#include "libp2p/resources/subnets.hpp"

#include "base/encoding.hpp"

namespace nmp::libp2p::resources {

namespace {

std::string text_of_block(const AddressBlock& block) {
  if (block.is_v6) return hex_encode(block.bytes);
  std::string text;
  for (std::size_t i = 0; i < 4; ++i)
    text += (i == 0 ? "" : ".") + std::to_string(std::to_integer<unsigned>(block.bytes[i]));
  return text;
}

}  // namespace

Subnets::Rules Subnets::rules_of(const SocketAddress& from) const {
  Rules found;
  const auto address = block_of(from);
  found.rules[found.count++] = {address, limits_.per_address_max, limits_.rate_per_address, limits_.burst_per_address,
                                from.is_v6 ? "IPv6 /56 " : "IPv4 "};
  if (from.is_v6) {
    auto site = address;
    site.bytes[6] = std::byte{0};
    found.rules[found.count++] = {site, limits_.per_site_max, limits_.rate_per_site, limits_.burst_per_site,
                                  "IPv6 /48 "};
  }
  return found;
}

Result<void> Subnets::check(const SocketAddress& from, Instant now) const {
  if (from.is_loopback()) return {};
  const auto rules = rules_of(from);
  for (std::size_t i = 0; i < rules.count; ++i) {
    const auto& rule = rules.rules[i];
    const auto it = subnets_.find({i, rule.block});
    const auto open = it == subnets_.end() ? 0 : it->second.open;
    if (open >= rule.open_max)
      return fail(Errc::crowded, rule.kind + text_of_block(rule.block) + ": connections in " + std::to_string(open) +
                                     " of " + std::to_string(rule.open_max));
    const auto token = Duration(std::chrono::seconds(1)) / rule.per_second;
    const auto full_at = (it == subnets_.end() ? now : std::max(it->second.full_at, now)) + token;
    if (full_at - now > token * rule.burst)
      return fail(Errc::rate_limited, rule.kind + text_of_block(rule.block) + ": more than " +
                                          std::to_string(rule.per_second) + " new connections a second, " +
                                          std::to_string(rule.burst) + " at once");
  }
  return {};
}

Result<void> Subnets::enter(const SocketAddress& from, Instant now) {
  if (from.is_loopback()) return {};
  NMP_CHECK(check(from, now));
  if (subnets_.size() >= kSubnetsMax) sweep(now);
  const auto rules = rules_of(from);
  for (std::size_t i = 0; i < rules.count; ++i) {
    auto& subnet = subnets_[{i, rules.rules[i].block}];
    ++subnet.open;
    subnet.full_at = std::max(subnet.full_at, now) + Duration(std::chrono::seconds(1)) / rules.rules[i].per_second;
  }
  return {};
}

void Subnets::leave(const SocketAddress& from, Instant now) {
  if (from.is_loopback()) return;
  const auto rules = rules_of(from);
  for (std::size_t i = 0; i < rules.count; ++i) {
    const auto it = subnets_.find({i, rules.rules[i].block});
    if (it == subnets_.end()) continue;
    if (it->second.open > 0) --it->second.open;
    if (it->second.open == 0 && (it->second.full_at <= now || subnets_.size() > kSubnetsMax)) subnets_.erase(it);
  }
}

void Subnets::sweep(Instant now) {
  if (now - swept_ < std::chrono::seconds(1)) return;
  swept_ = now;
  std::erase_if(subnets_, [&](const auto& entry) { return entry.second.open == 0 && entry.second.full_at <= now; });
}

}  // namespace nmp::libp2p::resources
