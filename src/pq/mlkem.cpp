#include "pq/mlkem.hpp"

#include <cstring>

#include <nmp_mlkem.h>

#include "pq/errors.hpp"

namespace nmp::pq {

std::error_code make_error_code(Errc code) {
  static const EnumCategory<Errc> category("pq", [](Errc value) -> std::string_view {
    switch (value) {
      case Errc::invalid_key: return "invalid_key";
      case Errc::malformed: return "malformed";
      case Errc::internal: return "internal";
    }
    return "unknown";
  });
  return {static_cast<int>(code), category};
}

namespace {

Result<void> check(std::int32_t result) {
  switch (result) {
    case NMP_MLKEM_OK: return {};
    case NMP_MLKEM_INVALID_KEY: return fail(Errc::invalid_key, "ML-KEM-768");
    default: return fail(Errc::internal, "ML-KEM-768");
  }
}

/// Erases the stack below its caller, where libcrux leaves keys and shared secrets: Rust clears no locals.
class StackErased {
 public:
  StackErased() = default;
  StackErased(const StackErased&) = delete;
  StackErased& operator=(const StackErased&) = delete;
  ~StackErased() { erase_below(); }

 private:
  /// Well over what ML-KEM-768 takes; Memory.* in tests/security looks whether it is enough.
  static constexpr std::size_t kStackBytes = 128UZ << 10;
  [[gnu::noinline]] static void erase_below() {
    ByteArray<kStackBytes> below;
    explicit_bzero(below.data(), below.size());
  }
};

}  // namespace

Result<EncapsulationKey> EncapsulationKey::from(ByteView bytes) {
  if (bytes.size() != kEncapsulationKeySize) return fail(Errc::invalid_key, "ML-KEM-768 key size");
  EncapsulationKey key{};
  std::ranges::copy(bytes, key.bytes.begin());
  return key;
}

Result<Ciphertext> Ciphertext::from(ByteView bytes) {
  if (bytes.size() != kCiphertextSize) return fail(Errc::malformed, "ML-KEM-768 ciphertext size");
  Ciphertext ct{};
  std::ranges::copy(bytes, ct.bytes.begin());
  return ct;
}

Result<KeyPair> keypair(Random& random) {
  const StackErased erased;
  SecretBytes<64> seed;
  random.fill(seed.mutable_view());
  KeyPair pair{};
  NMP_CHECK(check(nmp_mlkem768_keypair(seed.data(), u8(pair.ek.bytes), pair.dk.data())));
  return pair;
}

Result<Encapsulation> encapsulate(const EncapsulationKey& ek, Random& random) {
  const StackErased erased;
  SecretBytes<32> seed;
  random.fill(seed.mutable_view());
  Encapsulation out{};
  NMP_CHECK(check(nmp_mlkem768_encapsulate(u8(ek.bytes), seed.data(), u8(out.ct.bytes), out.secret.data())));
  return out;
}

Result<SharedSecret> decapsulate(const DecapsulationKey& dk, const Ciphertext& ct) {
  const StackErased erased;
  SharedSecret secret;
  NMP_CHECK(check(nmp_mlkem768_decapsulate(dk.data(), u8(ct.bytes), secret.data())));
  return secret;
}

}  // namespace nmp::pq
