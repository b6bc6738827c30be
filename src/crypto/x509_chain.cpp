#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "base/owned.hpp"
#include "crypto/x509.hpp"

namespace nmp::crypto {
namespace {

ChainErrc code_of(int error) {
  switch (error) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED: return ChainErrc::untrusted;
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE: return ChainErrc::bad_signature;
    case X509_V_ERR_CERT_HAS_EXPIRED: return ChainErrc::expired;
    case X509_V_ERR_CERT_NOT_YET_VALID: return ChainErrc::not_yet_valid;
    case X509_V_ERR_INVALID_CA:
    case X509_V_ERR_KEYUSAGE_NO_CERTSIGN:
    case X509_V_ERR_INVALID_NON_CA: return ChainErrc::not_a_ca;
    case X509_V_ERR_PATH_LENGTH_EXCEEDED: return ChainErrc::path_too_long;
    default: return ChainErrc::refused;
  }
}

void free_stack(STACK_OF(X509) * stack) { sk_X509_free(stack); }  // the certificates are owned elsewhere

}  // namespace

std::error_code make_error_code(ChainErrc code) {
  static const EnumCategory<ChainErrc> category("x509", [](ChainErrc value) -> std::string_view {
    switch (value) {
      case ChainErrc::untrusted: return "untrusted";
      case ChainErrc::bad_signature: return "bad_signature";
      case ChainErrc::expired: return "expired";
      case ChainErrc::not_yet_valid: return "not_yet_valid";
      case ChainErrc::not_a_ca: return "not_a_ca";
      case ChainErrc::path_too_long: return "path_too_long";
      case ChainErrc::refused: return "refused";
    }
    return "unknown";
  });
  return {static_cast<int>(code), category};
}

Result<std::vector<Certificate>> verify_chain(const Certificate& leaf,
                                              const std::vector<Certificate>& intermediates,
                                              const ChainRules& rules) {
  Owned<X509_STORE, &X509_STORE_free> store(X509_STORE_new());
  Owned<STACK_OF(X509), &free_stack> untrusted(sk_X509_new_null());
  Owned<X509_STORE_CTX, &X509_STORE_CTX_free> context(X509_STORE_CTX_new());
  NMP_ASSERT(store != nullptr && untrusted != nullptr && context != nullptr);
  for (const auto& root : rules.roots) NMP_ASSERT(X509_STORE_add_cert(store.get(), root.handle()) == 1);
  for (const auto& one : intermediates) NMP_ASSERT(sk_X509_push(untrusted.get(), one.handle()) > 0);
  NMP_ASSERT(X509_STORE_CTX_init(context.get(), store.get(), leaf.handle(), untrusted.get()) == 1);
  auto* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, rules.now);
  const int verified = X509_verify_cert(context.get());
  ERR_clear_error();
  if (verified != 1) {
    const int error = X509_STORE_CTX_get_error(context.get());
    std::string words = X509_verify_cert_error_string(error);
    if (auto* at = X509_STORE_CTX_get_current_cert(context.get())) {
      NMP_ASSERT(X509_up_ref(at) == 1);
      words += ": " + Certificate(std::shared_ptr<X509>(at, &X509_free)).subject();
    }
    return fail(code_of(error), std::move(words));
  }
  std::vector<Certificate> chain;
  auto* built = X509_STORE_CTX_get0_chain(context.get());
  for (int i = 0; i < sk_X509_num(built); ++i) {
    auto* one = sk_X509_value(built, i);
    NMP_ASSERT(X509_up_ref(one) == 1);
    chain.emplace_back(std::shared_ptr<X509>(one, &X509_free));
  }
  return chain;
}

}  // namespace nmp::crypto
