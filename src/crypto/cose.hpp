#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/ed25519.hpp"

/// COSE_Sign1 (RFC 9052 section 4.2) in the one form that security.md, "Encoding and keys", allows: tag 18, protected
/// header exactly {1: -8 (EdDSA), 4: kid, 16: typ}, unprotected header and external_aad empty, payload attached.
namespace nmp::cose {

struct Sign1 {
  std::string typ;
  Bytes kid;
  Bytes payload;
  crypto::Ed25519Signature signature;
};

/// The kid of a key that is a libp2p identity: the 38 bytes of its peer ID.
[[nodiscard]] Bytes kid_of_peer(const crypto::Ed25519PublicKey& key);
/// The kid of any other key: SHA-256 of its 32 bytes.
[[nodiscard]] Bytes kid_of_key(const crypto::Ed25519PublicKey& key);

/// Signs `payload` under `typ`, a media type such as "application/nmp-intent-v1+cose". `kid` is one of the two forms
/// above of this very key; another, or a `typ` over its ceiling, is a bug of the caller (asserted).
[[nodiscard]] Bytes sign1(std::string_view typ, ByteView kid, ByteView payload, const crypto::Ed25519KeyPair& key);

/// Reads without judging the signature: for finding out who claims to have signed. Trust nothing in it before `verify`.
/// Errors (crypto::Errc): malformed, not_canonical, too_large.
Result<Sign1> parse(ByteView bytes);

/// Errors: those of parse; wrong_type if `typ` differs, wrong_key if `kid` is neither form of `key`, invalid_signature.
Result<Sign1> verify(ByteView bytes, std::string_view expected_typ, const crypto::Ed25519PublicKey& key);

}  // namespace nmp::cose
