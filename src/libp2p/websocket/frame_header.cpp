#include "libp2p/websocket/frame_header.hpp"

#include "base/codec.hpp"
#include "libp2p/websocket/errors.hpp"
#include "libp2p/websocket/limits.hpp"

namespace nmp::libp2p::websocket {
namespace {

constexpr std::uint8_t kFinal = 0x80;
constexpr std::uint8_t kReserved = 0x70;
constexpr std::uint8_t kMasked = 0x80;
/// What stands for a length in the next two, or eight, bytes.
constexpr std::uint8_t kLength16 = 126;
constexpr std::uint8_t kLength64 = 127;

std::unexpected<Error> bad(const char* what) { return fail(Errc::bad_frame, what); }

bool is_known(std::uint8_t opcode) {
  switch (Opcode{opcode}) {
    case Opcode::continuation:
    case Opcode::text:
    case Opcode::binary:
    case Opcode::close:
    case Opcode::ping:
    case Opcode::pong: return true;
  }
  return false;
}

/// `bytes` hold a whole header.
Result<FrameHeader> parse(ByteView bytes) {
  Reader reader(bytes);
  NMP_TRY(const auto first, reader.u8());
  NMP_TRY(const auto second, reader.u8());
  FrameHeader header;
  header.final = (first & kFinal) != 0;
  const auto opcode = static_cast<std::uint8_t>(first & 0x0f);
  if ((first & kReserved) != 0 || !is_known(opcode)) return bad("reserved bits or opcode");
  header.opcode = Opcode{opcode};
  header.size = second & 0x7fU;
  if (header.size == kLength16) {
    NMP_TRY(header.size, reader.u16be());
    if (header.size < kLength16) return bad("length");
  } else if (header.size == kLength64) {
    NMP_TRY(header.size, reader.u64be());
    if (header.size <= 0xffff || header.size >> 63 != 0) return bad("length");
  }
  if (header.is_control() && (!header.final || header.size > kControlBytesMax)) return bad("control frame");
  if ((second & kMasked) != 0) {
    NMP_TRY(const auto mask, reader.take(4));
    header.mask.emplace();
    std::ranges::copy(mask, header.mask->begin());
  }
  return header;
}

std::size_t size_of(std::uint8_t second) {
  const auto length = second & 0x7fU;
  return 2UZ + (length == kLength16 ? 2 : length == kLength64 ? 8 : 0) + ((second & kMasked) != 0 ? 4 : 0);
}

}  // namespace

Bytes FrameHeader::encode() const {
  Writer out;
  out.u8(static_cast<std::uint8_t>((final ? kFinal : 0) | std::to_underlying(opcode)));
  const std::uint8_t masked = mask ? kMasked : 0;
  if (size < kLength16) {
    out.u8(static_cast<std::uint8_t>(masked | size));
  } else if (size <= 0xffff) {
    out.u8(masked | kLength16).u16be(static_cast<std::uint16_t>(size));
  } else {
    out.u8(masked | kLength64).u64be(size);
  }
  if (mask) out.bytes(*mask);
  return out.take();
}

Result<std::optional<FrameHeader>> FrameHeaderReader::feed(ByteView& input) {
  while (!input.empty()) {
    held_.push_back(input.front());
    input = input.subspan(1);
    if (held_.size() < 2 || held_.size() < size_of(std::to_integer<std::uint8_t>(held_[1]))) continue;
    NMP_TRY(const auto header, parse(held_));
    held_.clear();
    return header;
  }
  return std::nullopt;
}

void apply_mask(const MaskKey& mask, std::uint64_t offset, std::span<std::byte> bytes) {
  MaskKey turned{};
  for (std::size_t i = 0; i < turned.size(); ++i) turned[i] = mask[(offset + i) % mask.size()];
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] ^= turned[i % turned.size()];
}

}  // namespace nmp::libp2p::websocket
