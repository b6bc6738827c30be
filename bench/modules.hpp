#pragma once

#include "base/bytes.hpp"
#include "sandbox/testing.hpp"

namespace nmp::bench {

/// The least that the guardian takes for a filter.
inline Bytes empty_filter() {
  return sandbox::wat(R"((module (memory (export "memory") 1) (func (export "_start"))))");
}

/// The same module under a hash that no cache knows: with one more custom section (Wasm core 1.0, section 5.5.3).
inline Bytes with_new_hash(Bytes module, const ByteArray<32>& salt) {
  constexpr ByteArray<3> kHead{std::byte{0}, std::byte{2 + 32}, std::byte{1}};
  append(module, kHead);
  module.push_back(std::byte{'b'});
  append(module, salt);
  return module;
}

}  // namespace nmp::bench
