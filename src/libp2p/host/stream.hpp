#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/async/byte_stream.hpp"
#include "libp2p/peer/multiaddr.hpp"
#include "libp2p/peer/peer_id.hpp"

namespace nmp::libp2p {

/// Stream error codes that libp2p implementations share (libp2p/specs PR 623; libp2p.md section 6).
namespace stream_code {
inline constexpr std::uint64_t kNone = 0;
inline constexpr std::uint64_t kNegotiationFailed = 0x1001;
inline constexpr std::uint64_t kResourceLimit = 0x1002;
inline constexpr std::uint64_t kRateLimited = 0x1003;
inline constexpr std::uint64_t kProtocolViolation = 0x1004;
inline constexpr std::uint64_t kSupplanted = 0x1005;
inline constexpr std::uint64_t kGarbageCollected = 0x1006;
inline constexpr std::uint64_t kShutdown = 0x1007;
inline constexpr std::uint64_t kGated = 0x1008;
}  // namespace stream_code

/// Connection error codes, same source.
namespace connection_code {
inline constexpr std::uint64_t kNone = 0;
inline constexpr std::uint64_t kNegotiationFailed = 0x1000;
inline constexpr std::uint64_t kResourceLimit = 0x1001;
inline constexpr std::uint64_t kRateLimited = 0x1002;
inline constexpr std::uint64_t kProtocolViolation = 0x1003;
inline constexpr std::uint64_t kSupplanted = 0x1004;
inline constexpr std::uint64_t kGarbageCollected = 0x1005;
inline constexpr std::uint64_t kShutdown = 0x1006;
inline constexpr std::uint64_t kGated = 0x1007;
}  // namespace connection_code

/// One libp2p stream, its protocol settled (or lazily proposed). Outlives its connection and its Host: calls then
/// answer `closed`. Destruction without close_write() and a read end resets it with code 0.
class Stream : public async::ByteStream {
 public:
  /// Authenticated by the connection's TLS handshake.
  [[nodiscard]] virtual const PeerId& remote() const = 0;
  [[nodiscard]] virtual const Multiaddr& remote_address() const = 0;
  [[nodiscard]] virtual const std::string& protocol() const = 0;
  [[nodiscard]] virtual bool inbound() const = 0;

  /// Tells the peer to stop sending; what it has sent is dropped, reads answer `closed`. Writing goes on.
  virtual void stop_reading(std::uint64_t code) noexcept = 0;
  /// The code with which the peer reset or stopped the stream, if it did.
  [[nodiscard]] virtual std::optional<std::uint64_t> peer_code() const = 0;
};

using StreamPtr = std::unique_ptr<Stream>;

}  // namespace nmp::libp2p
