#include "enclave/nitro_document.hpp"

#include "crypto/cbor.hpp"
#include "crypto/errors.hpp"
#include "enclave/errors.hpp"
#include "enclave/limits.hpp"

namespace nmp::enclave {
namespace {

std::unexpected<Error> malformed(const std::string& words) { return fail(Errc::malformed, words); }

Result<Bytes> sized_bytes(const cbor::Value& value, const char* name, std::size_t least, std::size_t most) {
  auto bytes = value.as_bytes();
  if (!bytes) return malformed(std::string(name) + " is not bytes");
  if (bytes->size() < least || bytes->size() > most) return malformed(std::string(name) + " is of a wrong size");
  return to_bytes(*bytes);
}

Result<std::optional<Bytes>> optional_bytes(cbor::MapReader& reader,
                                            const char* name,
                                            std::size_t least,
                                            std::size_t most) {
  const auto* value = reader.maybe(name);
  if (value == nullptr || value->is_null()) return std::optional<Bytes>();
  NMP_TRY(auto bytes, sized_bytes(*value, name, least, most));
  return std::optional(std::move(bytes));
}

Result<std::map<unsigned, Bytes>> read_pcrs(const cbor::Map& map) {
  if (map.size() == 0 || map.size() > kPcrsMax) return malformed("pcrs holds 1 to 32 registers");
  std::map<unsigned, Bytes> out;
  std::optional<std::size_t> size;
  for (const auto& [key, value] : map.entries()) {
    if (key.is_text() || key.number() >= kPcrsMax) return malformed("pcrs has an index of 32 or more");
    NMP_TRY(auto bytes, sized_bytes(value, "a register", 32, 64));
    // SHA-256, SHA-384, SHA-512.
    if (bytes.size() != 32 && bytes.size() != 48 && bytes.size() != 64)
      return malformed("a register is of a wrong size");
    if (size.value_or(bytes.size()) != bytes.size()) return malformed("registers are of several sizes");
    size = bytes.size();
    out.emplace(static_cast<unsigned>(key.number()), std::move(bytes));
  }
  return out;
}

Result<NitroDocument> read_payload(ByteView payload) {
  auto value = cbor::decode_foreign(
      payload, {.bytes_max = kNitroDocumentBytesMax, .depth_max = kNitroDepthMax, .items_max = kNitroItemsMax});
  if (!value) return malformed("payload: " + value.error().message());
  const auto* map = std::get_if<cbor::Map>(&value->variant());
  if (map == nullptr) return malformed("the payload is not a map");
  cbor::MapReader reader(*map);
  NitroDocument out;
  auto module_id = reader.text("module_id");
  auto digest = reader.text("digest");
  auto timestamp = reader.uint("timestamp");
  auto pcrs = reader.map("pcrs");
  auto bundle = reader.array("cabundle");
  auto certificate = reader.need("certificate");
  if (!module_id || module_id->empty()) return malformed("module_id");
  if (!digest || *digest != "SHA384") return malformed("digest is not SHA384");
  if (!timestamp || *timestamp == 0) return malformed("timestamp");
  if (!pcrs) return malformed("pcrs");
  if (!bundle || (*bundle)->empty() || (*bundle)->size() > kNitroBundleMax) return malformed("cabundle");
  if (!certificate) return malformed("certificate");
  out.module_id = *module_id;
  out.timestamp_ms = *timestamp;
  NMP_TRY(out.pcrs, read_pcrs(**pcrs));
  NMP_TRY(out.certificate, sized_bytes(**certificate, "certificate", 1, kNitroCertificateBytesMax));
  for (const auto& one : **bundle) {
    NMP_TRY(auto der, sized_bytes(one, "a certificate of cabundle", 1, kNitroCertificateBytesMax));
    out.cabundle.push_back(std::move(der));
  }
  NMP_TRY(out.public_key, optional_bytes(reader, "public_key", 1, kNitroPublicKeyBytesMax));
  NMP_TRY(out.user_data, optional_bytes(reader, "user_data", 0, kNitroUserDataBytesMax));
  NMP_TRY(out.nonce, optional_bytes(reader, "nonce", 0, kNitroNonceBytesMax));
  return out;
}

}  // namespace

Result<ReceivedNitroDocument> parse_nitro_document(ByteView bytes) {
  auto cose = cose::parse_es384(bytes, kNitroDocumentBytesMax);
  if (!cose) {
    const auto code = cose.error().code;
    const auto ours = code == crypto::Errc::too_large    ? Errc::too_large
                      : code == crypto::Errc::wrong_type ? Errc::wrong_algorithm
                                                         : Errc::malformed;
    return fail(ours, cose.error().message());
  }
  NMP_TRY(auto document, read_payload(cose->payload));
  return ReceivedNitroDocument{.document = std::move(document), .cose = *std::move(cose)};
}

}  // namespace nmp::enclave
