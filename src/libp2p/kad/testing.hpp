#pragma once

#include "base/encoding.hpp"
#include "base/random.hpp"
#include "libp2p/kad/validator.hpp"
#include "libp2p/peer/multiaddr.hpp"

/// For tests: peers and addresses by number.
namespace nmp::libp2p::kad {

inline Bytes hex(std::string_view text) { return hex_decode(text).value(); }
inline Multiaddr address(std::string_view text) { return Multiaddr::parse(text).value(); }

/// A hashed peer ID, without a key behind it.
inline PeerId peer(std::uint64_t number) {
  SeededRandom random(number + 1000);
  Bytes raw{std::byte{0x12}, std::byte{0x20}};
  append(raw, random.bytes<32>());
  return PeerId::from_bytes(raw).value();
}

inline PeerInfo peer_at(std::uint64_t number, std::string_view text) { return PeerInfo{peer(number), {address(text)}}; }
/// At a loopback port.
inline PeerInfo peer_info(std::uint64_t number) {
  return peer_at(number, "/ip4/127.0.0.1/udp/" + std::to_string(1 + number % 60000) + "/quic-v1");
}

/// Values "N:text", N their sequence number; "bad" is none.
class NumberValidator final : public Validator {
 public:
  [[nodiscard]] Result<void> validate(ByteView, ByteView value, UnixSeconds now) const override {
    auto text = text_of(value);
    if (text.empty() || text.find(':') == std::string_view::npos) return fail(Errc::malformed, "no number");
    if (text.ends_with("expires100") && now >= 100) return fail(Errc::malformed, "expired");
    return {};
  }
  [[nodiscard]] std::size_t select(ByteView, std::span<const Bytes> values) const override {
    auto number = [](const Bytes& value) { return std::stoull(string_of(value)); };
    std::size_t best = 0;
    for (std::size_t i = 1; i < values.size(); ++i)
      if (number(values[i]) > number(values[best])) best = i;
    return best;
  }
};

inline Validators number_validators() {
  Validators validators;
  validators.add("test", std::make_unique<NumberValidator>());
  return validators;
}

}  // namespace nmp::libp2p::kad
