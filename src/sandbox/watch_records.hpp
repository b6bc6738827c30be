#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/sealed_body.hpp"
#include "core/watch.hpp"
#include "libp2p/peer/peer_id.hpp"
#include "sandbox/watch_storage.hpp"

/// What stands in a watchdog's records, as deterministic CBOR. Nobody but the engine reads them.
namespace nmp::sandbox {

/// What it was deployed as; never changes.
struct WatchDefinition {
  explicit WatchDefinition(libp2p::PeerId by) : owner(std::move(by)) {}
  libp2p::PeerId owner;
  std::string capability;
  crypto::Digest module_hash{};
  crypto::Digest intent_hash{};
  core::Inputs inputs;
  WatchAuthorization allowed;  ///< What the answer to its intent said.
  UnixSeconds created = 0;
  UnixSeconds expires = 0;
};
[[nodiscard]] Bytes encode(const WatchDefinition& definition);
/// Errors: crypto's, core's.
Result<WatchDefinition> decode_definition(ByteView bytes);

/// How far it has come.
struct WatchRecord {
  Bytes state;  ///< Of the guest.
  core::WatchPhase phase = core::WatchPhase::starting;
  std::string reason;
  std::uint64_t starts = 0;
  std::uint64_t failures = 0;  ///< In a row.
  std::int64_t fuel_day = 0;
  std::uint64_t fuel_used = 0;
  std::uint64_t dropped = 0;
  friend bool operator==(const WatchRecord&, const WatchRecord&) = default;
};
[[nodiscard]] Bytes encode(const WatchRecord& record);
Result<WatchRecord> decode_record(ByteView bytes);

/// {1: limits, 2: policy, 3: [datasets]}: also in the engine's protocol.
[[nodiscard]] cbor::Value to_cbor(const WatchAuthorization& allowed);
Result<WatchAuthorization> watch_authorization_from_cbor(const cbor::Value& value);
/// What both allow, in every respect.
[[nodiscard]] WatchAuthorization minimum(const WatchAuthorization& a, const WatchAuthorization& b);

}  // namespace nmp::sandbox
