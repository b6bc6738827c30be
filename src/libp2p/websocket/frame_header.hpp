#pragma once

#include <optional>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace nmp::libp2p::websocket {

/// RFC 6455 section 5.2.
enum class Opcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };
using MaskKey = ByteArray<4>;

struct FrameHeader {
  bool final = true;
  Opcode opcode = Opcode::binary;
  std::uint64_t size = 0;  ///< of the payload
  std::optional<MaskKey> mask;

  [[nodiscard]] bool is_control() const { return std::to_underlying(opcode) >= 8; }
  [[nodiscard]] Bytes encode() const;
  friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

/// Cuts frame headers off the front of a stream that arrives in pieces; at most 14 bytes are held.
class FrameHeaderReader {
 public:
  /// Eats from the front of `input`, and nothing after the header. Errors: Errc::bad_frame (reserved bits or opcodes, a
  /// length that is not in its shortest form or above 2^63 - 1, a control frame in parts or over kControlBytesMax).
  Result<std::optional<FrameHeader>> feed(ByteView& input);
  [[nodiscard]] bool idle() const { return held_.empty(); }

 private:
  Bytes held_;
};

/// Masks or unmasks `bytes`, which begin `offset` bytes into their payload (section 5.3).
void apply_mask(const MaskKey& mask, std::uint64_t offset, std::span<std::byte> bytes);

}  // namespace nmp::libp2p::websocket
