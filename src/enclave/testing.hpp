#pragma once

#include <fstream>

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "base/owned.hpp"
#include "crypto/cbor.hpp"
#include "crypto/cose_es384.hpp"
#include "crypto/x509.hpp"

/// For tests: a security module of our own making, which signs under a root of our own making. Its documents have the
/// genuine format and must be refused by everyone who does not pin that root.
namespace nmp::enclave::testing {

using Key = std::shared_ptr<EVP_PKEY>;
inline Key make_key() { return {EVP_EC_gen("P-384"), &EVP_PKEY_free}; }

struct CertificateOptions {
  const char* name = "";
  bool ca = true;
  UnixSeconds from = 0;
  UnixSeconds until = 0;
  const EVP_MD* hash = EVP_sha384();
};
inline crypto::Certificate make_certificate(const Key& key,
                                            const Key& issuer_key,
                                            const char* issuer,
                                            const CertificateOptions& options) {
  Owned<X509, &X509_free> out(X509_new());
  const auto set_name = [](X509_NAME* name, const char* text) {
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(text), -1, -1, 0);
  };
  X509_set_version(out.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(out.get()), 7);
  set_name(X509_get_subject_name(out.get()), options.name);
  set_name(X509_get_issuer_name(out.get()), issuer);
  ASN1_TIME_set(X509_getm_notBefore(out.get()), options.from);
  ASN1_TIME_set(X509_getm_notAfter(out.get()), options.until);
  X509_set_pubkey(out.get(), key.get());
  const auto add = [&](int nid, const char* value) {
    Owned<X509_EXTENSION, &X509_EXTENSION_free> extension(X509V3_EXT_conf_nid(nullptr, nullptr, nid, value));
    X509_add_ext(out.get(), extension.get(), -1);
  };
  add(NID_basic_constraints, options.ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  add(NID_key_usage, options.ca ? "critical,keyCertSign" : "critical,digitalSignature");
  NMP_ASSERT(X509_sign(out.get(), issuer_key.get(), options.hash) > 0);
  return crypto::Certificate(std::shared_ptr<X509>(out.release(), &X509_free));
}

/// r || s of `message` under a P-384 key.
inline ByteArray<96> sign(const Key& key, ByteView message) {
  Owned<EVP_MD_CTX, &EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  std::array<std::uint8_t, 128> der{};
  std::size_t size = der.size();
  NMP_ASSERT(EVP_DigestSignInit(context.get(), nullptr, EVP_sha384(), nullptr, key.get()) == 1);
  NMP_ASSERT(EVP_DigestSign(context.get(), der.data(), &size, u8(message), message.size()) == 1);
  const auto* at = der.data();
  Owned<ECDSA_SIG, &ECDSA_SIG_free> signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(size)));
  ByteArray<96> out{};
  NMP_ASSERT(BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), u8(out), 48) == 48);
  NMP_ASSERT(BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), u8(out) + 48, 48) == 48);
  return out;
}

/// Root, one intermediate, leaf; `payload` starts as a good one and may be changed before `document`.
class SimulatedModule {
 public:
  explicit SimulatedModule(UnixSeconds now, const char* root_name = "simulated root")
      : root(make_certificate(
            root_key_, root_key_, root_name, {.name = root_name, .from = now - 1000, .until = now + 1000})),
        middle(make_certificate(
            middle_key_, root_key_, root_name, {.name = "middle", .from = now - 1000, .until = now + 1000})),
        leaf(make_certificate(
            leaf_key, middle_key_, "middle", {.name = "leaf", .ca = false, .from = now - 1000, .until = now + 1000})) {
    cbor::Map pcrs;
    for (unsigned i = 0; i < 9; ++i) pcrs.add(i, Bytes(48, static_cast<std::byte>(0x10 + i)));
    payload = {{"module_id", cbor::Value("i-0-enc0")},
               {"digest", cbor::Value("SHA384")},
               {"timestamp", cbor::Value(static_cast<std::uint64_t>(now) * 1000)},
               {"pcrs", cbor::Value(pcrs)},
               {"certificate", cbor::Value(leaf.der())},
               {"cabundle", cbor::Value(cbor::Array{root.der(), middle.der()})},
               {"public_key", cbor::Value(to_bytes("key"))},
               {"user_data", cbor::Value(to_bytes("data"))},
               {"nonce", cbor::Value(to_bytes("nonce"))}};
  }
  [[nodiscard]] Bytes document() const {
    cbor::Map map;
    for (const auto& [name, value] : payload) map.add(name, value);
    const auto bytes = cbor::encode(map);
    return cose::write_es384(bytes, sign(leaf_key, cose::es384_signed_bytes(bytes)));
  }

 private:
  Key root_key_ = make_key();
  Key middle_key_ = make_key();

 public:
  [[nodiscard]] const Key& middle_key() const { return middle_key_; }
  Key leaf_key = make_key();
  crypto::Certificate root, middle, leaf;
  std::map<std::string, cbor::Value> payload;
};

inline Bytes vector_file(const std::string& name) {
  std::ifstream in(std::string(NMP_SOURCE_DIR) + "/src/enclave/testdata/" + name, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  NMP_ASSERT(!text.empty());
  return to_bytes(text);
}

}  // namespace nmp::enclave::testing
