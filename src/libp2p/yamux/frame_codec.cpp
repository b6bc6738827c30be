#include "libp2p/yamux/frame_codec.hpp"

#include "base/codec.hpp"

namespace nmp::libp2p::yamux {

namespace {

constexpr std::uint16_t kKnownFlags = kSyn | kAck | kFin | kRst;

void put(std::span<std::byte> out, std::uint32_t value) {
  for (std::size_t i = out.size(); i-- > 0; value >>= 8) out[i] = static_cast<std::byte>(value & 0xff);
}

}  // namespace

ByteArray<kHeaderBytes> encode(const FrameHeader& header) {
  ByteArray<kHeaderBytes> bytes{};
  const std::span out(bytes);
  put(out.subspan(1, 1), std::to_underlying(header.type));
  put(out.subspan(2, 2), header.flags);
  put(out.subspan(4, 4), std::to_underlying(header.stream));
  put(out.subspan(8, 4), header.length);
  return bytes;
}

Result<FrameHeader> decode(std::span<const std::byte, kHeaderBytes> bytes) {
  Reader reader(bytes);
  NMP_TRY(const auto version, reader.u8());
  NMP_TRY(const auto type, reader.u8());
  NMP_TRY(const auto flags, reader.u16be());
  NMP_TRY(const auto stream, reader.u32be());
  NMP_TRY(const auto length, reader.u32be());
  if (version != 0) return fail(Errc::bad_version);
  if (type > std::to_underlying(FrameType::go_away)) return fail(Errc::bad_type);
  const FrameHeader header{static_cast<FrameType>(type), flags, StreamId{stream}, length};
  if ((flags & ~kKnownFlags) != 0) return fail(Errc::bad_flags);
  // A ping asks or answers; nothing else tells which.
  if (header.type == FrameType::ping && flags != kSyn && flags != kAck) return fail(Errc::bad_flags, "ping");
  const bool session = header.type == FrameType::ping || header.type == FrameType::go_away;
  if (session != (header.stream == kSessionId)) return fail(Errc::bad_stream_id);
  return header;
}

}  // namespace nmp::libp2p::yamux
