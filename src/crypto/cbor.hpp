#pragma once

#include <concepts>
#include <initializer_list>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

/// Deterministic CBOR, RFC 8949 section 4.2.1, in the subset of security.md: integers, bytes, text, arrays, maps whose
/// keys are all unsigned integers or all text, true, false, null. No floats, no indefinite lengths; one tag only, in
/// cose.hpp. Every value has one encoding, and the decoder refuses all others; what others make, whose maps are in no
/// order, has a decoder of its own (decode_foreign).
namespace nmp::cbor {

class Value;
using Array = std::vector<Value>;

/// A map key, in the order of its encoding (RFC 8949 section 4.2.1: bytewise, so integers first, shorter text first).
class Key {
 public:
  template <std::unsigned_integral T>
  Key(T number) : key_(std::uint64_t{number}) {}  // NOLINT(google-explicit-constructor)
  /// A literal such as `1`. Never negative.
  Key(int number) : key_(static_cast<std::uint64_t>(number)) { NMP_ASSERT(number >= 0); }  // NOLINT
  Key(std::string text) : key_(std::move(text)) {}                                         // NOLINT
  Key(std::string_view text) : key_(std::string(text)) {}                                  // NOLINT
  Key(const char* text) : key_(std::string(text)) {}                                       // NOLINT

  [[nodiscard]] bool is_text() const { return key_.index() == 1; }
  [[nodiscard]] std::uint64_t number() const { return std::get<std::uint64_t>(key_); }   ///< only if not text
  [[nodiscard]] const std::string& text() const { return std::get<std::string>(key_); }  ///< only if text
  [[nodiscard]] std::string describe() const;                                            ///< for error contexts

  friend bool operator==(const Key&, const Key&) = default;
  friend bool operator<(const Key& a, const Key& b);

 private:
  std::variant<std::uint64_t, std::string> key_;
};

struct Entry;

/// Entries sorted by key, each key once, all of one kind.
class Map {
 public:
  Map();
  /// `Map{{1, "a"}, {2, bytes}}`. A repeated key, or keys of both kinds, is a bug of the caller (asserted).
  Map(std::initializer_list<Entry> entries);
  Map(const Map&);
  Map(Map&&) noexcept;
  Map& operator=(const Map&);
  Map& operator=(Map&&) noexcept;
  ~Map();

  /// Adds an entry. A key that is there already, or of the other kind, is a bug of the caller (asserted).
  Map& add(Key key, Value value);
  /// The value at `key`, or null. Lives as long as the map is unchanged.
  [[nodiscard]] const Value* find(const Key& key) const;
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  [[nodiscard]] std::size_t size() const;
  friend bool operator==(const Map& a, const Map& b);

 private:
  std::vector<Entry> entries_;
};

/// The negative integer -1 - n (RFC 8949 major type 1).
struct Negative {
  std::uint64_t n = 0;
  friend bool operator==(const Negative&, const Negative&) = default;
};

class Value {
 public:
  using Variant = std::variant<std::nullptr_t, bool, std::uint64_t, Negative, Bytes, std::string, Array, Map>;

  // Implicit on purpose: `encode(Array{"nmp/v1/key", 0, digest, run})` reads like the rule that it writes down.
  Value(std::nullptr_t) : value_(nullptr) {}  // NOLINT(google-explicit-constructor)
  template <std::same_as<bool> T>
  Value(T flag) : value_(flag) {}  // NOLINT
  template <std::integral T>
    requires(!std::same_as<T, bool> && !std::same_as<T, char>)
  Value(T number) : value_(nullptr) {  // NOLINT
    if (std::cmp_less(number, 0)) {
      value_ = Negative{static_cast<std::uint64_t>(-1 - static_cast<std::int64_t>(number))};
    } else {
      value_ = static_cast<std::uint64_t>(number);
    }
  }
  Value(Negative number) : value_(number) {}          // NOLINT
  Value(Bytes bytes) : value_(std::move(bytes)) {}    // NOLINT
  Value(ByteView bytes) : value_(to_bytes(bytes)) {}  // NOLINT
  template <std::size_t N>
  Value(const ByteArray<N>& bytes) : value_(to_bytes(ByteView(bytes))) {}  // NOLINT
  Value(std::string text) : value_(std::move(text)) {}                     // NOLINT
  Value(std::string_view text) : value_(std::string(text)) {}              // NOLINT
  Value(const char* text) : value_(std::string(text)) {}                   // NOLINT
  Value(Array items) : value_(std::move(items)) {}                         // NOLINT
  Value(Map map) : value_(std::move(map)) {}                               // NOLINT

