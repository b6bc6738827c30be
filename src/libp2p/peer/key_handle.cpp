#include "libp2p/peer/key_handle.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/owned.hpp"
#include "libp2p/peer/limits.hpp"

namespace nmp::libp2p {
namespace {

/// Our failures are values; what OpenSSL queues beside them would pile up in its thread's list.
struct ClearErrors {
  ClearErrors() = default;
  ClearErrors(const ClearErrors&) = delete;
  ClearErrors& operator=(const ClearErrors&) = delete;
  ~ClearErrors() { ERR_clear_error(); }
};

bool verify(const crypto::EvpKey& key, const char* digest, bool pss, ByteView message, ByteView signature) {
  ClearErrors clear;
  if (signature.size() > kSignatureBytesMax) return false;
  crypto::EvpDigest context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;  // the digest context's
  if (context == nullptr ||
      EVP_DigestVerifyInit_ex(context.get(), &key_context, digest, nullptr, nullptr, key.get(), nullptr) != 1) {
    return false;
  }
  if (pss && (EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) != 1 ||
              EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, RSA_PSS_SALTLEN_DIGEST) != 1)) {
    return false;
  }
  return EVP_DigestVerify(context.get(), u8(signature), signature.size(), u8(message), message.size()) == 1;
}

}  // namespace

crypto::EvpKey load_spki(ByteView der) {
  ClearErrors clear;
  const auto* at = u8(der);
  crypto::EvpKey key(d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())));
  if (key == nullptr) return nullptr;
  std::uint8_t* encoded = nullptr;
  int size = i2d_PUBKEY(key.get(), &encoded);
  bool same = size > 0 && equal(view_of(encoded, static_cast<std::size_t>(size)), der);
  OPENSSL_free(encoded);
  return same ? std::move(key) : nullptr;
}

bool is_rsa_in_bounds(const crypto::EvpKey& key) {
  ClearErrors clear;
  auto type = EVP_PKEY_get_base_id(key.get());
  auto bits = EVP_PKEY_get_bits(key.get());
  if ((type != EVP_PKEY_RSA && type != EVP_PKEY_RSA_PSS) || bits < kRsaBitsMin || bits > kRsaBitsMax) return false;
  BIGNUM* number = nullptr;
  if (EVP_PKEY_get_bn_param(key.get(), OSSL_PKEY_PARAM_RSA_E, &number) != 1) return false;
  Owned<BIGNUM, &BN_free> exponent(number);
  return BN_num_bits(exponent.get()) <= kRsaExponentBitsMax;
}

bool is_ec_on(const crypto::EvpKey& key, std::string_view curve) {
  ClearErrors clear;
  if (EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_EC) return false;
  std::array<char, 64> name{};
  std::size_t size = 0;
  return EVP_PKEY_get_utf8_string_param(key.get(), OSSL_PKEY_PARAM_GROUP_NAME, name.data(), name.size(), &size) == 1 &&
         std::string_view(name.data(), size) == curve;
}

bool verify_signature(const crypto::EvpKey& key, const char* digest, ByteView message, ByteView signature) {
  return verify(key, digest, /*pss=*/false, message, signature);
}

bool verify_pss(const crypto::EvpKey& key, const char* digest, ByteView message, ByteView signature) {
  return verify(key, digest, /*pss=*/true, message, signature);
}

}  // namespace nmp::libp2p
