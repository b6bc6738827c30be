#include "libp2p/kad/ip_group.hpp"

#include <algorithm>

namespace nmp::libp2p::kad {
namespace {

constexpr std::uint64_t kV6 = std::uint64_t{1} << 56;
constexpr std::uint64_t kWide = std::uint64_t{1} << 57;

bool starts_with(ByteView bytes, std::initializer_list<int> prefix) {
  return std::ranges::equal(bytes.first(prefix.size()), prefix,
                            [](std::byte have, int want) { return std::to_integer<int>(have) == want; });
}

/// The IPv4 address inside an IPv6 one that is made from it.
std::optional<ByteArray<4>> wrapped(const IpAddress& address) {
  ByteView all = address.view();
  auto four = [&](std::size_t at, std::byte flip) {
    ByteArray<4> v4{};
    for (std::size_t i = 0; i < v4.size(); ++i) v4[i] = all[at + i] ^ flip;
    return v4;
  };
  if (starts_with(all, {0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0})) return four(12, std::byte{0});
  if (starts_with(all, {0x20, 0x02})) return four(2, std::byte{0});
  if (starts_with(all, {0x20, 0x01, 0, 0})) return four(12, std::byte{0xff});
  return std::nullopt;
}

std::uint64_t prefix_of(ByteView bytes) {
  std::uint64_t packed = 0;
  for (auto byte : bytes) packed = packed << 8 | std::to_integer<std::uint64_t>(byte);
  return packed;
}

}  // namespace

std::optional<IpGroup> IpGroup::of(const IpAddress& address, Width width) {
  if (!address.is_public()) return std::nullopt;
  bool wide = width == Width::wide;
  auto tag = wide ? kWide : 0;
  if (!address.v6) return IpGroup(tag | prefix_of(address.view().first(wide ? 2 : 3)));
  if (auto v4 = wrapped(address)) return IpGroup(tag | prefix_of(ByteView(*v4).first(wide ? 2 : 3)));
  return IpGroup(tag | kV6 | prefix_of(address.view().first(wide ? 4 : 6)));
}

std::vector<IpGroup> groups_of(std::span<const Multiaddr> addresses) {
  std::vector<IpGroup> groups;
  for (const auto& address : addresses) {
    auto ip = address.ip();
    if (!ip) continue;
    for (auto width : {IpGroup::Width::narrow, IpGroup::Width::wide}) {
      auto group = IpGroup::of(*ip, width);
      if (group && std::ranges::find(groups, *group) == groups.end()) groups.push_back(*group);
    }
  }
  return groups;
}

}  // namespace nmp::libp2p::kad
