#include "libp2p/identify/profile.hpp"

#include <algorithm>
#include <set>

#include "libp2p/peer/envelope.hpp"
#include "libp2p/peer/keys.hpp"

namespace nmp::libp2p::identify {
namespace {

bool is_multicast(const IpAddress& ip) {
  return ip.v6 ? ip.bytes[0] == std::byte{0xff} : (ip.bytes[0] & std::byte{0xf0}) == std::byte{0xe0};
}

bool has_port_zero(const Multiaddr& address) {
  return std::ranges::any_of(address.components(), [](const auto& component) {
    return (component.protocol == Protocol::udp || component.protocol == Protocol::tcp) &&
           std::ranges::all_of(component.value, [](std::byte b) { return b == std::byte{0}; });
  });
}

bool names_nobody(const Multiaddr& address) {
  if (has_port_zero(address)) return true;
  auto ip = address.ip();
  return ip && (ip->is_unspecified() || is_multicast(*ip));
}

}  // namespace

Reach reach_of(const Multiaddr& address) {
  if (auto ip = address.ip()) {
    if (ip->is_loopback()) return Reach::loopback;
    return ip->is_private() ? Reach::private_network : Reach::public_network;
  }
  if (auto name = address.dns_name())
    return *name == "localhost" || name->ends_with(".localhost") ? Reach::loopback : Reach::public_network;
  return Reach::loopback;  // a pipe, memory: of this machine
}

std::vector<Multiaddr> keep_reachable(std::vector<Multiaddr> addresses,
                                      const Multiaddr& connection_remote,
                                      const PeerId& peer) {
  auto least = reach_of(connection_remote);
  std::vector<Multiaddr> kept;
  std::set<Multiaddr> seen;
  for (auto& address : addresses) {
    if (auto named = address.peer_id()) {
      if (*named != peer) continue;
      auto bare = address.without_peer();
      if (!bare) continue;
      address = *std::move(bare);
    }
    if (reach_of(address) < least || names_nobody(address)) continue;
    if (seen.insert(address).second) kept.push_back(std::move(address));
  }
  return kept;
}

bool Profile::speaks(std::string_view protocol) const {
  return std::ranges::find(protocols, protocol) != protocols.end();
}

Result<void> apply(const Message& message, const PeerId& peer, const Multiaddr& connection_remote, Profile& profile) {
  if (!message.public_key.empty()) {
    auto key = PublicKey::decode(message.public_key);
    if (!key || PeerId::of(*key) != peer) return fail(Errc::peer_mismatch);
  }
  bool from_record = false;
  if (!message.signed_peer_record.empty()) {
    auto record = open_peer_record(message.signed_peer_record);
    if (record && record->id == peer && (!profile.record_sequence || record->seq >= *profile.record_sequence)) {
      profile.addresses = keep_reachable(std::move(record->addresses), connection_remote, peer);
      profile.record_sequence = record->seq;
      from_record = true;
    }
  }
  if (!from_record && !profile.record_sequence && !message.listen_addresses.empty())
    profile.addresses = keep_reachable(message.listen_addresses, connection_remote, peer);
  if (!message.protocols.empty()) profile.protocols = message.protocols;
  if (message.observed_address) profile.observed_address = message.observed_address;
  if (!message.protocol_version.empty()) profile.protocol_version = message.protocol_version;
  if (!message.agent_version.empty()) profile.agent_version = message.agent_version;
  return {};
}

std::error_code make_error_code(Errc code) {
  static const EnumCategory<Errc> category("identify", [](Errc value) -> std::string_view {
    switch (value) {
      case Errc::peer_mismatch: return "peer_mismatch: the key is not the authenticated peer's";
    }
    return "unknown";
  });
  return {static_cast<int>(code), category};
}

}  // namespace nmp::libp2p::identify
