#pragma once

#include <memory>

struct evp_pkey_st;
struct evp_md_ctx_st;
struct evp_cipher_ctx_st;

/// OpenSSL handles that may stand in our headers without OpenSSL's own.
namespace nmp::crypto {

struct EvpFree {
  void operator()(evp_pkey_st* key) const noexcept;
  void operator()(evp_md_ctx_st* context) const noexcept;
  void operator()(evp_cipher_ctx_st* context) const noexcept;
};
using EvpKey = std::unique_ptr<evp_pkey_st, EvpFree>;
using EvpDigest = std::unique_ptr<evp_md_ctx_st, EvpFree>;
using EvpCipher = std::unique_ptr<evp_cipher_ctx_st, EvpFree>;

}  // namespace nmp::crypto
