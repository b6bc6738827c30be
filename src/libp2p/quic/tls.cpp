#include "libp2p/quic/tls.hpp"

#include <gnutls/x509.h>

#include "libp2p/quic/limits.hpp"
#include "libp2p/quic/tls_impl.hpp"

namespace nmp::libp2p::quic {

namespace {

/// TLS 1.3 only, the three AEADs and the groups of libp2p.md section 5.
constexpr const char* kPriorities =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:"
    "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:%DISABLE_TLS13_COMPAT_MODE";

gnutls_datum_t datum(const Bytes& bytes) {
  return {const_cast<unsigned char*>(u8(ByteView(bytes))), static_cast<unsigned>(bytes.size())};
}

}  // namespace

int Verification::judge(gnutls_session_t session) {
  unsigned count = 0;
  const auto* list = gnutls_certificate_get_peers(session, &count);
  std::vector<Bytes> chain;
  // More than two certificates say no more than two: the chain has to be of one.
  for (unsigned i = 0; list != nullptr && i < count && i < 2; ++i)
    chain.push_back(to_bytes(view_of(list[i].data, list[i].size)));
  auto id = verify_certificate(chain, context->clock.unix_now());
  if (!id) {
    failure = Error{make_error_code(Errc::certificate), id.error().message()};
  } else if (expected && *id != *expected) {
    failure = Error{make_error_code(Errc::wrong_peer), id->to_text()};
  } else if (*id == context->self) {
    failure = Error{make_error_code(Errc::self_dial), {}};
  } else {
    peer = *id;
    return 0;
  }
  return GNUTLS_E_CERTIFICATE_ERROR;
}

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::~TlsContext() = default;
const PeerId& TlsContext::self() const { return impl_->self; }

Result<std::unique_ptr<TlsContext>> TlsContext::make(PeerId self,
                                                     const TlsCertificate& certificate,
                                                     const Clock& clock,
                                                     KeyLog key_log) {
  auto impl = std::make_unique<Impl>(std::move(self), clock, std::move(key_log));
  auto check = [](int code, const char* what) -> Result<void> {
    if (code != GNUTLS_E_SUCCESS) return fail(Errc::tls, std::string(what) + ": " + gnutls_strerror(code));
    return {};
  };
  NMP_CHECK(check(gnutls_certificate_allocate_credentials(out(impl->credentials)), "credentials"));
  auto cert = datum(certificate.certificate_der);
  auto key = datum(certificate.key_der);
  NMP_CHECK(check(gnutls_certificate_set_x509_key_mem2(impl->credentials.get(), &cert, &key, GNUTLS_X509_FMT_DER,
                                                       nullptr, GNUTLS_PKCS_PLAIN),
                  "certificate"));
  gnutls_certificate_set_verify_function(impl->credentials.get(), [](gnutls_session_t session) noexcept -> int {
    return verification_of(session).judge(session);
  });
  NMP_CHECK(check(gnutls_priority_init2(out(impl->priorities), kPriorities, nullptr, 0), "priorities"));
  return std::unique_ptr<TlsContext>(new TlsContext(std::move(impl)));
}

}  // namespace nmp::libp2p::quic
