#include "crypto/evp_handle.hpp"

#include <openssl/evp.h>

namespace nmp::crypto {

void EvpFree::operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
void EvpFree::operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
void EvpFree::operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }

}  // namespace nmp::crypto
