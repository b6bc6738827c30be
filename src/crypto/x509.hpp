#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "crypto/ecdsa.hpp"
#include "crypto/hash.hpp"

struct x509_st;

/// X.509 certificates (RFC 5280) as OpenSSL reads and checks them, for chains that hardware makers sign. Certificates
/// of libp2p peers have another profile: libp2p/peer/certificate.hpp.
namespace nmp::crypto {

enum class SignedWith { ecdsa_sha256, ecdsa_sha384, rsa_pss_sha384, other };
enum class KeyKind { p256, p384, rsa, other };

/// A certificate that was read, not yet believed. Copies share it.
class Certificate {
 public:
  /// Exactly one certificate. Errors (crypto::Errc): malformed, too_large (kCertificateBytesMax).
  static Result<Certificate> from_der(ByteView der);

  [[nodiscard]] Bytes der() const;
  [[nodiscard]] Digest fingerprint() const;      ///< SHA-256 of the DER.
  [[nodiscard]] std::string subject() const;     ///< One line (RFC 2253). Its maker's text: escape it.
  [[nodiscard]] SignedWith signed_with() const;  ///< What its issuer's signature is; RSA-PSS by its parameters.
  [[nodiscard]] KeyKind key_kind() const;
  [[nodiscard]] bool is_ca() const;                  ///< Basic constraints say CA.
  [[nodiscard]] bool may_sign_certificates() const;  ///< Key usage is there and has keyCertSign.
  [[nodiscard]] bool may_sign_data() const;          ///< Key usage is there and has digitalSignature.
  [[nodiscard]] bool same_as(const Certificate& other) const { return fingerprint() == other.fingerprint(); }
  /// Errors: invalid_key unless of P-256 or P-384.
  [[nodiscard]] Result<EcdsaPublicKey> ecdsa_key() const;
  /// Contents of the extension (its extnValue) whose object identifier is `oid`, in dots. None if absent or repeated.
  [[nodiscard]] std::optional<Bytes> extension(const std::string& oid) const;

  /// For verify_chain.
  [[nodiscard]] x509_st* handle() const { return handle_.get(); }
  /// Takes a share.
  explicit Certificate(std::shared_ptr<x509_st> handle) : handle_(std::move(handle)) {}

 private:
  std::shared_ptr<x509_st> handle_;
};

/// The certificates of a PEM text, in its order; other blocks and text between are passed over. Errors (crypto::Errc):
/// malformed (none, or a broken one), too_large (over kPemCertificatesMax).
Result<std::vector<Certificate>> certificates_from_pem(std::string_view text);

/// Why a chain does not hold.
enum class ChainErrc {
  untrusted = 1,  ///< No path to a trusted root: an issuer is missing or is not trusted.
  bad_signature,  ///< An issuer did not sign what names it.
  expired,
  not_yet_valid,
  not_a_ca,       ///< A certificate signs another but may not.
  path_too_long,  ///< More CAs below one than its path length allows.
  refused,        ///< Another rule of RFC 5280; the context names it.
};
std::error_code make_error_code(ChainErrc code);

struct ChainRules {
  UnixSeconds now = 0;
  std::vector<Certificate> roots;  ///< Trusted, each self-signed; nothing else is.
};

/// The chain from `leaf` (first) to a trusted root (last), through any of `intermediates`. RFC 5280 section 6. Which
/// algorithms are good enough is the caller's to say.
Result<std::vector<Certificate>> verify_chain(const Certificate& leaf,
                                              const std::vector<Certificate>& intermediates,
                                              const ChainRules& rules);

}  // namespace nmp::crypto

template <>
struct std::is_error_code_enum<nmp::crypto::ChainErrc> : std::true_type {};
