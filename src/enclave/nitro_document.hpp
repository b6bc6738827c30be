#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "crypto/cose_es384.hpp"

namespace nmp::enclave {

/// What a Nitro security module signed (AWS Nitro Enclaves, "Cryptographic attestation", attestation document), within
/// the bounds of limits.hpp. Departs from AWS's text where genuine documents do: an optional field may be null.
struct NitroDocument {
  std::string module_id;            ///< Escape it.
  std::uint64_t timestamp_ms = 0;   ///< Unix time.
  std::map<unsigned, Bytes> pcrs;   ///< Index 0 to 31; 32, 48 or 64 bytes, all of one size.
  Bytes certificate;                ///< The leaf, DER.
  std::vector<Bytes> cabundle;      ///< Its issuers, the root first, DER.
  std::optional<Bytes> public_key;  ///< 1 to 1024 bytes
  std::optional<Bytes> user_data;   ///< at most 512
  std::optional<Bytes> nonce;       ///< at most 512
};

struct ReceivedNitroDocument {
  NitroDocument document;
  cose::Es384Sign1 cose;
};

/// Reads without judging anything signed. Errors (Errc): malformed, too_large, wrong_algorithm.
Result<ReceivedNitroDocument> parse_nitro_document(ByteView bytes);

}  // namespace nmp::enclave
