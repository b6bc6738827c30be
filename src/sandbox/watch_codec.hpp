#pragma once

#include "crypto/cbor.hpp"
#include "sandbox/watch_storage.hpp"

/// What of watchdogs goes between engine and host, as items of their frames (engine_protocol.hpp).
namespace nmp::sandbox {

/// The fields of a RestoreFrame, without its type.
[[nodiscard]] cbor::Array to_cbor(const StoredWatch& watch);
/// With its type, which is not looked at. Errors: protocol, cbor's.
Result<StoredWatch> stored_watch_from_cbor(const cbor::Array& items);

/// [[kind, ...]...]; kinds 0 create, 1 progress, 2 event, 3 log, 4 forget, 5 erase, fields in the order of the structs.
[[nodiscard]] cbor::Value to_cbor(const std::vector<WatchWrite>& writes);
Result<std::vector<WatchWrite>> writes_from_cbor(const cbor::Value& value);

/// [[sequence, record]...]
[[nodiscard]] cbor::Value to_cbor(const std::vector<StoredEvent>& events);
Result<std::vector<StoredEvent>> stored_events_from_cbor(const cbor::Value& value);

}  // namespace nmp::sandbox
