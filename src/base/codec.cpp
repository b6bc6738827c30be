#include "base/codec.hpp"

namespace nmp {

template <class T>
Result<T> Reader::big_endian() {
  if (rest_.size() < sizeof(T)) return fail(Errc::truncated);
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value = value << 8 | std::to_integer<std::uint64_t>(rest_[i]);
  rest_ = rest_.subspan(sizeof(T));
  return static_cast<T>(value);
}

Result<std::uint8_t> Reader::u8() { return big_endian<std::uint8_t>(); }
Result<std::uint16_t> Reader::u16be() { return big_endian<std::uint16_t>(); }
Result<std::uint32_t> Reader::u32be() { return big_endian<std::uint32_t>(); }
Result<std::uint64_t> Reader::u64be() { return big_endian<std::uint64_t>(); }

Result<std::uint64_t> Reader::uvarint() {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < kUvarintBytesMax; ++i) {
    NMP_TRY(auto byte, u8());
    value |= static_cast<std::uint64_t>(byte & 0x7f) << (7 * i);
    if ((byte & 0x80) != 0) continue;
    if (byte == 0 && i > 0) return fail(Errc::malformed, "varint is not minimal");
    return value;
  }
  return fail(Errc::malformed, "varint over 63 bits");
}

Result<std::uint64_t> Reader::protobuf_varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    NMP_TRY(auto byte, u8());
    if (shift == 63 && byte > 1) return fail(Errc::malformed, "varint over 64 bits");
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return fail(Errc::malformed, "varint over 64 bits");
}

Result<ByteView> Reader::take(std::size_t size) {
  if (rest_.size() < size) return fail(Errc::truncated);
  auto taken = rest_.first(size);
  rest_ = rest_.subspan(size);
  return taken;
}

Result<ByteView> Reader::length_prefixed(std::size_t size_max) {
  NMP_TRY(auto size, uvarint());
  if (size > size_max) return fail(Errc::too_large);
  return take(size);
}

Result<void> Reader::done() const {
  if (!rest_.empty()) return fail(Errc::malformed, "trailing bytes");
  return {};
}

namespace {
template <class T>
void put_big_endian(Bytes& out, T value) {
  for (std::size_t i = sizeof(T); i-- > 0;) out.push_back(static_cast<std::byte>(value >> (8 * i)));
}
}  // namespace

Writer& Writer::u8(std::uint8_t value) {
  out_.push_back(static_cast<std::byte>(value));
  return *this;
}
Writer& Writer::u16be(std::uint16_t value) {
  put_big_endian(out_, value);
  return *this;
}
Writer& Writer::u32be(std::uint32_t value) {
  put_big_endian(out_, value);
  return *this;
}
Writer& Writer::u64be(std::uint64_t value) {
  put_big_endian(out_, value);
  return *this;
}
Writer& Writer::uvarint(std::uint64_t value) {
  while (value >= 0x80) {
    u8(static_cast<std::uint8_t>(value | 0x80));
    value >>= 7;
  }
  return u8(static_cast<std::uint8_t>(value));
}
Writer& Writer::bytes(ByteView value) {
  append(out_, value);
  return *this;
}
Writer& Writer::length_prefixed(ByteView value) { return uvarint(value.size()).bytes(value); }

namespace {
/// Protobuf wire types (protobuf.dev, "Encoding"); groups (3, 4) are refused.
enum WireType : std::uint8_t { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

Result<std::uint64_t> little_endian(Reader& reader, std::size_t size) {
  NMP_TRY(auto bytes, reader.take(size));
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;) value = value << 8 | std::to_integer<std::uint64_t>(bytes[i]);
  return value;
}
}  // namespace

Result<std::optional<ProtobufField>> ProtobufReader::next() {
  if (reader_.empty()) return std::nullopt;
  NMP_TRY(auto tag, reader_.protobuf_varint());
  if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff) return fail(Errc::malformed, "field number");
  ProtobufField field{.number = static_cast<std::uint32_t>(tag >> 3), .wire_type = static_cast<std::uint8_t>(tag & 7)};
  switch (field.wire_type) {
    case kVarint: {
      NMP_TRY(field.value, reader_.protobuf_varint());
      break;
    }
    case kFixed64: {
      NMP_TRY(field.value, little_endian(reader_, 8));
      break;
    }
    case kFixed32: {
      NMP_TRY(field.value, little_endian(reader_, 4));
      break;
    }
    case kLengthDelimited: {
      NMP_TRY(auto size, reader_.protobuf_varint());
      if (size > reader_.size()) return fail(Errc::truncated);
      NMP_TRY(field.bytes, reader_.take(size));
      break;
    }
    default: return fail(Errc::malformed, "wire type");
  }
  return field;
}

ProtobufWriter& ProtobufWriter::varint(std::uint32_t field, std::uint64_t value) {
  out_.uvarint(std::uint64_t{field} << 3 | kVarint).uvarint(value);
  return *this;
}
ProtobufWriter& ProtobufWriter::bytes(std::uint32_t field, ByteView value) {
  out_.uvarint(std::uint64_t{field} << 3 | kLengthDelimited).length_prefixed(value);
  return *this;
}
ProtobufWriter& ProtobufWriter::fixed64(std::uint32_t field, std::uint64_t value) {
  out_.uvarint(std::uint64_t{field} << 3 | kFixed64);
  for (unsigned i = 0; i < 8; ++i) out_.u8(static_cast<std::uint8_t>(value >> (8 * i)));
  return *this;
}

}  // namespace nmp
