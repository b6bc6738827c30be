#pragma once

#include "base/codec.hpp"
#include "libp2p/peer/multiaddr.hpp"

/// The components of a multiaddr as bytes and as text, for multiaddr.cpp only.
namespace nmp::libp2p {

/// Reads and checks one component. Errors: PeerErrc::malformed, unsupported, too_large.
Result<Multiaddr::Component> read_component(Reader& reader);
/// `value` fits the protocol (the caller's to know).
void write_component(Writer& writer, Protocol protocol, ByteView value);
/// Errors: those of read_component; an empty address, one over its ceilings.
Result<void> check_components(ByteView bytes);

/// `/name` or `/name/value`.
[[nodiscard]] std::string component_text(const Multiaddr::Component& component);
Result<Bytes> components_from_text(std::string_view text);

}  // namespace nmp::libp2p
