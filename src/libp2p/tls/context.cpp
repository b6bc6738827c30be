#include "libp2p/tls/context.hpp"

#include <gnutls/x509.h>

#include "base/encoding.hpp"
#include "libp2p/tls/certificate_message.hpp"
#include "libp2p/tls/context_impl.hpp"
#include "libp2p/tls/limits.hpp"

namespace nmp::libp2p::tls {

namespace {

/// TLS 1.3 only, the three AEADs and the groups of libp2p.md section 5.
constexpr std::string_view kPriorities =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:"
    "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1";

gnutls_datum_t datum(ByteView bytes) {
  return {const_cast<unsigned char*>(u8(bytes)), static_cast<unsigned>(bytes.size())};
}

Result<void> check(int code, const char* what) {
  if (code != GNUTLS_E_SUCCESS) return fail(Errc::setup, std::string(what) + ": " + gnutls_strerror(code));
  return {};
}

}  // namespace

int Verification::on_certificate(ByteView message) {
  peer.reset();
  auto id = [&]() -> Result<PeerId> {
    NMP_TRY(const auto chain, certificates_of(message));
    return verify_certificate(chain, context->clock.unix_now());
  }();
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

int log_secret(Verification& verification, gnutls_session_t session, const char* label, const gnutls_datum_t& secret) {
  gnutls_datum_t client_random{};
  gnutls_datum_t server_random{};
  gnutls_session_get_random(session, &client_random, &server_random);
  verification.context->key_log(std::string(label) + " " + hex_encode(view_of(client_random.data, client_random.size)) +
                                " " + hex_encode(view_of(secret.data, secret.size)));
  return 0;
}

unsigned session_flags(bool inbound) {
  // GNUTLS_NO_TICKETS: no resumption in either direction.
  return (inbound ? GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET : GNUTLS_CLIENT) | GNUTLS_NO_TICKETS;
}

Result<void> configure(gnutls_session_t session,
                       Context::Impl& context,
                       bool inbound,
                       std::span<const std::string> protocols,
                       const Hooks& hooks) {
  NMP_CHECK(check(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, context.credentials.get()), "credentials"));
  std::vector<gnutls_datum_t> names;
  for (const auto& protocol : protocols) names.push_back(datum(bytes_of(protocol)));
  // Without GNUTLS_ALPN_SERVER_PRECEDENCE a listener takes the first of the dialler's list that it knows.
  NMP_CHECK(check(
      gnutls_alpn_set_protocols(session, names.data(), static_cast<unsigned>(names.size()), GNUTLS_ALPN_MANDATORY),
      "protocols"));
  if (inbound) gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
  gnutls_handshake_set_max_packet_length(session, kHandshakeMessageMax);
  gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_CERTIFICATE_PKT, GNUTLS_HOOK_PRE, hooks.on_certificate);
  gnutls_session_set_verify_function(session, hooks.on_verified);
  if (context.key_log) gnutls_session_set_keylog_function(session, hooks.on_secret);
  return {};
}

std::optional<std::string> agreed_protocol(gnutls_session_t session) {
  gnutls_datum_t chosen{};
  if (gnutls_alpn_get_selected_protocol(session, &chosen) != GNUTLS_E_SUCCESS) return std::nullopt;
  return string_of(view_of(chosen.data, chosen.size));
}

Context::Context(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Context::~Context() = default;
const PeerId& Context::self() const { return impl_->self; }

Result<std::unique_ptr<Context>> Context::make(PeerId self,
                                               const TlsCertificate& certificate,
                                               const Clock& clock,
                                               KeyLog key_log) {
  auto impl = std::make_unique<Impl>(std::move(self), clock, std::move(key_log));
  NMP_CHECK(check(gnutls_certificate_allocate_credentials(out(impl->credentials)), "credentials"));
  auto cert = datum(certificate.certificate_der);
  auto key = datum(certificate.key_der);
  NMP_CHECK(check(gnutls_certificate_set_x509_key_mem2(impl->credentials.get(), &cert, &key, GNUTLS_X509_FMT_DER,
                                                       nullptr, GNUTLS_PKCS_PLAIN),
                  "certificate"));
  const std::string streams(kPriorities);
  const auto quic = streams + ":%DISABLE_TLS13_COMPAT_MODE";
  NMP_CHECK(check(gnutls_priority_init2(out(impl->for_streams), streams.c_str(), nullptr, 0), "priorities"));
  NMP_CHECK(check(gnutls_priority_init2(out(impl->for_quic), quic.c_str(), nullptr, 0), "priorities"));
  return std::unique_ptr<Context>(new Context(std::move(impl)));
}

}  // namespace nmp::libp2p::tls
