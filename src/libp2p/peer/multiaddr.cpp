#include "libp2p/peer/multiaddr.hpp"

#include <algorithm>
#include <ranges>

#include "libp2p/peer/errors.hpp"
#include "libp2p/peer/limits.hpp"
#include "libp2p/peer/multiaddr_codec.hpp"

namespace nmp::libp2p {

Result<Multiaddr> Multiaddr::decode(ByteView bytes) {
  NMP_CHECK(check_components(bytes));
  return Multiaddr(to_bytes(bytes));
}

Result<Multiaddr> Multiaddr::parse(std::string_view text) {
  NMP_TRY(auto bytes, components_from_text(text));
  return decode(bytes);
}

Multiaddr Multiaddr::tcp(const IpEndpoint& address) {
  Writer writer;
  write_component(writer, address.ip.v6 ? Protocol::ip6 : Protocol::ip4, address.ip.view());
  write_component(writer, Protocol::tcp, Writer().u16be(address.port).view());
  return Multiaddr(writer.take());
}

Multiaddr Multiaddr::websocket(const IpEndpoint& address) {
  Writer writer;
  writer.bytes(tcp(address).bytes());
  write_component(writer, Protocol::ws, {});
  return Multiaddr(writer.take());
}

Multiaddr Multiaddr::quic_v1(const IpEndpoint& address) {
  Writer writer;
  write_component(writer, address.ip.v6 ? Protocol::ip6 : Protocol::ip4, address.ip.view());
  write_component(writer, Protocol::udp, Writer().u16be(address.port).view());
  write_component(writer, Protocol::quic_v1, {});
  return Multiaddr(writer.take());
}

std::vector<Multiaddr::Component> Multiaddr::components() const {
  std::vector<Component> out;
  Reader reader(bytes_);
  while (!reader.empty()) {
    auto component = read_component(reader);
    NMP_ASSERT(component.has_value());  // checked when the address was made
    out.push_back(*component);
  }
  return out;
}

std::string Multiaddr::to_text() const {
  std::string out;
  for (const auto& component : components()) out += component_text(component);
  return out;
}

std::optional<ByteView> Multiaddr::find(Protocol protocol) const {
  for (const auto& component : components()) {
    if (component.protocol == protocol) return component.value;
  }
  return std::nullopt;
}

namespace {

std::optional<IpAddress> ip_of(const Multiaddr::Component& component) {
  if (component.protocol != Protocol::ip4 && component.protocol != Protocol::ip6) return std::nullopt;
  IpAddress ip{.v6 = component.protocol == Protocol::ip6};
  std::ranges::copy(component.value, ip.bytes.begin());
  return ip;
}

/// An IP or a name, then exactly these, then nothing or `/p2p/ID`.
bool has_form(std::vector<Multiaddr::Component> parts, std::initializer_list<Protocol> rest) {
  if (parts.size() == rest.size() + 2 && parts.back().protocol == Protocol::p2p) parts.pop_back();
  if (parts.size() != rest.size() + 1) return false;
  const auto host = parts.front().protocol;
  return (host == Protocol::ip4 || host == Protocol::ip6 || host == Protocol::dns || host == Protocol::dns4 ||
          host == Protocol::dns6) &&
         std::ranges::equal(parts | std::views::drop(1), rest, {}, &Multiaddr::Component::protocol);
}

std::optional<IpEndpoint> endpoint_of(const std::vector<Multiaddr::Component>& parts, Protocol over) {
  if (parts.size() < 2 || parts[1].protocol != over) return std::nullopt;
  auto address = ip_of(parts[0]);
  auto port = Reader(parts[1].value).u16be();
  if (!address || !port) return std::nullopt;
  return IpEndpoint{.ip = *address, .port = *port};
}

}  // namespace

bool Multiaddr::is_quic_v1() const { return has_form(components(), {Protocol::udp, Protocol::quic_v1}); }
bool Multiaddr::is_tcp() const { return has_form(components(), {Protocol::tcp}); }
bool Multiaddr::is_websocket() const { return has_form(components(), {Protocol::tcp, Protocol::ws}); }
std::optional<IpEndpoint> Multiaddr::udp_endpoint() const { return endpoint_of(components(), Protocol::udp); }
std::optional<IpEndpoint> Multiaddr::tcp_endpoint() const { return endpoint_of(components(), Protocol::tcp); }

std::optional<IpAddress> Multiaddr::ip() const {
  auto parts = components();
  std::size_t at = parts[0].protocol == Protocol::ip6zone ? 1 : 0;
  return at < parts.size() ? ip_of(parts[at]) : std::nullopt;
}

std::optional<std::string> Multiaddr::dns_name() const {
  auto front = components().front();
  switch (front.protocol) {
    case Protocol::dns:
    case Protocol::dns4:
    case Protocol::dns6:
    case Protocol::dnsaddr: return string_of(front.value);
    default: return std::nullopt;
  }
}

std::size_t Multiaddr::last_at() const {
  Reader reader(bytes_);
  std::size_t at = 0;
  while (!reader.empty()) {
    at = bytes_.size() - reader.size();
    NMP_ASSERT(read_component(reader).has_value());
  }
  return at;
}

std::optional<PeerId> Multiaddr::peer_id() const {
  auto last = components().back();
  if (last.protocol != Protocol::p2p) return std::nullopt;
  auto id = PeerId::from_bytes(last.value);
  return id ? std::optional(*id) : std::nullopt;
}

Multiaddr Multiaddr::with_peer(const PeerId& id) const {
  Writer writer;
  writer.bytes(peer_id() ? ByteView(bytes_).first(last_at()) : ByteView(bytes_));
  write_component(writer, Protocol::p2p, id.bytes());
  return Multiaddr(writer.take());
}

std::optional<Multiaddr> Multiaddr::without_peer() const {
  if (!peer_id()) return *this;
  auto size = last_at();
  if (size == 0) return std::nullopt;
  return Multiaddr(to_bytes(ByteView(bytes_).first(size)));
}

Multiaddr Multiaddr::with_ip(const IpAddress& ip) const {
  Reader reader(bytes_);
  NMP_ASSERT(read_component(reader).has_value());
  Writer writer;
  write_component(writer, ip.v6 ? Protocol::ip6 : Protocol::ip4, ip.view());
  writer.bytes(reader.rest());
  return Multiaddr(writer.take());
}

}  // namespace nmp::libp2p
