#include "libp2p/peer/certificate_algorithm.hpp"

#include <openssl/evp.h>

#include "base/encoding.hpp"
#include "libp2p/peer/errors.hpp"
#include "libp2p/peer/key_handle.hpp"

namespace nmp::libp2p {
namespace {

enum class Kind : std::uint8_t { ecdsa, eddsa, rsa_pkcs1, rsa_pss };

struct Algorithm {
  std::string_view der_hex;  ///< AlgorithmIdentifier; equal bytes are required, so parameters are fixed too
  Kind kind;
  const char* digest;  ///< OpenSSL's name, null for EdDSA
  const char* curve;   ///< ecdsa: the one curve that goes with the digest
  int eddsa_type = 0;
};

/// RFC 5758 section 3.2 (ECDSA), RFC 8410 section 3 (EdDSA), RFC 8017 appendix A.2.4 (PKCS #1 v1.5) and A.2.3 (PSS,
/// with MGF1 of the same hash, salt as long as the digest, hash parameters NULL or absent).
constexpr std::array kAlgorithms = {
    Algorithm{"300a06082a8648ce3d040302", Kind::ecdsa, "SHA256", "prime256v1"},
    Algorithm{"300a06082a8648ce3d040303", Kind::ecdsa, "SHA384", "secp384r1"},
    Algorithm{"300a06082a8648ce3d040304", Kind::ecdsa, "SHA512", "secp521r1"},
    Algorithm{"300506032b6570", Kind::eddsa, nullptr, nullptr, EVP_PKEY_ED25519},
    Algorithm{"300506032b6571", Kind::eddsa, nullptr, nullptr, EVP_PKEY_ED448},
    Algorithm{"300d06092a864886f70d01010b0500", Kind::rsa_pkcs1, "SHA256", nullptr},
    Algorithm{"300d06092a864886f70d01010c0500", Kind::rsa_pkcs1, "SHA384", nullptr},
    Algorithm{"300d06092a864886f70d01010d0500", Kind::rsa_pkcs1, "SHA512", nullptr},
    Algorithm{
        "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d0609608648"
        "0165030402010500a203020120",
        Kind::rsa_pss, "SHA256", nullptr},
    Algorithm{
        "304106092a864886f70d01010a3034a00f300d06096086480165030402020500a11c301a06092a864886f70d010108300d0609608648"
        "0165030402020500a203020130",
        Kind::rsa_pss, "SHA384", nullptr},
    Algorithm{
        "304106092a864886f70d01010a3034a00f300d06096086480165030402030500a11c301a06092a864886f70d010108300d0609608648"
        "0165030402030500a203020140",
        Kind::rsa_pss, "SHA512", nullptr},
    Algorithm{
        "303d06092a864886f70d01010a3030a00d300b0609608648016503040201a11a301806092a864886f70d010108300b06096086480165"
        "03040201a203020120",
        Kind::rsa_pss, "SHA256", nullptr},
    Algorithm{
        "303d06092a864886f70d01010a3030a00d300b0609608648016503040202a11a301806092a864886f70d010108300b06096086480165"
        "03040202a203020130",
        Kind::rsa_pss, "SHA384", nullptr},
    Algorithm{
        "303d06092a864886f70d01010a3030a00d300b0609608648016503040203a11a301806092a864886f70d010108300b06096086480165"
        "03040203a203020140",
        Kind::rsa_pss, "SHA512", nullptr},
};

bool fits(const Algorithm& algorithm, const crypto::EvpKey& key) {
  switch (algorithm.kind) {
    case Kind::ecdsa: return is_ec_on(key, algorithm.curve);
    case Kind::eddsa: return EVP_PKEY_get_base_id(key.get()) == algorithm.eddsa_type;
    case Kind::rsa_pkcs1: return EVP_PKEY_get_base_id(key.get()) == EVP_PKEY_RSA && is_rsa_in_bounds(key);
    case Kind::rsa_pss: return is_rsa_in_bounds(key);
  }
  return false;
}

/// Explicit curve parameters (RFC 5480 section 2.1.1 forbids them) are a SEQUENCE where the curve's name should stand:
/// SEQUENCE { SEQUENCE { OID ecPublicKey, OID curve } ...
bool has_named_curve(ByteView spki) {
  static constexpr std::string_view kEcPublicKey = "06072a8648ce3d0201";
  auto hex = hex_encode(spki);
  auto at = hex.find(kEcPublicKey);
  return at != std::string::npos && hex.substr(at + kEcPublicKey.size(), 2) == "06";
}

}  // namespace

Result<void> verify_self_signature(ByteView algorithm, ByteView spki, ByteView message, ByteView signature) {
  auto row = std::ranges::find(kAlgorithms, hex_encode(algorithm), &Algorithm::der_hex);
  if (row == kAlgorithms.end()) return fail(PeerErrc::certificate_algorithm, "signature algorithm");
  auto key = load_spki(spki);
  if (key == nullptr) return fail(PeerErrc::certificate_malformed, "public key");
  if (!fits(*row, key)) return fail(PeerErrc::certificate_algorithm, "algorithm is not for this key");
  if (row->kind == Kind::ecdsa && !has_named_curve(spki))
    return fail(PeerErrc::certificate_algorithm, "curve parameters");
  bool ok = row->kind == Kind::rsa_pss ? verify_pss(key, row->digest, message, signature)
                                       : verify_signature(key, row->digest, message, signature);
  if (!ok) return fail(PeerErrc::certificate_self_signature);
  return {};
}

}  // namespace nmp::libp2p
