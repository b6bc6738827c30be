#pragma once

#include <optional>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace nmp {

/// Longest unsigned-varint of multiformats: 63 bits (github.com/multiformats/unsigned-varint).
inline constexpr std::size_t kUvarintBytesMax = 9;

/// The one place where input is walked: every step is bounds-checked and says `truncated` or `malformed`.
/// Borrows its input; views that it returns live as long as the input does.
class Reader {
 public:
  explicit Reader(ByteView input) : rest_(input) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }
  [[nodiscard]] std::size_t size() const { return rest_.size(); }
  [[nodiscard]] ByteView rest() const { return rest_; }

  Result<std::uint8_t> u8();
  Result<std::uint16_t> u16be();
  Result<std::uint32_t> u32be();
  Result<std::uint64_t> u64be();
  /// Multiformats varint: at most 9 bytes, minimal form only.
  Result<std::uint64_t> uvarint();
  /// Protobuf varint: at most 10 bytes, longer forms allowed.
  Result<std::uint64_t> protobuf_varint();
  /// Exactly `size` bytes.
  Result<ByteView> take(std::size_t size);
  /// uvarint length, then that many bytes; refused above `size_max` before anything is taken.
  Result<ByteView> length_prefixed(std::size_t size_max);
  /// Errors: malformed if anything is left.
  Result<void> done() const;

 private:
  template <class T>
  Result<T> big_endian();
  ByteView rest_;
};

/// Appends to a buffer that it owns.
class Writer {
 public:
  Writer& u8(std::uint8_t value);
  Writer& u16be(std::uint16_t value);
  Writer& u32be(std::uint32_t value);
  Writer& u64be(std::uint64_t value);
  /// Also the minimal protobuf varint.
  Writer& uvarint(std::uint64_t value);
  Writer& bytes(ByteView value);
  Writer& text(std::string_view value) { return bytes(bytes_of(value)); }
  Writer& length_prefixed(ByteView value);

  [[nodiscard]] std::size_t size() const { return out_.size(); }
  [[nodiscard]] ByteView view() const { return out_; }
  [[nodiscard]] Bytes take() { return std::move(out_); }

 private:
  Bytes out_;
};

/// One protobuf field as read from the wire: `number`, and either a varint/fixed `value` or `bytes`.
struct ProtobufField {
  std::uint32_t number = 0;
  std::uint8_t wire_type = 0;  ///< 0 varint, 1 fixed64, 2 length-delimited, 5 fixed32
  std::uint64_t value = 0;
  ByteView bytes;
};

/// Walks a protobuf message without allocating: nothing at its end, an error on groups or bad lengths.
/// For libp2p's small messages, whose caps and canonical forms a generated parser cannot check.
class ProtobufReader {
 public:
  explicit ProtobufReader(ByteView message) : reader_(message) {}
  Result<std::optional<ProtobufField>> next();

 private:
  Reader reader_;
};

/// Writes protobuf fields in the order of the calls.
class ProtobufWriter {
 public:
  ProtobufWriter& varint(std::uint32_t field, std::uint64_t value);
  ProtobufWriter& bytes(std::uint32_t field, ByteView value);
  ProtobufWriter& text(std::uint32_t field, std::string_view value) { return bytes(field, bytes_of(value)); }
  ProtobufWriter& fixed64(std::uint32_t field, std::uint64_t value);
  [[nodiscard]] std::size_t size() const { return out_.size(); }
  [[nodiscard]] ByteView view() const { return out_.view(); }
  [[nodiscard]] Bytes take() { return out_.take(); }

 private:
  Writer out_;
};

}  // namespace nmp
