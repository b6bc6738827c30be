#pragma once

#include "base/result.hpp"

namespace nmp::pq {

enum class Errc {
  invalid_key = 1,  ///< Wrong size, or it fails the checks of FIPS 203, sections 7.2 and 7.3.
  malformed,        ///< A ciphertext of the wrong size.
  internal,         ///< The library gave up; its outputs were erased.
};
std::error_code make_error_code(Errc code);

}  // namespace nmp::pq

template <>
struct std::is_error_code_enum<nmp::pq::Errc> : std::true_type {};
