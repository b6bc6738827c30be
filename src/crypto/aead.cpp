#include "crypto/aead.hpp"

#include <limits>

#include <openssl/evp.h>

#include "base/owned.hpp"
#include "crypto/errors.hpp"

namespace nmp::crypto {
namespace {

using Cipher = Owned<EVP_CIPHER_CTX, &EVP_CIPHER_CTX_free>;

/// EVP lengths are int; messages are capped far below by their services.
int length(ByteView bytes) {
  NMP_ASSERT(bytes.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()));
  return static_cast<int>(bytes.size());
}

}  // namespace

Bytes seal(const AeadKey& key, const AeadNonce& nonce, ByteView aad, ByteView plaintext) {
  Cipher context(EVP_CIPHER_CTX_new());
  Bytes out(plaintext.size() + kAeadTagSize);
  int size = 0;
  bool ok =
      context != nullptr && EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(), u8(nonce)) == 1;
  if (ok && !aad.empty()) ok = EVP_EncryptUpdate(context.get(), nullptr, &size, u8(aad), length(aad)) == 1;
  if (ok && !plaintext.empty()) {
    ok = EVP_EncryptUpdate(context.get(), u8(out), &size, u8(plaintext), length(plaintext)) == 1 &&
         size == length(plaintext);
  }
  auto tag = std::span(out).last(kAeadTagSize);
  ok = ok && EVP_EncryptFinal_ex(context.get(), u8(tag), &size) == 1 && size == 0 &&
       EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kAeadTagSize, tag.data()) == 1;
  NMP_ASSERT(ok);
  return out;
}

Result<Bytes> open(const AeadKey& key, const AeadNonce& nonce, ByteView aad, ByteView ciphertext) {
  if (ciphertext.size() < kAeadTagSize) return fail(Errc::forged);
  if (std::max(aad.size(), ciphertext.size()) > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    return fail(Errc::forged);
  }
  auto body = ciphertext.first(ciphertext.size() - kAeadTagSize);
  ByteArray<kAeadTagSize> tag{};
  std::ranges::copy(ciphertext.last(kAeadTagSize), tag.begin());
  Cipher context(EVP_CIPHER_CTX_new());
  Bytes out(body.size());
  int size = 0;
  bool ok =
      context != nullptr && EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(), u8(nonce)) == 1;
  if (ok && !aad.empty()) ok = EVP_DecryptUpdate(context.get(), nullptr, &size, u8(aad), length(aad)) == 1;
  if (ok && !body.empty()) ok = EVP_DecryptUpdate(context.get(), u8(out), &size, u8(body), length(body)) == 1;
  NMP_ASSERT(ok);
  std::uint8_t none = 0;
  ok = EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kAeadTagSize, tag.data()) == 1 &&
       EVP_DecryptFinal_ex(context.get(), &none, &size) == 1;
  if (!ok) {
    erase(out);
    return fail(Errc::forged);
  }
  return out;
}

}  // namespace nmp::crypto
