#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "libp2p/peer/peer_id.hpp"

/// Self-describing addresses, github.com/multiformats/multiaddr. Text and bytes map one to one, but for aliases in text
/// (`/ipfs/`, CID forms of peer IDs, a trailing slash, other spellings of IPv6) that print in their one form.
namespace nmp::libp2p {

/// Multicodec codes, type "multiaddr".
enum class Protocol : std::uint32_t {
  ip4 = 4,
  tcp = 6,
  ip6 = 41,
  ip6zone = 42,
  ipcidr = 43,
  dns = 53,
  dns4 = 54,
  dns6 = 55,
  dnsaddr = 56,
  udp = 273,
  webrtc_direct = 280,
  webrtc = 281,
  p2p_circuit = 290,
  unix_path = 400,
  p2p = 421,
  https = 443,
  tls = 448,
  sni = 449,
  noise = 454,
  quic = 460,
  quic_v1 = 461,
  webtransport = 465,
  certhash = 466,
  ws = 477,
  wss = 478,
  http = 480,
  http_path = 481,
  memory = 777,
};

struct IpAddress {
  /// IPv4 in the first four bytes, the rest zero.
  ByteArray<16> bytes{};
  bool v6 = false;

  /// `1.2.3.4` or RFC 4291 text without a zone. Errors: PeerErrc::malformed.
  static Result<IpAddress> parse(std::string_view text);
  /// RFC 5952 for IPv6.
  [[nodiscard]] std::string to_text() const;
  [[nodiscard]] ByteView view() const { return ByteView(bytes).first(v6 ? 16 : 4); }

  [[nodiscard]] bool is_unspecified() const;
  [[nodiscard]] bool is_loopback() const;
  /// Loopback, unspecified, RFC 1918, 100.64/10, 169.254/16, 0/8, fc00::/7, fe80::/10, multicast, and IPv4-mapped forms
  /// (all of ::/64).
  [[nodiscard]] bool is_private() const;
  /// Everything else; NAT64 (64:ff9b::/96, 64:ff9b:1::/48) counts as public.
  [[nodiscard]] bool is_public() const { return !is_private(); }

  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
};

/// Of a UDP or TCP port.
struct IpEndpoint {
  IpAddress ip;
  std::uint16_t port = 0;
  friend auto operator<=>(const IpEndpoint&, const IpEndpoint&) = default;
};

class Multiaddr {
 public:
  struct Component {
    Protocol protocol;
    ByteView value;  ///< without its length prefix; lives as long as the Multiaddr
  };

  /// Errors: PeerErrc::malformed, unsupported (an unknown protocol), too_large.
  static Result<Multiaddr> parse(std::string_view text);
  static Result<Multiaddr> decode(ByteView bytes);
  /// `/ip4|ip6/H/udp/P/quic-v1`.
  [[nodiscard]] static Multiaddr quic_v1(const IpEndpoint& address);
  /// `/ip4|ip6/H/tcp/P`.
  [[nodiscard]] static Multiaddr tcp(const IpEndpoint& address);
  /// `/ip4|ip6/H/tcp/P/ws`.
  [[nodiscard]] static Multiaddr websocket(const IpEndpoint& address);

  [[nodiscard]] const Bytes& bytes() const { return bytes_; }
  [[nodiscard]] std::string to_text() const;
  [[nodiscard]] std::vector<Component> components() const;
  /// The value of the first component of that protocol.
  [[nodiscard]] std::optional<ByteView> find(Protocol protocol) const;
  [[nodiscard]] bool has(Protocol protocol) const { return find(protocol).has_value(); }

  /// Exactly `/ip4|ip6|dns|dns4|dns6/H/udp/P/quic-v1[/p2p/ID]`: what we can dial over QUIC (after resolving a name).
  [[nodiscard]] bool is_quic_v1() const;
  /// Of an address that begins `/ip4|ip6/H/udp/P`.
  [[nodiscard]] std::optional<IpEndpoint> udp_endpoint() const;
  /// Exactly `/ip4|ip6|dns|dns4|dns6/H/tcp/P[/p2p/ID]`: TCP whose security and muxer are negotiated.
  [[nodiscard]] bool is_tcp() const;
  /// Exactly `/ip4|ip6|dns|dns4|dns6/H/tcp/P/ws[/p2p/ID]`: the same inside an unencrypted WebSocket.
  [[nodiscard]] bool is_websocket() const;
  /// Of one of these three forms: a transport that we have.
  [[nodiscard]] bool is_transport() const { return is_quic_v1() || is_tcp() || is_websocket(); }
  /// Begins `/dnsaddr/NAME`: stands for what is written there in DNS.
  [[nodiscard]] bool is_dnsaddr() const { return components().front().protocol == Protocol::dnsaddr; }
  /// Of an address that begins `/ip4|ip6/H/tcp/P`.
  [[nodiscard]] std::optional<IpEndpoint> tcp_endpoint() const;
  /// The IP at the front; a zone before it is skipped.
  [[nodiscard]] std::optional<IpAddress> ip() const;
  /// The name at the front, if the address begins with dns, dns4, dns6 or dnsaddr.
  [[nodiscard]] std::optional<std::string> dns_name() const;
  [[nodiscard]] bool is_circuit() const { return has(Protocol::p2p_circuit); }

  /// The ID in the last component, if that is `/p2p`: whom one reaches there.
  [[nodiscard]] std::optional<PeerId> peer_id() const;
  /// With `/p2p/id` as its last component, in place of another that stands there.
  [[nodiscard]] Multiaddr with_peer(const PeerId& id) const;
  /// Without a last `/p2p/ID`; nothing if that was all.
  [[nodiscard]] std::optional<Multiaddr> without_peer() const;
  /// The first component replaced by an IP: what a resolved name becomes.
  [[nodiscard]] Multiaddr with_ip(const IpAddress& ip) const;

  friend bool operator==(const Multiaddr&, const Multiaddr&) = default;
  friend auto operator<=>(const Multiaddr& a, const Multiaddr& b) { return a.bytes_ <=> b.bytes_; }

 private:
  explicit Multiaddr(Bytes bytes) : bytes_(std::move(bytes)) {}
  /// Where the last component starts.
  [[nodiscard]] std::size_t last_at() const;
  Bytes bytes_;
};

/// A peer and where it may be found.
struct PeerInfo {
  PeerId id;
  std::vector<Multiaddr> addresses;
  friend bool operator==(const PeerInfo&, const PeerInfo&) = default;
};

}  // namespace nmp::libp2p

template <>
struct std::hash<nmp::libp2p::Multiaddr> {
  std::size_t operator()(const nmp::libp2p::Multiaddr& address) const noexcept {
    return std::hash<std::string_view>{}(nmp::text_of(address.bytes()));
  }
};
