#pragma once

#include "base/codec.hpp"
#include "crypto/cbor.hpp"

/// The byte level of cbor.hpp, for cbor.cpp and cose.cpp only.
namespace nmp::cbor {

/// RFC 8949 section 3.1.
enum class Major : std::uint8_t {
  uint = 0,
  negative = 1,
  bytes = 2,
  text = 3,
  array = 4,
  map = 5,
  tag = 6,
  simple = 7
};

struct Head {
  Major major;
  std::uint8_t info;    ///< the five low bits, which for `simple` are the value
  std::uint64_t value;  ///< the argument
};

/// Errors (crypto::Errc): malformed (also indefinite lengths), not_canonical (a longer form than needed).
Result<Head> read_head(Reader& reader);
void write_head(Writer& writer, Major major, std::uint64_t value);

/// What is left of one object's budget while it is read.
struct Decoding {
  Form form;
  std::size_t depth_max;
  std::size_t items_left;
};

/// `depth` counts from 1.
Result<Value> read_value(Reader& reader, std::size_t depth, Decoding& decoding);
void write_value(Writer& writer, const Value& value, std::size_t depth);

}  // namespace nmp::cbor
