#pragma once

#include "base/bytes.hpp"
#include "libp2p/yamux/errors.hpp"

/// The 12-byte header of every Yamux frame (github.com/libp2p/specs, yamux/README.md, "Framing").
namespace nmp::libp2p::yamux {

enum class StreamId : std::uint32_t {};
/// The session's own frames.
inline constexpr StreamId kSessionId{0};

enum class FrameType : std::uint8_t { data = 0, window_update = 1, ping = 2, go_away = 3 };

inline constexpr std::uint16_t kSyn = 1;
inline constexpr std::uint16_t kAck = 2;
inline constexpr std::uint16_t kFin = 4;
inline constexpr std::uint16_t kRst = 8;

inline constexpr std::size_t kHeaderBytes = 12;

struct FrameHeader {
  FrameType type = FrameType::data;
  std::uint16_t flags = 0;
  StreamId stream{};
  /// Payload bytes (data), credit or, with RST, the error code (window update), opaque (ping), code (go away).
  std::uint32_t length = 0;

  [[nodiscard]] bool has(std::uint16_t flag) const { return (flags & flag) != 0; }
  friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

[[nodiscard]] ByteArray<kHeaderBytes> encode(const FrameHeader& header);
/// What a header alone can tell. Errors: bad_version, bad_type, bad_flags, bad_stream_id.
Result<FrameHeader> decode(std::span<const std::byte, kHeaderBytes> bytes);

}  // namespace nmp::libp2p::yamux
