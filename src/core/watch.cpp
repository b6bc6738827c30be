#include "core/watch.hpp"

#include <algorithm>
#include <array>

#include "base/encoding.hpp"
#include "core/capability.hpp"
#include "core/envelope.hpp"
#include "core/errc.hpp"
#include "core/limits.hpp"

namespace nmp::core {

namespace {

cbor::Value to_cbor(const WatchStatus& status) {
  return cbor::Map{{1, status.id},
                   {2, status.capability},
                   {3, status.module_hash},
                   {4, static_cast<std::uint64_t>(status.phase)},
                   {5, status.reason},
                   {6, status.created},
                   {7, status.expires},
                   {8, status.starts},
                   {9, status.wake_ups},
                   {10, status.fuel_today},
                   {11, status.next_event},
                   {12, status.first_event},
                   {13, status.dropped},
                   {14, core::to_cbor(status.limits)},
                   {15, core::to_cbor(status.policy)}};
}

Result<UnixSeconds> time_of(cbor::MapReader& reader, int key) {
  NMP_TRY(const auto* value, reader.need(key));
  return value->as_int();
}

Result<WatchStatus> status_from_cbor(const cbor::Value& value) {
  NMP_TRY(const auto* map, value.as_map());
  cbor::MapReader reader(*map);
  WatchStatus out;
  NMP_TRY(out.id, reader.byte_array<16>(1));
  NMP_TRY(out.capability, reader.text(2));
  NMP_CHECK(check_name(out.capability, "capability"));
  NMP_TRY(out.module_hash, reader.byte_array<32>(3));
  NMP_TRY(const auto phase, reader.uint(4));
  if (phase > static_cast<std::uint64_t>(WatchPhase::suspended)) return fail(Errc::bad_statement, "phase");
  out.phase = static_cast<WatchPhase>(phase);
  NMP_TRY(out.reason, reader.text(5));
  if (!out.reason.empty()) NMP_CHECK(check_name(out.reason, "reason"));
  NMP_TRY(out.created, time_of(reader, 6));
  NMP_TRY(out.expires, time_of(reader, 7));
  NMP_TRY(out.starts, reader.uint(8));
  NMP_TRY(out.wake_ups, reader.uint(9));
  NMP_TRY(out.fuel_today, reader.uint(10));
  NMP_TRY(out.next_event, reader.uint(11));
  NMP_TRY(out.first_event, reader.uint(12));
  NMP_TRY(out.dropped, reader.uint(13));
  NMP_TRY(const auto* limits, reader.need(14));
  NMP_TRY(out.limits, authorization_from_cbor(*limits));
  NMP_TRY(const auto* policy, reader.need(15));
  NMP_TRY(out.policy, watch_policy_from_cbor(*policy));
  NMP_CHECK(reader.done());
  return out;
}

}  // namespace

bool is_watch_request(std::string_view op) {
  static constexpr std::array kOperations{kEventsOperation, kListOperation, kAckOperation, kLogsOperation,
                                          kStopOperation};
  return std::ranges::find(kOperations, op) != kOperations.end();
}

std::string_view method_of(std::string_view op) {
  if (op == kEventsOperation) return kWatchEventsMethod;
  if (is_watch_request(op)) return kManageWatchMethod;
  return kExecuteLogicMethod;
}

std::string watch_id_text(const WatchId& id) { return hex_encode(id); }

Result<WatchId> parse_watch_id(std::string_view text) {
  WatchId id{};
  auto bytes = hex_decode(text);
  if (!bytes || bytes->size() != id.size() || hex_encode(*bytes) != text)
    return fail(Errc::bad_name, "a watchdog's ID is 32 lower-case hexadecimal digits");
  std::ranges::copy(*bytes, id.begin());
  return id;
}

std::string_view to_text(WatchPhase phase) {
  switch (phase) {
    case WatchPhase::starting: return "starting";
    case WatchPhase::running: return "running";
    case WatchPhase::backing_off: return "backing-off";
    case WatchPhase::resting: return "resting";
    case WatchPhase::ended: return "ended";
    case WatchPhase::failed: return "failed";
    case WatchPhase::suspended: return "suspended";
  }
  return "unknown";
}

cbor::Value to_cbor(const WatchPolicy& policy) {
  return cbor::Map{
      {1, policy.fuel_per_day}, {2, policy.life_seconds}, {3, static_cast<std::uint64_t>(policy.when_full)}};
}

Result<WatchPolicy> watch_policy_from_cbor(const cbor::Value& value) {
  NMP_TRY(const auto* map, value.as_map());
  cbor::MapReader reader(*map);
  WatchPolicy out;
  NMP_TRY(out.fuel_per_day, reader.uint(1));
  NMP_TRY(out.life_seconds, reader.uint(2));
  NMP_TRY(const auto when_full, reader.uint(3));
  if (when_full > static_cast<std::uint64_t>(WhenFull::drop_oldest)) return fail(Errc::bad_statement, "when_full");
  out.when_full = static_cast<WhenFull>(when_full);
  NMP_CHECK(reader.done());
  return out;
}

Bytes encode_watch_list(const std::vector<WatchStatus>& list) {
  cbor::Array out;
  for (const auto& status : list) out.emplace_back(to_cbor(status));
  return cbor::encode(cbor::Value(std::move(out)));
}

Result<std::vector<WatchStatus>> decode_watch_list(ByteView bytes) {
  NMP_TRY(const auto value, cbor::decode(bytes));
  NMP_TRY(const auto* items, value.as_array());
  if (items->size() > kWatchListMax) return fail(nmp::Errc::too_large, "watchdogs");
  std::vector<WatchStatus> out;
  for (const auto& item : *items) {
    NMP_TRY(auto status, status_from_cbor(item));
    out.push_back(std::move(status));
  }
  return out;
}

}  // namespace nmp::core
