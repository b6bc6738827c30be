#include "crypto/x509.hpp"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/owned.hpp"
#include "crypto/errors.hpp"
#include "crypto/limits.hpp"

namespace nmp::crypto {
namespace {

using X509Handle = std::shared_ptr<X509>;

}  // namespace

Result<Certificate> Certificate::from_der(ByteView der) {
  if (der.size() > kCertificateBytesMax) return fail(Errc::too_large, "certificate");
  const auto* at = u8(der);
  X509Handle handle(d2i_X509(nullptr, &at, static_cast<long>(der.size())), &X509_free);
  ERR_clear_error();
  if (handle == nullptr) return fail(Errc::malformed, "certificate");
  if (at != u8(der) + der.size()) return fail(Errc::malformed, "bytes after a certificate");
  return Certificate(std::move(handle));
}

Bytes Certificate::der() const {
  const int size = i2d_X509(handle_.get(), nullptr);
  NMP_ASSERT(size > 0);
  Bytes out(static_cast<std::size_t>(size));
  auto* to = u8(out);
  NMP_ASSERT(i2d_X509(handle_.get(), &to) == size);
  return out;
}

Digest Certificate::fingerprint() const { return sha256(der()); }

std::string Certificate::subject() const {
  Owned<BIO, &BIO_free> out(BIO_new(BIO_s_mem()));
  NMP_ASSERT(out != nullptr);
  X509_NAME_print_ex(out.get(), X509_get_subject_name(handle_.get()), 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const auto size = BIO_get_mem_data(out.get(), &text);
  return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : std::string();
}

SignedWith Certificate::signed_with() const {
  int hash = NID_undef;
  int key = NID_undef;
  const int known = X509_get_signature_info(handle_.get(), &hash, &key, nullptr, nullptr);
  ERR_clear_error();
  if (known != 1) return SignedWith::other;
  if (key == EVP_PKEY_EC && hash == NID_sha256) return SignedWith::ecdsa_sha256;
  if (key == EVP_PKEY_EC && hash == NID_sha384) return SignedWith::ecdsa_sha384;
  if (key == EVP_PKEY_RSA_PSS && hash == NID_sha384) return SignedWith::rsa_pss_sha384;
  return SignedWith::other;
}

KeyKind Certificate::key_kind() const {
  const auto* key = X509_get0_pubkey(handle_.get());
  ERR_clear_error();
  if (key == nullptr) return KeyKind::other;
  if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) return KeyKind::rsa;
  auto ecdsa = ecdsa_key();
  if (!ecdsa) return KeyKind::other;
  return ecdsa->curve() == Curve::p256 ? KeyKind::p256 : KeyKind::p384;
}

bool Certificate::is_ca() const {
  Owned<BASIC_CONSTRAINTS, &BASIC_CONSTRAINTS_free> constraints(
      static_cast<BASIC_CONSTRAINTS*>(X509_get_ext_d2i(handle_.get(), NID_basic_constraints, nullptr, nullptr)));
  return constraints != nullptr && constraints->ca != 0;
}

bool Certificate::may_sign_certificates() const {
  return (X509_get_extension_flags(handle_.get()) & EXFLAG_KUSAGE) != 0 &&
         (X509_get_key_usage(handle_.get()) & X509v3_KU_KEY_CERT_SIGN) != 0;
}

bool Certificate::may_sign_data() const {
  return (X509_get_extension_flags(handle_.get()) & EXFLAG_KUSAGE) != 0 &&
         (X509_get_key_usage(handle_.get()) & X509v3_KU_DIGITAL_SIGNATURE) != 0;
}

Result<EcdsaPublicKey> Certificate::ecdsa_key() const {
  return EcdsaPublicKey::from_handle(std::shared_ptr<EVP_PKEY>(X509_get_pubkey(handle_.get()), &EVP_PKEY_free));
}

std::optional<Bytes> Certificate::extension(const std::string& oid) const {
  Owned<ASN1_OBJECT, &ASN1_OBJECT_free> object(OBJ_txt2obj(oid.c_str(), /*no_name=*/1));
  NMP_ASSERT(object != nullptr);
  const int at = X509_get_ext_by_OBJ(handle_.get(), object.get(), -1);
  if (at < 0 || X509_get_ext_by_OBJ(handle_.get(), object.get(), at) >= 0) return std::nullopt;
  const auto* contents = X509_EXTENSION_get_data(X509_get_ext(handle_.get(), at));
  return to_bytes(view_of(ASN1_STRING_get0_data(contents), static_cast<std::size_t>(ASN1_STRING_length(contents))));
}

Result<std::vector<Certificate>> certificates_from_pem(std::string_view text) {
  if (text.size() > kPemBytesMax) return fail(Errc::too_large, "PEM");
  Owned<BIO, &BIO_free> in(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  NMP_ASSERT(in != nullptr);
  std::vector<Certificate> out;
  // No password is ever asked for: an encrypted block does not hold a certificate.
  const auto no_password = [](char*, int, int, void*) { return 0; };
  while (X509* read = PEM_read_bio_X509(in.get(), nullptr, no_password, nullptr)) {
    out.emplace_back(X509Handle(read, &X509_free));
    if (out.size() > kPemCertificatesMax) return fail(Errc::too_large, "certificates in a PEM text");
  }
  const auto reason = ERR_GET_REASON(ERR_peek_last_error());
  ERR_clear_error();
  if (reason != PEM_R_NO_START_LINE) return fail(Errc::malformed, "a certificate in a PEM text");
  if (out.empty()) return fail(Errc::malformed, "no certificate in a PEM text");
  return out;
}

}  // namespace nmp::crypto
