#pragma once

// For the .cpp files of this room only: it names GnuTLS.
#include <optional>

#include <gnutls/gnutls.h>

#include "base/owned.hpp"
#include "libp2p/quic/errors.hpp"
#include "libp2p/quic/tls.hpp"

namespace nmp::libp2p::quic {

using Credentials = Owned<gnutls_certificate_credentials_st, &gnutls_certificate_free_credentials>;
using Priorities = Owned<gnutls_priority_st, &gnutls_priority_deinit>;
using Session = Owned<gnutls_session_int, &gnutls_deinit>;

struct TlsContext::Impl {
  Impl(PeerId id, const Clock& time, KeyLog log) : self(std::move(id)), clock(time), key_log(std::move(log)) {}
  PeerId self;
  const Clock& clock;
  KeyLog key_log;
  Credentials credentials;
  Priorities priorities;
};

/// Part of a connection that the verify callback reaches.
struct Verification {
  TlsContext::Impl* context = nullptr;
  std::optional<PeerId> expected;
  std::optional<PeerId> peer;
  std::optional<Error> failure;
  /// Judges the chain that the session holds. 0 or a GnuTLS error.
  int judge(gnutls_session_t session);
};
/// Finds the Verification of a session; connection.cpp knows how.
Verification& verification_of(gnutls_session_t session);

}  // namespace nmp::libp2p::quic
