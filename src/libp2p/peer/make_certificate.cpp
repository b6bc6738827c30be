#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/encoding.hpp"
#include "base/owned.hpp"
#include "libp2p/peer/certificate.hpp"
#include "libp2p/peer/tls_extension.hpp"

namespace nmp::libp2p {
namespace {

using X509Handle = Owned<X509, &X509_free>;

constexpr UnixSeconds kDay = 86'400;
constexpr UnixSeconds kLife = 36'525 * kDay;  ///< 100 years, as go-libp2p
/// RFC 5280 section 4.1.2.2 allows 20 octets; 16 leave room for a sign octet.
constexpr std::size_t kSerialBytes = 16;

template <class T, class Encode>
Bytes der_of(T* object, Encode encode) {
  std::uint8_t* out = nullptr;
  int size = encode(object, &out);
  if (size <= 0) return {};
  std::span<std::byte> view(reinterpret_cast<std::byte*>(out), static_cast<std::size_t>(size));
  auto bytes = to_bytes(ByteView(view));
  erase(view);  // one of the callers encodes a private key
  OPENSSL_free(out);
  return bytes;
}

bool set_serial(X509* certificate, Random& random) {
  auto bytes = random.bytes<kSerialBytes>();
  bytes[0] = (bytes[0] & std::byte{0x7f}) | std::byte{0x40};  // positive, and of one length
  Owned<BIGNUM, &BN_free> number(BN_bin2bn(u8(bytes), static_cast<int>(bytes.size()), nullptr));
  return number != nullptr && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

/// Subject and issuer as go-libp2p has them: a serialNumber alone.
bool set_names(X509* certificate, Random& random) {
  auto text = std::to_string(random.u64());
  Owned<X509_NAME, &X509_NAME_free> name(X509_NAME_new());
  return name != nullptr &&
         X509_NAME_add_entry_by_txt(name.get(), "serialNumber", MBSTRING_ASC,
                                    reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()),
                                    -1, 0) == 1 &&
         X509_set_subject_name(certificate, name.get()) == 1 && X509_set_issuer_name(certificate, name.get()) == 1;
}

bool add_extension(X509* certificate, ByteView value) {
  Owned<ASN1_OBJECT, &ASN1_OBJECT_free> oid(OBJ_txt2obj("1.3.6.1.4.1.53594.1.1", /*no_name=*/1));
  Owned<ASN1_OCTET_STRING, &ASN1_OCTET_STRING_free> data(ASN1_OCTET_STRING_new());
  if (oid == nullptr || data == nullptr ||
      ASN1_OCTET_STRING_set(data.get(), u8(value), static_cast<int>(value.size())) != 1) {
    return false;
  }
  Owned<X509_EXTENSION, &X509_EXTENSION_free> extension(
      X509_EXTENSION_create_by_OBJ(nullptr, oid.get(), /*crit=*/0, data.get()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

}  // namespace

Result<TlsCertificate> make_certificate(const KeyPair& identity, UnixSeconds now, Random& random) {
  crypto::EvpKey key(EVP_EC_gen("P-256"));
  X509Handle certificate(X509_new());
  auto failed = [] {
    ERR_clear_error();
    return fail(Errc::io, "OpenSSL could not make a certificate");
  };
  if (key == nullptr || certificate == nullptr) return failed();
  auto spki = der_of(key.get(), &i2d_PUBKEY);
  auto signature = identity.sign(tls_extension_message(spki));
  TlsExtension extension{.host_key = identity.public_key(), .signature = to_bytes(ByteView(signature))};
  auto* handle = certificate.get();
  bool ok = X509_set_version(handle, X509_VERSION_3) == 1 && set_serial(handle, random) && set_names(handle, random) &&
            ASN1_TIME_set(X509_getm_notBefore(handle), now - kDay) != nullptr &&
            ASN1_TIME_set(X509_getm_notAfter(handle), now + kLife) != nullptr &&
            X509_set_pubkey(handle, key.get()) == 1 && add_extension(handle, extension.encode()) &&
            X509_sign(handle, key.get(), EVP_sha256()) > 0;
  if (!ok) return failed();
  Owned<PKCS8_PRIV_KEY_INFO, &PKCS8_PRIV_KEY_INFO_free> private_info(EVP_PKEY2PKCS8(key.get()));
  if (private_info == nullptr) return failed();
  TlsCertificate out(der_of(handle, &i2d_X509), der_of(private_info.get(), &i2d_PKCS8_PRIV_KEY_INFO));
  if (out.certificate_der.empty() || out.key_der.empty()) return failed();
  return out;
}

}  // namespace nmp::libp2p