  // Typed reads. Errors: wrong_type. Views and pointers live as long as the Value.
  [[nodiscard]] Result<std::uint64_t> as_uint() const;
  /// Errors: also too_large, outside int64.
  [[nodiscard]] Result<std::int64_t> as_int() const;
  [[nodiscard]] Result<ByteView> as_bytes() const;
  [[nodiscard]] Result<std::string_view> as_text() const;
  [[nodiscard]] Result<bool> as_bool() const;
  [[nodiscard]] Result<const Array*> as_array() const;
  [[nodiscard]] Result<const Map*> as_map() const;
  /// Bytes of exactly N.
  template <std::size_t N>
  [[nodiscard]] Result<ByteArray<N>> as_byte_array() const {
    ByteArray<N> out{};
    NMP_CHECK(copy_bytes(out));
    return out;
  }
  [[nodiscard]] bool is_null() const { return std::holds_alternative<std::nullptr_t>(value_); }
  [[nodiscard]] const Variant& variant() const { return value_; }

  friend bool operator==(const Value& a, const Value& b);

 private:
  Result<void> copy_bytes(std::span<std::byte> out) const;
  Variant value_;
};

struct Entry {
  Key key;
  Value value;
  friend bool operator==(const Entry&, const Entry&) = default;
};

/// Reads a map whose every key must be known: `need` and `maybe` tick keys off, `done` refuses what was not asked for.
/// Borrows the map.
class MapReader {
 public:
  explicit MapReader(const Map& map) : map_(map) {}
  /// Errors: missing_field.
  Result<const Value*> need(const Key& key);
  /// Null if the key is absent.
  [[nodiscard]] const Value* maybe(const Key& key);
  // `need`, then the typed read. Errors: missing_field, wrong_type.
  Result<std::uint64_t> uint(const Key& key);
  Result<ByteView> bytes(const Key& key);
  Result<std::string_view> text(const Key& key);
  Result<const Array*> array(const Key& key);
  Result<const Map*> map(const Key& key);
  template <std::size_t N>
  Result<ByteArray<N>> byte_array(const Key& key) {
    NMP_TRY(const Value* value, need(key));
    return value->as_byte_array<N>();
  }
  /// Errors: unknown_field.
  [[nodiscard]] Result<void> done() const;

 private:
  const Map& map_;
  std::set<Key> read_;
};

/// The one encoding of `value`. Nesting over kCborDepthMax or text that is not UTF-8 is a bug of the caller (asserted).
[[nodiscard]] Bytes encode(const Value& value);

/// Exactly one value in its one encoding, nothing after it.
/// Errors (crypto::Errc): malformed, not_canonical, too_deep, too_large (bytes or items, see limits.hpp).
Result<Value> decode(ByteView bytes);
/// The same for an object that is a map.
Result<Map> decode_map(ByteView bytes);

/// Whether map entries must be in the order of RFC 8949 section 4.2.1.
enum class Form { deterministic, any_order };

/// Ceilings of one foreign object; those of limits.hpp hold besides.
struct ForeignRules {
  std::size_t bytes_max;
  std::size_t depth_max;
  std::size_t items_max;
};

/// An object that another program made: as strict as `decode` (shortest heads, no key twice, nothing indefinite,
/// nothing after it), but with map entries in any order. It need not be its own re-encoding: hash and verify the bytes
/// received. Errors (crypto::Errc): as decode.
Result<Value> decode_foreign(ByteView bytes, const ForeignRules& rules);

}  // namespace nmp::cbor
