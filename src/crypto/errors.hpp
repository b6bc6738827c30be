#pragma once

#include "base/result.hpp"

namespace nmp::crypto {

enum class Errc {
  invalid_key = 1,    ///< Not a key of its kind: wrong size, non-canonical, of small order, or all-zero result.
  invalid_signature,  ///< The signature does not verify, or its scalar is out of range.
  forged,             ///< AEAD tag mismatch. Says no more, so that nobody learns why.
  malformed,          ///< Not CBOR, or not COSE, of our profile.
  not_canonical,      ///< CBOR that has another, shorter or ordered, form; or a repeated map key.
  too_large,          ///< Over a ceiling of limits.hpp.
  too_deep,           ///< CBOR nesting over kCborDepthMax.
  wrong_type,         ///< A CBOR item of another type than asked for, or a COSE `typ` other than the one expected.
  missing_field,      ///< A CBOR map lacks a key that is required.
  unknown_field,      ///< A CBOR map has a key that nobody reads.
  wrong_key,          ///< The COSE `kid` names another key.
};
std::error_code make_error_code(Errc code);

}  // namespace nmp::crypto

template <>
struct std::is_error_code_enum<nmp::crypto::Errc> : std::true_type {};
