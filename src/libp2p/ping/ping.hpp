#pragma once

#include <optional>

#include "base/bytes.hpp"
#include "base/random.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

/// `/ipfs/ping/1.0.0` (github.com/libp2p/specs, ping/ping.md): the initiator sends 32 random bytes, the responder
/// echoes them, and so on until the initiator closes. Towards rust-libp2p each ping needs a stream of its own: it may
/// leave the second one on a stream unread for 15 s.
namespace nmp::libp2p::ping {

inline constexpr std::string_view kProtocol = "/ipfs/ping/1.0.0";
inline constexpr std::size_t kPayloadBytes = 32;
using Payload = ByteArray<kPayloadBytes>;

/// The echoing side: 32 bytes of state, whatever the peer sends.
class Responder {
 public:
  /// Eats from the front of `input` up to the end of one payload; a value is the payload to write back, and more may be
  /// left in `input`. Call until it returns nothing.
  std::optional<Payload> feed(ByteView& input);
  /// True between payloads: the stream may end here.
  [[nodiscard]] bool idle() const { return held_ == 0; }

 private:
  Payload payload_{};
  std::size_t held_ = 0;
};

/// The asking side: one exchange at a time.
class Initiator {
 public:
  /// The 32 bytes to send. A new call forgets an exchange that has not ended.
  Payload start(Random& random, Instant now);
  /// A value once the echo is whole: the round trip since start(). Errors: malformed if the echo differs, or comes
  /// unasked.
  Result<std::optional<Duration>> feed(ByteView input, Instant now);
  [[nodiscard]] bool waiting() const { return waiting_; }

 private:
  Payload sent_{};
  std::size_t matched_ = 0;
  Instant sent_at_{};
  bool waiting_ = false;
};

}  // namespace nmp::libp2p::ping
