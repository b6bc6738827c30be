#include "crypto/cose.hpp"

#include "crypto/cbor.hpp"
#include "crypto/cbor_codec.hpp"
#include "crypto/errors.hpp"
#include "crypto/hash.hpp"
#include "crypto/limits.hpp"

namespace nmp::cose {

using crypto::Errc;

namespace {

/// RFC 9052: tag of COSE_Sign1 (table 1), header labels alg and kid (table 3); RFC 9596: typ. RFC 9053, table 2: EdDSA.
constexpr std::uint64_t kSign1Tag = 18;
constexpr int kAlg = 1;
constexpr int kKid = 4;
constexpr int kTyp = 16;
constexpr int kEdDsa = -8;

Bytes protected_header(std::string_view typ, ByteView kid) {
  return cbor::encode(cbor::Map{{kAlg, kEdDsa}, {kKid, kid}, {kTyp, typ}});
}

/// Sig_structure, RFC 9052 section 4.4.
Bytes to_be_signed(ByteView header, ByteView payload) {
  return cbor::encode(cbor::Array{"Signature1", header, Bytes{}, payload});
}

bool names(ByteView kid, const crypto::Ed25519PublicKey& key) {
  return equal(kid, kid_of_peer(key)) || equal(kid, kid_of_key(key));
}

}  // namespace

Bytes kid_of_peer(const crypto::Ed25519PublicKey& key) {
  // libp2p peer-ids.md: identity multihash (00, 36 bytes) of the protobuf {1: Ed25519, 2: 32 bytes}.
  static constexpr ByteArray<6> kPrefix = {std::byte{0x00}, std::byte{0x24}, std::byte{0x08},
                                           std::byte{0x01}, std::byte{0x12}, std::byte{0x20}};
  return concat({kPrefix, key.bytes()});
}

Bytes kid_of_key(const crypto::Ed25519PublicKey& key) { return to_bytes(ByteView(crypto::sha256(key.bytes()))); }

Bytes sign1(std::string_view typ, ByteView kid, ByteView payload, const crypto::Ed25519KeyPair& key) {
  NMP_ASSERT(!typ.empty() && typ.size() <= crypto::kCoseTypBytesMax);
  NMP_ASSERT(names(kid, key.public_key()));
  auto header = protected_header(typ, kid);
  auto signature = key.sign(to_be_signed(header, payload));
  Writer writer;
  cbor::write_head(writer, cbor::Major::tag, kSign1Tag);
  cbor::write_value(writer, cbor::Array{header, cbor::Map(), payload, signature}, 1);
  return writer.take();
}

Result<Sign1> parse(ByteView bytes) {
  if (bytes.size() > crypto::kCoseBytesMax) return fail(Errc::too_large, "COSE");
  Reader reader(bytes);
  NMP_TRY(auto tag, cbor::read_head(reader));
  if (tag.major != cbor::Major::tag || tag.value != kSign1Tag) return fail(Errc::malformed, "not a COSE_Sign1 tag");
  NMP_TRY(auto object, cbor::decode(reader.rest()));
  const auto* parts = std::get_if<cbor::Array>(&object.variant());
  if (parts == nullptr || parts->size() != 4) return fail(Errc::malformed, "not a COSE_Sign1 array");
  const auto* header_bytes = std::get_if<Bytes>(&(*parts)[0].variant());
  const auto* unprotected = std::get_if<cbor::Map>(&(*parts)[1].variant());
  const auto* payload = std::get_if<Bytes>(&(*parts)[2].variant());
  auto signature = (*parts)[3].as_byte_array<64>();
  if (header_bytes == nullptr || unprotected == nullptr || payload == nullptr || !signature) {
    return fail(Errc::malformed, "COSE_Sign1 parts");
  }
  if (unprotected->size() != 0) return fail(Errc::malformed, "unprotected header");

  NMP_TRY(auto header, cbor::decode_map(*header_bytes));
  const auto* alg = header.find(kAlg);
  const auto* kid = header.find(kKid);
  const auto* typ = header.find(kTyp);
  if (header.size() != 3 || alg == nullptr || kid == nullptr || typ == nullptr) return fail(Errc::malformed, "header");
  if (!(*alg == cbor::Value(kEdDsa))) return fail(Errc::malformed, "alg");
  auto kid_bytes = kid->as_bytes();
  auto typ_text = typ->as_text();
  if (!kid_bytes || !typ_text) return fail(Errc::malformed, "kid or typ");
  if (kid_bytes->size() > crypto::kCoseKidBytesMax || typ_text->size() > crypto::kCoseTypBytesMax) {
    return fail(Errc::too_large, "kid or typ");
  }
  return Sign1{
      .typ = std::string(*typ_text), .kid = to_bytes(*kid_bytes), .payload = *payload, .signature = *signature};
}

Result<Sign1> verify(ByteView bytes, std::string_view expected_typ, const crypto::Ed25519PublicKey& key) {
  NMP_TRY(auto object, parse(bytes));
  if (object.typ != expected_typ) return fail(Errc::wrong_type, "COSE typ");
  if (!names(object.kid, key)) return fail(Errc::wrong_key, "COSE kid");
  // The header as re-encoded is the header as received: `parse` takes one encoding only.
  auto signed_bytes = to_be_signed(protected_header(object.typ, object.kid), object.payload);
  if (!key.verify(signed_bytes, object.signature)) return fail(Errc::invalid_signature);
  return object;
}

}  // namespace nmp::cose
