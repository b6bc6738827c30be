#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/ecdsa.hpp"

/// COSE_Sign1 (RFC 9052 section 4.2) as security modules make it: ES384 and nothing else, with or without tag 18,
/// protected header exactly {1: -35}, unprotected header empty, payload attached. Our own statements have another form:
/// cose.hpp.
namespace nmp::cose {

struct Es384Sign1 {
  Bytes payload;
  ByteArray<96> signature;  ///< r || s
};

/// Reads without judging the signature. Errors (crypto::Errc): malformed, not_canonical, too_large, wrong_type (another
/// algorithm).
Result<Es384Sign1> parse_es384(ByteView bytes, std::size_t bytes_max);

/// What is signed: Sig_structure of RFC 9052 section 4.4 with no external data.
[[nodiscard]] Bytes es384_signed_bytes(ByteView payload);

/// Whether `key`, of P-384, signed it.
[[nodiscard]] bool verify_es384(const Es384Sign1& object, const crypto::EcdsaPublicKey& key);

/// The untagged object of these parts.
[[nodiscard]] Bytes write_es384(ByteView payload, const ByteArray<96>& signature);

}  // namespace nmp::cose
