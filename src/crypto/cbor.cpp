#include "crypto/cbor.hpp"

#include <limits>

#include "base/encoding.hpp"
#include "crypto/cbor_codec.hpp"
#include "crypto/errors.hpp"
#include "crypto/limits.hpp"

namespace nmp::cbor {

using crypto::Errc;

std::string Key::describe() const { return is_text() ? escape_text(text(), 32) : std::to_string(number()); }

bool operator<(const Key& a, const Key& b) {
  if (a.key_.index() != b.key_.index()) return a.key_.index() < b.key_.index();
  if (!a.is_text()) return a.number() < b.number();
  if (a.text().size() != b.text().size()) return a.text().size() < b.text().size();
  return a.text() < b.text();
}

Map::Map() = default;
Map::Map(std::initializer_list<Entry> entries) {
  for (const auto& entry : entries) add(entry.key, entry.value);
}
Map::Map(const Map&) = default;
Map::Map(Map&&) noexcept = default;
Map& Map::operator=(const Map&) = default;
Map& Map::operator=(Map&&) noexcept = default;
Map::~Map() = default;

std::size_t Map::size() const { return entries_.size(); }

Map& Map::add(Key key, Value value) {
  auto at = std::ranges::lower_bound(entries_, key, std::less<>{}, &Entry::key);
  NMP_ASSERT(at == entries_.end() || !(at->key == key));
  NMP_ASSERT(entries_.empty() || entries_.front().key.is_text() == key.is_text());
  entries_.insert(at, Entry{std::move(key), std::move(value)});
  return *this;
}

const Value* Map::find(const Key& key) const {
  auto at = std::ranges::lower_bound(entries_, key, std::less<>{}, &Entry::key);
  return at != entries_.end() && at->key == key ? &at->value : nullptr;
}

bool operator==(const Map& a, const Map& b) { return a.entries_ == b.entries_; }
bool operator==(const Value& a, const Value& b) { return a.value_ == b.value_; }

Result<std::uint64_t> Value::as_uint() const {
  if (const auto* number = std::get_if<std::uint64_t>(&value_)) return *number;
  return fail(Errc::wrong_type, "unsigned integer");
}

Result<std::int64_t> Value::as_int() const {
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (const auto* number = std::get_if<std::uint64_t>(&value_)) {
    if (*number > kMax) return fail(Errc::too_large, "integer");
    return static_cast<std::int64_t>(*number);
  }
  if (const auto* number = std::get_if<Negative>(&value_)) {
    if (number->n > kMax) return fail(Errc::too_large, "integer");
    return -1 - static_cast<std::int64_t>(number->n);
  }
  return fail(Errc::wrong_type, "integer");
}

Result<ByteView> Value::as_bytes() const {
  if (const auto* bytes = std::get_if<Bytes>(&value_)) return ByteView(*bytes);
  return fail(Errc::wrong_type, "bytes");
}

Result<std::string_view> Value::as_text() const {
  if (const auto* text = std::get_if<std::string>(&value_)) return std::string_view(*text);
  return fail(Errc::wrong_type, "text");
}

Result<bool> Value::as_bool() const {
  if (const auto* flag = std::get_if<bool>(&value_)) return *flag;
  return fail(Errc::wrong_type, "boolean");
}

Result<const Array*> Value::as_array() const {
  if (const auto* array = std::get_if<Array>(&value_)) return array;
  return fail(Errc::wrong_type, "array");
}

Result<const Map*> Value::as_map() const {
  if (const auto* map = std::get_if<Map>(&value_)) return map;
  return fail(Errc::wrong_type, "map");
}

Result<void> Value::copy_bytes(std::span<std::byte> out) const {
  NMP_TRY(auto bytes, as_bytes());
  if (bytes.size() != out.size()) return fail(Errc::wrong_type, "bytes of another size");
  std::ranges::copy(bytes, out.begin());
  return {};
}

Result<const Value*> MapReader::need(const Key& key) {
  const auto* value = maybe(key);
  if (value == nullptr) return fail(Errc::missing_field, key.describe());
  return value;
}

const Value* MapReader::maybe(const Key& key) {
  const auto* value = map_.find(key);
  if (value != nullptr) read_.insert(key);
  return value;
}

Result<std::uint64_t> MapReader::uint(const Key& key) {
  NMP_TRY(const Value* value, need(key));
  return value->as_uint();
}
Result<ByteView> MapReader::bytes(const Key& key) {
  NMP_TRY(const Value* value, need(key));
  return value->as_bytes();
}
Result<std::string_view> MapReader::text(const Key& key) {
  NMP_TRY(const Value* value, need(key));
  return value->as_text();
}
Result<const Array*> MapReader::array(const Key& key) {
  NMP_TRY(const Value* value, need(key));
  return value->as_array();
}
Result<const Map*> MapReader::map(const Key& key) {
  NMP_TRY(const Value* value, need(key));
  return value->as_map();
}

Result<void> MapReader::done() const {
  for (const auto& entry : map_.entries()) {
    if (!read_.contains(entry.key)) return fail(Errc::unknown_field, entry.key.describe());
  }
  return {};
}

Bytes encode(const Value& value) {
  Writer writer;
  write_value(writer, value, 1);
  return writer.take();
}

Result<Value> decode(ByteView bytes) {
  if (bytes.size() > crypto::kCborBytesMax) return fail(Errc::too_large, "CBOR");
  Reader reader(bytes);
  Decoding decoding{
      .form = Form::deterministic, .depth_max = crypto::kCborDepthMax, .items_left = crypto::kCborItemsMax};
  NMP_TRY(auto value, read_value(reader, 1, decoding));
  if (!reader.empty()) return fail(Errc::malformed, "bytes after the CBOR value");
  // The reader refuses other forms one by one; this holds even where it would overlook one.
  if (encode(value) != to_bytes(bytes)) return fail(Errc::not_canonical);
  return value;
}

Result<Value> decode_foreign(ByteView bytes, const ForeignRules& rules) {
  if (bytes.size() > rules.bytes_max) return fail(Errc::too_large, "CBOR");
  Reader reader(bytes);
  Decoding decoding{.form = Form::any_order,
                    .depth_max = std::min(rules.depth_max, crypto::kCborDepthMax),
                    .items_left = std::min(rules.items_max, crypto::kCborItemsMax)};
  NMP_TRY(auto value, read_value(reader, 1, decoding));
  if (!reader.empty()) return fail(Errc::malformed, "bytes after the CBOR value");
  return value;
}

Result<Map> decode_map(ByteView bytes) {
  NMP_TRY(auto value, decode(bytes));
  NMP_TRY(const Map* map, value.as_map());
  return *map;
}

}  // namespace nmp::cbor
