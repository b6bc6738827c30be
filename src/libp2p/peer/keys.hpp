#pragma once

#include "base/bytes.hpp"
#include "base/random.hpp"
#include "base/result.hpp"
#include "crypto/ed25519.hpp"

/// Host keys, libp2p/specs peer-ids/peer-ids.md. All four types are verified; Ed25519 alone is created.
namespace nmp::libp2p {

enum class KeyType : std::uint8_t { rsa = 0, ed25519 = 1, secp256k1 = 2, ecdsa = 3 };

class PublicKey {
 public:
  explicit PublicKey(const crypto::Ed25519PublicKey& key);
  /// A PublicKey protobuf in canonical form: type, data, minimal varints, nothing else. The key itself is checked: on
  /// its curve, not of small order, RSA within its bounds. Errors: PeerErrc::malformed, not_canonical, unsupported
  /// (type), too_large, invalid_key.
  static Result<PublicKey> decode(ByteView protobuf);

  [[nodiscard]] KeyType type() const { return type_; }
  /// As in the protobuf: raw bytes, or DER SubjectPublicKeyInfo for RSA and ECDSA.
  [[nodiscard]] ByteView data() const { return ByteView(bytes_).subspan(data_at_); }
  /// The protobuf.
  [[nodiscard]] const Bytes& bytes() const { return bytes_; }
  /// Signature forms: libp2p.md section 2.
  [[nodiscard]] bool verify(ByteView message, ByteView signature) const;
  /// Errors: PeerErrc::unsupported if the key is of another type.
  [[nodiscard]] Result<crypto::Ed25519PublicKey> ed25519() const;

  friend bool operator==(const PublicKey& a, const PublicKey& b) { return a.bytes_ == b.bytes_; }

 private:
  PublicKey(KeyType type, Bytes bytes, std::size_t data_at)
      : type_(type), bytes_(std::move(bytes)), data_at_(data_at) {}
  KeyType type_;
  Bytes bytes_;
  std::size_t data_at_;
};

/// A host identity: an Ed25519 key pair with its libp2p forms. Moved; `copy()` copies.
class KeyPair {
 public:
  explicit KeyPair(crypto::Ed25519KeyPair key) : key_(std::move(key)), public_key_(key_.public_key()) {}
  [[nodiscard]] static KeyPair generate(Random& random) { return KeyPair(crypto::Ed25519KeyPair::generate(random)); }
  [[nodiscard]] static KeyPair from_seed(SecretBytes<32> seed) {
    return KeyPair(crypto::Ed25519KeyPair::from_seed(std::move(seed)));
  }
  /// A PrivateKey protobuf of type Ed25519: seed and public key, or the legacy form with the public key twice.
  /// Errors: PeerErrc::malformed, not_canonical, unsupported (type), invalid_key (the halves do not belong together).
  static Result<KeyPair> decode(ByteView protobuf);
  static constexpr std::size_t kPrivateKeySize = 68;
  [[nodiscard]] SecretBytes<kPrivateKeySize> encode() const;

  [[nodiscard]] const PublicKey& public_key() const { return public_key_; }
  [[nodiscard]] const crypto::Ed25519KeyPair& ed25519() const { return key_; }
  [[nodiscard]] crypto::Ed25519Signature sign(ByteView message) const { return key_.sign(message); }
  [[nodiscard]] KeyPair copy() const { return KeyPair(key_.copy()); }

 private:
  crypto::Ed25519KeyPair key_;
  PublicKey public_key_;
};

}  // namespace nmp::libp2p
