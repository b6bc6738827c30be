#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "libp2p/peer/certificate.hpp"
#include "libp2p/peer/peer_id.hpp"

namespace nmp::libp2p::tls {

/// Takes one line of an SSLKEYLOGFILE.
using KeyLog = std::function<void(std::string_view)>;

/// What all connections of a host share for TLS 1.3, over TCP and inside QUIC: its certificate, the cipher policy, the
/// clock for expiry. No session tickets, no 0-RTT: resumed data would carry no proof of the peer's identity.
class Context {
 public:
  /// `clock` outlives the context. Errors: Errc::setup if the certificate or the policy is refused.
  static Result<std::unique_ptr<Context>> make(PeerId self,
                                               const TlsCertificate& certificate,
                                               const Clock& clock,
                                               KeyLog key_log = {});
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context();

  [[nodiscard]] const PeerId& self() const;

  struct Impl;
  [[nodiscard]] Impl& impl() { return *impl_; }

 private:
  explicit Context(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nmp::libp2p::tls
