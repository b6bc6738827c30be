#include "crypto/chacha20_poly1305.hpp"

#include <limits>

#include <openssl/evp.h>

#include "crypto/errors.hpp"

namespace nmp::crypto {
namespace {

/// EVP lengths are int; callers' messages are capped far below.
int length(ByteView bytes) {
  NMP_ASSERT(bytes.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()));
  return static_cast<int>(bytes.size());
}

/// The key stays; `encrypt` is 1 or 0.
bool start(EVP_CIPHER_CTX* context, const AeadNonce& nonce, int encrypt, ByteView aad) {
  int size = 0;
  return context != nullptr && EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, u8(nonce), encrypt) == 1 &&
         (aad.empty() || EVP_CipherUpdate(context, nullptr, &size, u8(aad), length(aad)) == 1);
}

bool update(EVP_CIPHER_CTX* context, ByteView in, std::span<std::byte> out) {
  int size = 0;
  return in.empty() || (EVP_CipherUpdate(context, u8(out), &size, u8(in), length(in)) == 1 && size == length(in));
}

}  // namespace

ChaCha20Poly1305::ChaCha20Poly1305(const AeadKey& key) : context_(EVP_CIPHER_CTX_new()) {
  NMP_ASSERT(context_ != nullptr &&
             EVP_CipherInit_ex(context_.get(), EVP_chacha20_poly1305(), nullptr, key.data(), nullptr, /*enc=*/1) == 1);
}

void ChaCha20Poly1305::seal(const AeadNonce& nonce, ByteView aad, ByteView plaintext, std::span<std::byte> out) {
  NMP_ASSERT(out.size() == plaintext.size() + kAeadTagSize);
  auto tag = out.last(kAeadTagSize);
  int size = 0;
  bool ok = start(context_.get(), nonce, /*encrypt=*/1, aad) &&
            update(context_.get(), plaintext, out.first(plaintext.size())) &&
            EVP_CipherFinal_ex(context_.get(), u8(tag), &size) == 1 && size == 0 &&
            EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG, kAeadTagSize, tag.data()) == 1;
  NMP_ASSERT(ok);
}

Result<void> ChaCha20Poly1305::open(const AeadNonce& nonce,
                                    ByteView aad,
                                    ByteView ciphertext,
                                    std::span<std::byte> out) {
  if (ciphertext.size() < kAeadTagSize) return fail(Errc::forged);
  auto body = ciphertext.first(ciphertext.size() - kAeadTagSize);
  NMP_ASSERT(out.size() == body.size());
  ByteArray<kAeadTagSize> tag{};
  std::ranges::copy(ciphertext.last(kAeadTagSize), tag.begin());
  NMP_ASSERT(start(context_.get(), nonce, /*encrypt=*/0, aad) && update(context_.get(), body, out));
  int size = 0;
  std::uint8_t none = 0;
  bool ok = EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_SET_TAG, kAeadTagSize, tag.data()) == 1 &&
            EVP_CipherFinal_ex(context_.get(), &none, &size) == 1;
  if (!ok) {
    erase(out);
    return fail(Errc::forged);
  }
  return {};
}

}  // namespace nmp::crypto
