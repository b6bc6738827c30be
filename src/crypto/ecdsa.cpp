#include "crypto/ecdsa.hpp"

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/owned.hpp"
#include "crypto/errors.hpp"
#include "crypto/evp_handle.hpp"

namespace nmp::crypto {
namespace {

constexpr const char* kP256 = "prime256v1";
constexpr const char* kP384 = "secp384r1";

/// Ecdsa-Sig-Value of RFC 3279 section 2.2.3, which OpenSSL reads. Empty if it cannot be.
Bytes der_signature(ByteView r_s) {
  const auto half = r_s.size() / 2;
  Owned<ECDSA_SIG, &ECDSA_SIG_free> signature(ECDSA_SIG_new());
  auto* r = BN_bin2bn(u8(r_s), static_cast<int>(half), nullptr);
  auto* s = BN_bin2bn(u8(r_s.subspan(half)), static_cast<int>(half), nullptr);
  // Only a successful set0 takes them over.
  if (signature == nullptr || r == nullptr || s == nullptr || ECDSA_SIG_set0(signature.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return {};
  }
  const int size = i2d_ECDSA_SIG(signature.get(), nullptr);
  if (size <= 0) return {};
  Bytes der(static_cast<std::size_t>(size));
  auto* to = u8(der);
  NMP_ASSERT(i2d_ECDSA_SIG(signature.get(), &to) == size);
  return der;
}

}  // namespace

Result<EcdsaPublicKey> EcdsaPublicKey::from_handle(std::shared_ptr<EVP_PKEY> key) {
  std::array<char, 32> name{};
  if (key != nullptr && EVP_PKEY_get_group_name(key.get(), name.data(), name.size(), nullptr) == 1) {
    if (std::string_view(name.data()) == kP256) return EcdsaPublicKey(Curve::p256, std::move(key));
    if (std::string_view(name.data()) == kP384) return EcdsaPublicKey(Curve::p384, std::move(key));
  }
  ERR_clear_error();
  return fail(Errc::invalid_key, "not a P-256 or P-384 key");
}

bool EcdsaPublicKey::verify(ByteView message, ByteView signature) const {
  if (signature.size() != 2 * coordinate_bytes(curve_)) return false;
  const auto der = der_signature(signature);
  if (der.empty()) return false;
  EvpDigest context(EVP_MD_CTX_new());
  NMP_ASSERT(context != nullptr);
  const auto* hash = curve_ == Curve::p256 ? EVP_sha256() : EVP_sha384();
  const bool ok = EVP_DigestVerifyInit(context.get(), nullptr, hash, nullptr, key_.get()) == 1 &&
                  EVP_DigestVerify(context.get(), u8(der), der.size(), u8(message), message.size()) == 1;
  ERR_clear_error();
  return ok;
}

}  // namespace nmp::crypto
