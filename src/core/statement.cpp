#include "core/statement.hpp"

#include "base/encoding.hpp"
#include "crypto/errors.hpp"

namespace nmp::core::statement {

Error schema_error(Error error) {
  if (error.code == crypto::Errc::wrong_type || error.code == crypto::Errc::missing_field ||
      error.code == crypto::Errc::unknown_field) {
    return Error{make_error_code(Errc::bad_statement), error.message()};
  }
  return error;
}

Result<Parsed> parse(ByteView cose, std::size_t size_max, std::string_view typ, std::string_view name) {
  if (cose.size() > size_max) return fail(nmp::Errc::too_large, std::string(name));
  NMP_TRY(auto sign1, cose::parse(cose));
  if (sign1.typ != typ) return fail(Errc::bad_statement, "typ is not " + std::string(typ));
  auto kid = libp2p::PeerId::from_bytes(sign1.kid);
  if (!kid || !kid->ed25519_key()) return fail(Errc::wrong_kid, "kid is not the peer ID of an Ed25519 key");
  NMP_TRY(auto map, cbor::decode_map(sign1.payload));
  return Parsed{.kid = *kid, .map = std::move(map)};
}

Result<Bytes> sign(std::string_view typ,
                   cbor::Map map,
                   const libp2p::PeerId& signer,
                   const crypto::Ed25519KeyPair& key,
                   std::size_t size_max) {
  if (libp2p::PeerId::of(key.public_key()) != signer)
    return fail(Errc::wrong_kid, "the statement names another signer");
  auto cose = cose::sign1(typ, cose::kid_of_peer(key.public_key()), cbor::encode(std::move(map)), key);
  if (cose.size() > size_max) return fail(nmp::Errc::too_large, std::string(typ));
  return cose;
}

Result<void> verify(ByteView cose, std::string_view typ, const libp2p::PeerId& signer) {
  auto key = signer.ed25519_key();
  if (!key) return fail(Errc::wrong_kid, "signer has no Ed25519 key");
  auto sign1 = cose::verify(cose, typ, *key);
  if (!sign1) {
    if (sign1.error().code == crypto::Errc::wrong_key) return fail(Errc::wrong_kid);
    return fail(Errc::bad_signature, sign1.error().message());
  }
  // cose takes either form of kid; a statement of an identity key carries the peer's.
  if (!equal(sign1->kid, signer.bytes())) return fail(Errc::wrong_kid);
  return {};
}

Result<libp2p::PeerId> peer(const cbor::Value& value) {
  auto bytes = value.as_bytes();
  if (!bytes) return fail(schema_error(std::move(bytes).error()));
  auto id = libp2p::PeerId::from_bytes(*bytes);
  if (!id || !id->ed25519_key()) return fail(Errc::bad_statement, "not the peer ID of an Ed25519 key");
  return *id;
}

Result<UnixSeconds> time(const cbor::Value& value) {
  auto seconds = value.as_uint();
  if (!seconds) return fail(schema_error(std::move(seconds).error()));
  // Far enough for sums with lives and skews not to overflow.
  if (*seconds > (1ULL << 53)) return fail(Errc::bad_statement, "time");
  return static_cast<UnixSeconds>(*seconds);
}

Result<std::string> short_text(const cbor::Value& value, std::size_t size_max) {
  auto text = value.as_text();
  if (!text) return fail(schema_error(std::move(text).error()));
  if (text->size() > size_max) return fail(nmp::Errc::too_large, "text in a statement");
  return std::string(*text);
}

Result<std::optional<crypto::Digest>> maybe_digest(const cbor::Value& value) {
  if (value.is_null()) return std::optional<crypto::Digest>();
  auto digest = value.as_byte_array<32>();
  if (!digest) return fail(schema_error(std::move(digest).error()));
  return std::optional<crypto::Digest>(*digest);
}

Result<void> version(cbor::MapReader& reader) {
  NMP_TRY(auto value, reader.uint(1));
  if (value != 1) return fail(Errc::bad_statement, "version");
  return {};
}

}  // namespace nmp::core::statement
