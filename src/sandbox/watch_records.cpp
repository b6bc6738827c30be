#include "sandbox/watch_records.hpp"

#include <algorithm>

#include "crypto/cbor.hpp"
#include "sandbox/errors.hpp"
#include "sandbox/limits.hpp"

namespace nmp::sandbox {

Bytes encode(const WatchDefinition& definition) {
  cbor::Map inputs;
  for (const auto& [name, value] : definition.inputs) inputs.add(name, value);
  return cbor::encode(cbor::Map{{1, definition.owner.bytes()},
                                {2, definition.capability},
                                {3, definition.module_hash},
                                {4, definition.intent_hash},
                                {5, std::move(inputs)},
                                {6, to_cbor(definition.allowed)},
                                {7, definition.created},
                                {8, definition.expires}});
}

Result<WatchDefinition> decode_definition(ByteView bytes) {
  NMP_TRY(const auto map, cbor::decode_map(bytes));
  cbor::MapReader reader(map);
  NMP_TRY(const auto owner_bytes, reader.bytes(1));
  NMP_TRY(auto owner, libp2p::PeerId::from_bytes(owner_bytes));
  WatchDefinition out(std::move(owner));
  NMP_TRY(out.capability, reader.text(2));
  NMP_TRY(out.module_hash, reader.byte_array<32>(3));
  NMP_TRY(out.intent_hash, reader.byte_array<32>(4));
  NMP_TRY(const auto* inputs, reader.map(5));
  for (const auto& entry : inputs->entries()) {
    NMP_TRY(const auto value, entry.value.as_bytes());
    if (!entry.key.is_text()) return fail(Errc::protocol, "input name");
    out.inputs.emplace(entry.key.text(), to_bytes(value));
  }
  NMP_TRY(const auto* allowed, reader.need(6));
  NMP_TRY(out.allowed, watch_authorization_from_cbor(*allowed));
  NMP_TRY(const auto* created, reader.need(7));
  NMP_TRY(out.created, created->as_int());
  NMP_TRY(const auto* expires, reader.need(8));
  NMP_TRY(out.expires, expires->as_int());
  NMP_CHECK(reader.done());
  return out;
}

Bytes encode(const WatchRecord& record) {
  return cbor::encode(cbor::Map{{1, record.state},
                                {2, static_cast<std::uint64_t>(record.phase)},
                                {3, record.reason},
                                {4, record.starts},
                                {5, record.failures},
                                {6, record.fuel_day},
                                {7, record.fuel_used},
                                {8, record.dropped}});
}

Result<WatchRecord> decode_record(ByteView bytes) {
  NMP_TRY(const auto map, cbor::decode_map(bytes));
  cbor::MapReader reader(map);
  WatchRecord out;
  NMP_TRY(const auto state, reader.bytes(1));
  if (state.size() > kStateBytesMax) return fail(Errc::protocol, "state too long");
  out.state = to_bytes(state);
  NMP_TRY(const auto phase, reader.uint(2));
  if (phase > static_cast<std::uint64_t>(core::WatchPhase::suspended)) return fail(Errc::protocol, "phase");
  out.phase = static_cast<core::WatchPhase>(phase);
  NMP_TRY(out.reason, reader.text(3));
  NMP_TRY(out.starts, reader.uint(4));
  NMP_TRY(out.failures, reader.uint(5));
  NMP_TRY(const auto* day, reader.need(6));
  NMP_TRY(out.fuel_day, day->as_int());
  NMP_TRY(out.fuel_used, reader.uint(7));
  NMP_TRY(out.dropped, reader.uint(8));
  NMP_CHECK(reader.done());
  return out;
}

cbor::Value to_cbor(const WatchAuthorization& allowed) {
  cbor::Array datasets;
  for (const auto& name : allowed.datasets) datasets.emplace_back(name);
  return cbor::Map{{1, core::to_cbor(allowed.limits)}, {2, core::to_cbor(allowed.policy)}, {3, std::move(datasets)}};
}

Result<WatchAuthorization> watch_authorization_from_cbor(const cbor::Value& value) {
  NMP_TRY(const auto* map, value.as_map());
  cbor::MapReader reader(*map);
  WatchAuthorization out;
  NMP_TRY(const auto* limits, reader.need(1));
  NMP_TRY(out.limits, core::authorization_from_cbor(*limits));
  NMP_TRY(const auto* policy, reader.need(2));
  NMP_TRY(out.policy, core::watch_policy_from_cbor(*policy));
  NMP_TRY(const auto* datasets, reader.array(3));
  if (datasets->size() > kDatasetsMax) return fail(Errc::protocol, "too many datasets");
  for (const auto& name : *datasets) {
    NMP_TRY(const auto text, name.as_text());
    out.datasets.emplace_back(text);
  }
  NMP_CHECK(reader.done());
  return out;
}

WatchAuthorization minimum(const WatchAuthorization& a, const WatchAuthorization& b) {
  WatchAuthorization out;
  out.limits = core::minimum(a.limits, b.limits);
  out.policy.fuel_per_day = std::min(a.policy.fuel_per_day, b.policy.fuel_per_day);
  out.policy.life_seconds = std::min(a.policy.life_seconds, b.policy.life_seconds);
  out.policy.when_full = b.policy.when_full;
  for (const auto& name : a.datasets)
    if (std::ranges::find(b.datasets, name) != b.datasets.end()) out.datasets.push_back(name);
  return out;
}

}  // namespace nmp::sandbox
