#pragma once

#include "base/random.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

/// ML-KEM-768 (FIPS 203). Sizes: FIPS 203, Table 3.
namespace nmp::pq {

inline constexpr std::size_t kEncapsulationKeySize = 1184;
inline constexpr std::size_t kDecapsulationKeySize = 2400;
inline constexpr std::size_t kCiphertextSize = 1088;

using DecapsulationKey = SecretBytes<kDecapsulationKeySize>;
using SharedSecret = SecretBytes<32>;

/// Right in size; `encapsulate` makes the modulus check of FIPS 203, section 7.2.
struct EncapsulationKey {
  ByteArray<kEncapsulationKeySize> bytes;
  /// Errors: invalid_key if the size is wrong.
  static Result<EncapsulationKey> from(ByteView bytes);
  friend bool operator==(const EncapsulationKey&, const EncapsulationKey&) = default;
};

struct Ciphertext {
  ByteArray<kCiphertextSize> bytes;
  /// Errors: malformed if the size is wrong.
  static Result<Ciphertext> from(ByteView bytes);
  friend bool operator==(const Ciphertext&, const Ciphertext&) = default;
};

struct KeyPair {
  EncapsulationKey ek;
  DecapsulationKey dk;
};

struct Encapsulation {
  Ciphertext ct;
  SharedSecret secret;
};

/// FIPS 203, Algorithm 19 (ML-KEM.KeyGen): 64 bytes of chance, d || z.
[[nodiscard]] Result<KeyPair> keypair(Random& random);

/// FIPS 203, Algorithm 20 (ML-KEM.Encaps): 32 bytes of chance, m.
/// Errors: invalid_key if `ek` fails the modulus check.
Result<Encapsulation> encapsulate(const EncapsulationKey& ek, Random& random);

/// FIPS 203, Algorithm 21 (ML-KEM.Decaps). Time: independent of the contents of dk and ct.
/// Errors: invalid_key if `dk` fails the hash check. A forged ct gives a pseudorandom secret (implicit rejection), so
/// authenticate afterwards.
Result<SharedSecret> decapsulate(const DecapsulationKey& dk, const Ciphertext& ct);

}  // namespace nmp::pq
