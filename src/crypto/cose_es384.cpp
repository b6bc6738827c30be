#include "crypto/cose_es384.hpp"

#include "crypto/cbor.hpp"
#include "crypto/errors.hpp"

namespace nmp::cose {

using crypto::Errc;

namespace {

/// RFC 9052: header label alg (table 3) and tag of COSE_Sign1 (table 1), one byte. RFC 9053, table 1: ES384.
constexpr int kAlg = 1;
constexpr int kEs384 = -35;
constexpr std::byte kSign1Tag{0xd2};
/// The array, its maps and bytes; the payload is one byte string and read by whoever knows it.
constexpr std::size_t kDepthMax = 2;
constexpr std::size_t kItemsMax = 5;

Bytes protected_header() { return cbor::encode(cbor::Map{{kAlg, kEs384}}); }

}  // namespace

Result<Es384Sign1> parse_es384(ByteView bytes, std::size_t bytes_max) {
  if (bytes.size() > bytes_max) return fail(Errc::too_large, "COSE");
  if (!bytes.empty() && bytes[0] == kSign1Tag) bytes = bytes.subspan(1);
  NMP_TRY(auto object,
          cbor::decode_foreign(bytes, {.bytes_max = bytes_max, .depth_max = kDepthMax, .items_max = kItemsMax}));
  const auto* parts = std::get_if<cbor::Array>(&object.variant());
  if (parts == nullptr || parts->size() != 4) return fail(Errc::malformed, "not a COSE_Sign1 array");
  const auto* header = std::get_if<Bytes>(&(*parts)[0].variant());
  const auto* unprotected = std::get_if<cbor::Map>(&(*parts)[1].variant());
  const auto* payload = std::get_if<Bytes>(&(*parts)[2].variant());
  if (header == nullptr || unprotected == nullptr || payload == nullptr)
    return fail(Errc::malformed, "COSE_Sign1 parts");
  if (unprotected->size() != 0) return fail(Errc::malformed, "unprotected header");
  auto signature = (*parts)[3].as_byte_array<96>();
  if (!signature) return fail(Errc::malformed, "an ES384 signature has 96 bytes");
  // One header is allowed, and it has one encoding.
  if (*header != protected_header()) return fail(Errc::wrong_type, "COSE alg is not ES384, or the header says more");
  return Es384Sign1{.payload = *payload, .signature = *signature};
}

Bytes es384_signed_bytes(ByteView payload) {
  return cbor::encode(cbor::Array{"Signature1", protected_header(), Bytes{}, payload});
}

bool verify_es384(const Es384Sign1& object, const crypto::EcdsaPublicKey& key) {
  return key.curve() == crypto::Curve::p384 && key.verify(es384_signed_bytes(object.payload), object.signature);
}

Bytes write_es384(ByteView payload, const ByteArray<96>& signature) {
  return cbor::encode(cbor::Array{protected_header(), cbor::Map(), payload, signature});
}

}  // namespace nmp::cose
