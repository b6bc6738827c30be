#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libp2p/identify/message.hpp"
#include "libp2p/peer/peer_id.hpp"

namespace nmp::libp2p::identify {

/// Who can reach an address. A name counts as public.
enum class Reach : std::uint8_t { loopback, private_network, public_network };
[[nodiscard]] Reach reach_of(const Multiaddr& address);

/// Address hygiene: keeps those that are at least as public as the connection over which they were heard, without a
/// trailing /p2p of the peer itself, each once, and drops those that name another peer, an unspecified or a multicast
/// address, or port 0.
[[nodiscard]] std::vector<Multiaddr> keep_reachable(std::vector<Multiaddr> addresses,
                                                    const Multiaddr& connection_remote,
                                                    const PeerId& peer);

/// What is believed of a connected peer, after checks. Addresses are claims to try, never facts.
struct Profile {
  std::vector<Multiaddr> addresses;
  std::vector<std::string> protocols;
  std::string protocol_version;
  std::string agent_version;
  std::optional<Multiaddr> observed_address;     ///< where the peer sees us; never one of its own addresses
  std::optional<std::uint64_t> record_sequence;  ///< of the signed record that the addresses are from

  [[nodiscard]] bool speaks(std::string_view protocol) const;
};

/// Applies an identify answer or a push to what is known of `peer`, as whom the connection is authenticated.
/// `profile` is empty before the first answer. What the message leaves out stays; lists are replaced whole. Addresses
/// come from the signed peer record if it is valid and not older than the one known, else from the listen addresses;
/// once a signed record is known, unsigned lists no longer change the addresses. Errors: peer_mismatch if the message's
/// key is not the peer's; `profile` is then unchanged. A bad record is ignored.
Result<void> apply(const Message& message, const PeerId& peer, const Multiaddr& connection_remote, Profile& profile);

enum class Errc { peer_mismatch = 1 };
std::error_code make_error_code(Errc code);

}  // namespace nmp::libp2p::identify

template <>
struct std::is_error_code_enum<nmp::libp2p::identify::Errc> : std::true_type {};
