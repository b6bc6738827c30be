#include <arpa/inet.h>

#include "libp2p/peer/errors.hpp"
#include "libp2p/peer/multiaddr.hpp"

namespace nmp::libp2p {
namespace {

struct Prefix {
  std::array<std::uint8_t, 16> bytes;
  unsigned bits;
};

/// libp2p.md section 3, "Public/private classification"; multicast and broadcast (224/3) are nobody's address.
constexpr std::array kPrivate4 = {
    Prefix{{0}, 8},         Prefix{{10}, 8},       Prefix{{100, 64}, 10},  Prefix{{127}, 8},
    Prefix{{169, 254}, 16}, Prefix{{172, 16}, 12}, Prefix{{192, 168}, 16}, Prefix{{224}, 3},
};
/// ::/64 holds the unspecified and loopback addresses, IPv4-mapped and IPv4-compatible forms.
constexpr std::array kPrivate6 = {Prefix{{0}, 64}, Prefix{{0xfc}, 7}, Prefix{{0xfe, 0x80}, 10}, Prefix{{0xff}, 8}};

bool within(ByteView address, const Prefix& prefix) {
  for (unsigned bit = 0; bit < prefix.bits; bit += 8) {
    unsigned left = std::min(8U, prefix.bits - bit);
    auto mask = static_cast<std::uint8_t>(0xff00U >> left);
    if ((std::to_integer<std::uint8_t>(address[bit / 8]) & mask) != (prefix.bytes[bit / 8] & mask)) return false;
  }
  return true;
}

}  // namespace

Result<IpAddress> IpAddress::parse(std::string_view text) {
  IpAddress address{.v6 = text.contains(':')};
  std::string terminated(text);
  // A NUL inside would hide the rest from inet_pton.
  bool ok =
      !text.contains('\0') && inet_pton(address.v6 ? AF_INET6 : AF_INET, terminated.c_str(), address.bytes.data()) == 1;
  if (!ok) return fail(PeerErrc::malformed, "IP address");
  return address;
}

std::string IpAddress::to_text() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  NMP_ASSERT(inet_ntop(v6 ? AF_INET6 : AF_INET, bytes.data(), text.data(), text.size()) != nullptr);
  return text.data();
}

bool IpAddress::is_unspecified() const {
  return std::ranges::all_of(bytes, [](auto byte) { return byte == std::byte{0}; });
}

bool IpAddress::is_loopback() const {
  if (!v6) return bytes[0] == std::byte{127};
  IpAddress one{.v6 = true};
  one.bytes[15] = std::byte{1};
  return *this == one;
}

bool IpAddress::is_private() const {
  auto holds = [&](const Prefix& prefix) { return within(bytes, prefix); };
  return v6 ? std::ranges::any_of(kPrivate6, holds) : std::ranges::any_of(kPrivate4, holds);
}

}  // namespace nmp::libp2p
