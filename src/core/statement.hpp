#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/time.hpp"
#include "core/errc.hpp"
#include "crypto/cbor.hpp"
#include "crypto/cose.hpp"
#include "crypto/hash.hpp"
#include "libp2p/peer/peer_id.hpp"

/// What all signed statements of this room share. For its .cpp files.
namespace nmp::core::statement {

struct Parsed {
  libp2p::PeerId kid;
  cbor::Map map;
};
/// Size, COSE form, typ, payload map. Errors: too_large, bad_statement, wrong_kid (not an Ed25519 peer), crypto's
/// codes.
Result<Parsed> parse(ByteView cose, std::size_t size_max, std::string_view typ, std::string_view name);
/// Errors: wrong_kid unless `signer` is the key's peer, too_large.
Result<Bytes> sign(std::string_view typ,
                   cbor::Map map,
                   const libp2p::PeerId& signer,
                   const crypto::Ed25519KeyPair& key,
                   std::size_t size_max);
/// Errors: bad_signature, wrong_kid.
Result<void> verify(ByteView cose, std::string_view typ, const libp2p::PeerId& signer);

/// cbor's "not of the schema" codes become bad_statement; all others pass.
[[nodiscard]] Error schema_error(Error error);

/// Typed reads of what statements hold.
Result<libp2p::PeerId> peer(const cbor::Value& value);
Result<UnixSeconds> time(const cbor::Value& value);
Result<std::string> short_text(const cbor::Value& value, std::size_t size_max);
Result<std::optional<crypto::Digest>> maybe_digest(const cbor::Value& value);
Result<void> version(cbor::MapReader& reader);

template <class T>
[[nodiscard]] cbor::Value or_null(const std::optional<T>& value) {
  return value ? cbor::Value(*value) : cbor::Value(nullptr);
}

}  // namespace nmp::core::statement
