#pragma once

#include <optional>

#include "crypto/hash.hpp"
#include "crypto/x25519.hpp"
#include "libp2p/noise/cipher_state.hpp"

/// The Noise core (noiseprotocol.org, revision 34) for Noise_XX_25519_ChaChaPoly_SHA256 alone. It knows nothing of
/// libp2p.
namespace nmp::libp2p::noise {

enum class Role { initiator, responder };

/// What Split() gives: one key for each direction.
struct TransportKeys {
  crypto::AeadKey initiator_to_responder;
  crypto::AeadKey responder_to_initiator;
};

/// Chaining key, handshake hash and the key of the moment: section 5.2.
class SymmetricState {
 public:
  explicit SymmetricState(ByteView prologue);

  void mix_hash(ByteView data);
  void mix_key(const SecretBytes<32>& input);
  /// Appends to `out`. Errors: nonces_spent.
  Result<void> encrypt_and_hash(ByteView plaintext, Bytes& out);
  /// Errors: forged.
  Result<Bytes> decrypt_and_hash(ByteView ciphertext);
  [[nodiscard]] TransportKeys split() const;

  [[nodiscard]] const crypto::Digest& hash() const { return hash_; }
  /// What encrypt_and_hash adds to a plaintext now.
  [[nodiscard]] std::size_t overhead() const { return cipher_ ? kTagSize : 0; }

 private:
  SecretBytes<32> chaining_key_;
  crypto::Digest hash_;
  std::optional<CipherState> cipher_;
};

/// Section 5.3 with pattern XX (section 7.5): `-> e`, `<- e, ee, s, es`, `-> s, se`. Each side writes and reads by
/// turns. A private key is erased after its last use. After an error the object is of no use.
class HandshakeState {
 public:
  /// `s` and `e` are our static and ephemeral key pairs: both fresh, or at least `e`.
  HandshakeState(Role role, ByteView prologue, crypto::X25519KeyPair s, crypto::X25519KeyPair e);

  [[nodiscard]] bool writes_next() const { return !complete() && (message_ % 2 == 0) == (role_ == Role::initiator); }
  [[nodiscard]] bool complete() const { return message_ == 3; }
  /// Size of the next message without its payload's bytes.
  [[nodiscard]] std::size_t next_overhead() const;

  /// Appends the next message to `out`. Only when it is our turn. Errors: weak_key.
  Result<void> write_message(ByteView payload, Bytes& out);
  /// The payload of the peer's next message. Only when it is the peer's turn.
  /// Errors: bad_message (too short), weak_key, forged.
  Result<Bytes> read_message(ByteView message);

  /// The static public key that the peer has proved to hold, once its message has been read.
  [[nodiscard]] const crypto::X25519PublicKey& remote_static() const;
  [[nodiscard]] const crypto::Digest& hash() const { return symmetric_.hash(); }
  /// Only once complete.
  [[nodiscard]] TransportKeys split() const;

 private:
  enum class Token { e, s, ee, es, se };
  [[nodiscard]] static std::span<const Token> tokens(std::size_t message);
  Result<void> mix_dh(Token token);
  void end_message();

  Role role_;
  SymmetricState symmetric_;
  std::size_t message_ = 0;
  std::optional<crypto::X25519KeyPair> static_;
  std::optional<crypto::X25519KeyPair> ephemeral_;
  std::optional<crypto::X25519PublicKey> remote_static_;
  std::optional<crypto::X25519PublicKey> remote_ephemeral_;
};

}  // namespace nmp::libp2p::noise
