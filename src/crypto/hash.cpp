#include "crypto/hash.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/result.hpp"

namespace nmp::crypto {
namespace {

/// HMAC over pieces, into 32 bytes. Built on EVP_MAC, whose context OpenSSL erases.
void hmac_pieces(ByteView key, std::initializer_list<ByteView> pieces, std::span<std::byte> out) {
  struct MacFree {
    void operator()(EVP_MAC* mac) const noexcept { EVP_MAC_free(mac); }
    void operator()(EVP_MAC_CTX* context) const noexcept { EVP_MAC_CTX_free(context); }
  };
  static const std::unique_ptr<EVP_MAC, MacFree> mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  NMP_ASSERT(mac != nullptr);
  std::unique_ptr<EVP_MAC_CTX, MacFree> context(EVP_MAC_CTX_new(mac.get()));
  NMP_ASSERT(context != nullptr);
  char digest[] = "SHA256";
  OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0), OSSL_PARAM_construct_end()};
  // A null key would mean "keep the last key" to OpenSSL: an empty key is a pointer with length zero.
  static constexpr std::uint8_t kEmpty = 0;
  const auto* key_bytes = key.empty() ? &kEmpty : u8(key);
  bool ok = EVP_MAC_init(context.get(), key_bytes, key.size(), params) == 1;
  for (auto piece : pieces) ok = ok && EVP_MAC_update(context.get(), u8(piece), piece.size()) == 1;
  std::size_t size = 0;
  ok = ok && EVP_MAC_final(context.get(), u8(out), &size, out.size()) == 1 && size == out.size();
  NMP_ASSERT(ok);
}

}  // namespace

Digest sha256(ByteView bytes) {
  Digest out{};
  NMP_ASSERT(EVP_Digest(bytes.data(), bytes.size(), u8(out), nullptr, EVP_sha256(), nullptr) == 1);
  return out;
}

ByteArray<48> sha384(ByteView bytes) {
  ByteArray<48> out{};
  NMP_ASSERT(EVP_Digest(bytes.data(), bytes.size(), u8(out), nullptr, EVP_sha384(), nullptr) == 1);
  return out;
}

ByteArray<64> sha512(ByteView bytes) {
  ByteArray<64> out{};
  NMP_ASSERT(EVP_Digest(bytes.data(), bytes.size(), u8(out), nullptr, EVP_sha512(), nullptr) == 1);
  return out;
}

ByteArray<20> sha1_for_websocket(ByteView bytes) {
  ByteArray<20> out{};
  NMP_ASSERT(EVP_Digest(bytes.data(), bytes.size(), u8(out), nullptr, EVP_sha1(), nullptr) == 1);
  return out;
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  NMP_ASSERT(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
}

Sha256& Sha256::update(ByteView bytes) {
  NMP_ASSERT(context_ != nullptr && EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  return *this;
}

Digest Sha256::finish() {
  Digest out{};
  NMP_ASSERT(context_ != nullptr && EVP_DigestFinal_ex(context_.get(), u8(out), nullptr) == 1);
  context_.reset();
  return out;
}

Digest hmac_sha256(ByteView key, ByteView bytes) {
  Digest out{};
  hmac_pieces(key, {bytes}, out);
  return out;
}

SecretBytes<32> hkdf_extract(ByteView salt, ByteView ikm) {
  SecretBytes<32> prk;
  hmac_pieces(salt, {ikm}, prk.mutable_view());
  return prk;
}

void hkdf_expand(const SecretBytes<32>& prk, ByteView info, std::span<std::byte> out) {
  NMP_ASSERT(out.size() <= std::size_t{255} * 32);
  SecretBytes<32> block;
  std::byte counter{0};
  for (std::size_t done = 0; done < out.size();) {
    counter = static_cast<std::byte>(std::to_integer<unsigned>(counter) + 1);
    SecretBytes<32> next;
    ByteView previous = done == 0 ? ByteView{} : ByteView(block.view());
    hmac_pieces(prk.view(), {previous, info, ByteView(&counter, 1)}, next.mutable_view());
    block = std::move(next);
    auto size = std::min<std::size_t>(32, out.size() - done);
    std::ranges::copy(block.view().first(size), out.subspan(done).begin());
    done += size;
  }
}

}  // namespace nmp::crypto
