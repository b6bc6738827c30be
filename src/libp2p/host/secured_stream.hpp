#pragma once

#include "base/async/byte_stream.hpp"
#include "libp2p/noise/session.hpp"
#include "libp2p/tls/session.hpp"

namespace nmp::libp2p {

/// A byte stream inside another that proves who is at the other end. A stream that ends without the muxer's goodbye may
/// have been cut.
class SecuredStream : public async::ByteStream {
 public:
  /// To be called once, before all else. `early`: what was read below already.
  /// Errors: noise::Errc or tls::Errc, the stream's.
  virtual async::Awaitable<Result<void>> handshake(Bytes early) = 0;
  /// After handshake().
  [[nodiscard]] virtual const PeerId& peer() const = 0;
  /// Agreed on in the handshake; nothing if multistream is to choose.
  [[nodiscard]] virtual const std::optional<std::string>& muxer() const = 0;
};

std::unique_ptr<SecuredStream> secure(async::ByteStreamPtr below, noise::Session session);
std::unique_ptr<SecuredStream> secure(async::ByteStreamPtr below, tls::Session session);

}  // namespace nmp::libp2p
