#pragma once

// For the .cpp files of this room and of quic only: it names GnuTLS.
#include <optional>
#include <span>

#include <gnutls/gnutls.h>

#include "base/owned.hpp"
#include "libp2p/tls/context.hpp"
#include "libp2p/tls/errors.hpp"

namespace nmp::libp2p::tls {

using Credentials = Owned<gnutls_certificate_credentials_st, &gnutls_certificate_free_credentials>;
using Priorities = Owned<gnutls_priority_st, &gnutls_priority_deinit>;
using SessionHandle = Owned<gnutls_session_int, &gnutls_deinit>;

/// The protocol name of libp2p that names no muxer; the only one over QUIC.
inline constexpr std::string_view kAlpn = "libp2p";

struct Context::Impl {
  Impl(PeerId id, const Clock& time, KeyLog log) : self(std::move(id)), clock(time), key_log(std::move(log)) {}
  PeerId self;
  const Clock& clock;
  KeyLog key_log;
  Credentials credentials;
  Priorities for_streams;
  Priorities for_quic;  ///< without the records that only middleboxes on TCP want (RFC 9001 section 8.4)
};

/// What one session makes of its peer's certificate. It is judged when its message has arrived, before GnuTLS parses it
/// and before its key is used: a stranger's X.509 meets our own strict reader first, and an RSA key with an exponent
/// as long as its modulus checks nothing.
struct Verification {
  Context::Impl* context = nullptr;
  std::optional<PeerId> expected;
  std::optional<PeerId> peer;  ///< judged to be good; GnuTLS has yet to check CertificateVerify
  std::optional<Error> failure;
  /// A Certificate message. 0 or a GnuTLS error, with `failure` set.
  int on_certificate(ByteView message);
};

/// What GnuTLS calls back, of a session whose Verification `find` finds.
struct Hooks {
  gnutls_handshake_hook_func on_certificate;
  gnutls_certificate_verify_function* on_verified;
  gnutls_keylog_func on_secret;
};
int log_secret(Verification& verification, gnutls_session_t session, const char* label, const gnutls_datum_t& secret);

template <Verification& (*find)(gnutls_session_t)>
Hooks hooks() {
  return {
      .on_certificate = [](gnutls_session_t session, unsigned, unsigned, unsigned incoming,
                           const gnutls_datum_t* message) noexcept -> int {
        return incoming == 0 ? 0 : find(session).on_certificate(view_of(message->data, message->size));
      },
      .on_verified = [](gnutls_session_t session) noexcept -> int {
        return find(session).peer ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
      },
      .on_secret = [](gnutls_session_t session, const char* label, const gnutls_datum_t* secret) noexcept -> int {
        return log_secret(find(session), session, label, *secret);
      },
  };
}

/// The flags of gnutls_init().
[[nodiscard]] unsigned session_flags(bool inbound);
/// Everything but the priorities: certificates in both directions, protocols in order of preference, the hooks.
/// Errors: setup.
Result<void> configure(gnutls_session_t session,
                       Context::Impl& context,
                       bool inbound,
                       std::span<const std::string> protocols,
                       const Hooks& hooks);
/// The protocol that both agreed on.
[[nodiscard]] std::optional<std::string> agreed_protocol(gnutls_session_t session);

}  // namespace nmp::libp2p::tls
