#pragma once

#include <memory>

#include "base/bytes.hpp"
#include "base/result.hpp"

struct evp_pkey_st;

namespace nmp::crypto {

enum class Curve { p256, p384 };  ///< NIST SP 800-186, sections 3.2.1.3 and 3.2.1.4.

/// Bytes of one coordinate or of one half of a signature: 32 or 48.
[[nodiscard]] constexpr std::size_t coordinate_bytes(Curve curve) { return curve == Curve::p256 ? 32 : 48; }

/// A key that verifies ECDSA (FIPS 186-5) with the hash that goes with its curve: P-256 with SHA-256, P-384 with
/// SHA-384. Copies share OpenSSL's key.
class EcdsaPublicKey {
 public:
  /// Takes a share of `key`. Errors: invalid_key unless it is of one of the two curves.
  static Result<EcdsaPublicKey> from_handle(std::shared_ptr<evp_pkey_st> key);

  [[nodiscard]] Curve curve() const { return curve_; }
  /// `signature` is r || s, big-endian, of coordinate_bytes each (RFC 9053 section 2.1); another size does not verify.
  [[nodiscard]] bool verify(ByteView message, ByteView signature) const;

 private:
  EcdsaPublicKey(Curve curve, std::shared_ptr<evp_pkey_st> key) : curve_(curve), key_(std::move(key)) {}
  Curve curve_;
  std::shared_ptr<evp_pkey_st> key_;
};

}  // namespace nmp::crypto
