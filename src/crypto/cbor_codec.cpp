#include "crypto/cbor_codec.hpp"

#include "base/encoding.hpp"
#include "crypto/errors.hpp"
#include "crypto/limits.hpp"

namespace nmp::cbor {

using crypto::Errc;

namespace {

/// RFC 8949 section 3.3.
enum Simple : std::uint8_t { kFalse = 20, kTrue = 21, kNull = 22 };

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};

Result<Key> read_key(Reader& reader) {
  NMP_TRY(auto head, read_head(reader));
  if (head.major == Major::uint) return Key(head.value);
  if (head.major != Major::text) return fail(Errc::malformed, "map key is neither unsigned nor text");
  if (head.value > reader.size()) return fail(Errc::malformed, "truncated");
  NMP_TRY(auto text, reader.take(head.value));
  if (!is_utf8(text_of(text))) return fail(Errc::malformed, "text is not UTF-8");
  return Key(text_of(text));
}

Result<Value> read_map(Reader& reader, std::uint64_t size, std::size_t depth, Decoding& decoding) {
  // Each entry takes at least two bytes: nothing is set aside for what is not there.
  if (size > reader.size() / 2) return fail(Errc::malformed, "truncated");
  if (size > decoding.items_left) return fail(Errc::too_large, "CBOR items");
  decoding.items_left -= size;
  Map map;
  for (std::uint64_t i = 0; i < size; ++i) {
    NMP_TRY(auto key, read_key(reader));
    if (!map.entries().empty()) {
      const auto& last = map.entries().back().key;
      if (last.is_text() != key.is_text()) return fail(Errc::malformed, "map keys of both kinds");
      const bool fits = decoding.form == Form::deterministic ? last < key : map.find(key) == nullptr;
      if (!fits) return fail(Errc::not_canonical, "map keys out of order or repeated");
    }
    NMP_TRY(auto value, read_value(reader, depth + 1, decoding));
    map.add(std::move(key), std::move(value));
  }
  return Value(std::move(map));
}

}  // namespace

Result<Head> read_head(Reader& reader) {
  auto initial = reader.u8();
  if (!initial) return fail(Errc::malformed, "truncated");
  Head head{.major = static_cast<Major>(*initial >> 5), .info = static_cast<std::uint8_t>(*initial & 31), .value = 0};
  if (head.info < 24) {
    head.value = head.info;
    return head;
  }
  if (head.info > 27) return fail(Errc::malformed, "indefinite or reserved length");
  if (head.major == Major::simple) return fail(Errc::malformed, "float or unknown simple value");
  auto bytes = reader.take(std::size_t{1} << (head.info - 24));
  if (!bytes) return fail(Errc::malformed, "truncated");
  for (auto byte : *bytes) head.value = head.value << 8 | std::to_integer<std::uint64_t>(byte);
  // RFC 8949 section 4.2.1: the shortest form of the argument.
  static constexpr std::array<std::uint64_t, 4> kLeast = {24, 0x100, 0x1'0000, 0x1'0000'0000};
  if (head.value < kLeast[head.info - 24U]) return fail(Errc::not_canonical, "longer form than needed");
  return head;
}

void write_head(Writer& writer, Major major, std::uint64_t value) {
  auto initial = [&](unsigned info) {
    writer.u8(static_cast<std::uint8_t>(unsigned{std::to_underlying(major)} << 5 | info));
  };
  if (value < 24) {
    initial(static_cast<unsigned>(value));
  } else if (value < 0x100) {
    initial(24);
    writer.u8(static_cast<std::uint8_t>(value));
  } else if (value < 0x1'0000) {
    initial(25);
    writer.u16be(static_cast<std::uint16_t>(value));
  } else if (value < 0x1'0000'0000) {
    initial(26);
    writer.u32be(static_cast<std::uint32_t>(value));
  } else {
    initial(27);
    writer.u64be(value);
  }
}

Result<Value> read_value(Reader& reader, std::size_t depth, Decoding& decoding) {
  if (depth > decoding.depth_max) return fail(Errc::too_deep);
  if (decoding.items_left == 0) return fail(Errc::too_large, "CBOR items");
  --decoding.items_left;
  NMP_TRY(auto head, read_head(reader));
  switch (head.major) {
    case Major::uint: return Value(head.value);
    case Major::negative: return Value(Negative{head.value});
    case Major::bytes:
    case Major::text: {
      if (head.value > reader.size()) return fail(Errc::malformed, "truncated");
      NMP_TRY(auto bytes, reader.take(head.value));
      if (head.major == Major::bytes) return Value(bytes);
      if (!is_utf8(text_of(bytes))) return fail(Errc::malformed, "text is not UTF-8");
      return Value(text_of(bytes));
    }
    case Major::array: {
      if (head.value > reader.size()) return fail(Errc::malformed, "truncated");
      if (head.value > decoding.items_left) return fail(Errc::too_large, "CBOR items");
      Array array;
      array.reserve(head.value);
      for (std::uint64_t i = 0; i < head.value; ++i) {
        NMP_TRY(auto item, read_value(reader, depth + 1, decoding));
        array.push_back(std::move(item));
      }
      return Value(std::move(array));
    }
    case Major::map: return read_map(reader, head.value, depth, decoding);
    case Major::tag: return fail(Errc::malformed, "tag");
    case Major::simple:
      switch (head.value) {
        case kFalse: return Value(false);
        case kTrue: return Value(true);
        case kNull: return Value(nullptr);
        default: return fail(Errc::malformed, "unknown simple value");
      }
  }
  return fail(Errc::malformed);
}

void write_value(Writer& writer, const Value& value, std::size_t depth) {
  NMP_ASSERT(depth <= crypto::kCborDepthMax);
  auto text = [&](const std::string& string) {
    NMP_ASSERT(is_utf8(string));
    write_head(writer, Major::text, string.size());
    writer.text(string);
  };
  std::visit(Overloaded{
                 [&](std::nullptr_t) { write_head(writer, Major::simple, kNull); },
                 [&](bool flag) { write_head(writer, Major::simple, flag ? kTrue : kFalse); },
                 [&](std::uint64_t number) { write_head(writer, Major::uint, number); },
                 [&](const Negative& number) { write_head(writer, Major::negative, number.n); },
                 [&](const Bytes& bytes) {
                   write_head(writer, Major::bytes, bytes.size());
                   writer.bytes(bytes);
                 },
                 [&](const std::string& string) { text(string); },
                 [&](const Array& array) {
                   write_head(writer, Major::array, array.size());
                   for (const auto& item : array) write_value(writer, item, depth + 1);
                 },
                 [&](const Map& map) {
                   write_head(writer, Major::map, map.size());
                   for (const auto& entry : map.entries()) {
                     if (entry.key.is_text()) {
                       text(entry.key.text());
                     } else {
                       write_head(writer, Major::uint, entry.key.number());
                     }
                     write_value(writer, entry.value, depth + 1);
                   }
                 },
             },
             value.variant());
}

}  // namespace nmp::cbor
