#pragma once

#include <cstdint>

#include "base/codec.hpp"
#include "base/random.hpp"
#include "libp2p/noise/session.hpp"

/// For tests and fuzzers.
namespace nmp::libp2p::noise {

/// Gives the bytes that it is told to give, and no more.
class ScriptedRandom final : public Random {
 public:
  explicit ScriptedRandom(Bytes bytes) : bytes_(std::move(bytes)) {}
  void fill(std::span<std::byte> out) override {
    NMP_ASSERT(out.size() <= bytes_.size() - at_);
    std::ranges::copy(ByteView(bytes_).subspan(at_, out.size()), out.begin());
    at_ += out.size();
  }

 private:
  Bytes bytes_;
  std::size_t at_ = 0;
};

/// A peer made by hand from the Noise core, which can say what a Session never would.
class RawPeer {
 public:
  RawPeer(Role role, Random& random)
      : RawPeer(role, crypto::X25519KeyPair::generate(random), crypto::X25519KeyPair::generate(random)) {}
  RawPeer(Role role, crypto::X25519KeyPair s, crypto::X25519KeyPair e)
      : static_key_(s.public_key()), state_(role, /*prologue=*/ByteView(), std::move(s), std::move(e)) {}

  [[nodiscard]] const crypto::X25519PublicKey& static_key() const { return static_key_; }
  [[nodiscard]] HandshakeState& state() { return state_; }
  /// The next message, with its length.
  [[nodiscard]] Bytes write(ByteView payload) {
    Bytes message;
    NMP_ASSERT(state_.write_message(payload, message));
    return Writer().u16be(static_cast<std::uint16_t>(message.size())).bytes(message).take();
  }
  /// The payload of a message with its length, which is all of `frame`.
  [[nodiscard]] Result<Bytes> read(ByteView frame) {
    NMP_ASSERT(frame.size() >= 2);
    return state_.read_message(frame.subspan(2));
  }

 private:
  crypto::X25519PublicKey static_key_;
  HandshakeState state_;
};

/// What a host with `identity` says of itself under `static_key`.
[[nodiscard]] inline HandshakePayload payload_of(const KeyPair& identity, const crypto::X25519PublicKey& static_key) {
  auto signature = identity.sign(static_key_message(static_key));
  return {.identity_key = identity.public_key().bytes(),
          .identity_sig = to_bytes(ByteView(signature)),
          .stream_muxers = {}};
}

}  // namespace nmp::libp2p::noise
