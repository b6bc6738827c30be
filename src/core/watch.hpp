#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "core/authorization.hpp"
#include "crypto/hash.hpp"

/// Watchdogs: filters that live on after their agent has gone. What the agent asks about them, and what the engine
/// says. watch.cddl; security.md, "Watchdogs and enclaves".
namespace nmp::core {

// Operations of an intent (key 4), beside `run` and `watch` (intent.hpp), which deploys. Whoever is not the owner is
// told `not_found`.
inline constexpr std::string_view kEventsOperation = "events";  ///< Events from a cursor on, then live ones.
inline constexpr std::string_view kListOperation = "list";      ///< All watchdogs of the agent.
inline constexpr std::string_view kAckOperation = "ack";        ///< Forgets events up to one.
inline constexpr std::string_view kLogsOperation = "logs";      ///< The newest diagnostics.
inline constexpr std::string_view kStopOperation = "stop";      ///< Ends it and erases its key.

/// What intents of those operations name as their capability: they are about watchdogs of any. No node offers it.
inline constexpr std::string_view kWatchdogsCapability = "nmp.watch";

/// Whether an operation is about watchdogs that are there: one of the five above.
[[nodiscard]] bool is_watch_request(std::string_view op);

/// gRPC paths: part of the boxes' associated data.
inline constexpr std::string_view kWatchEventsMethod = "/nmp.v1.NeuralMesh/WatchEvents";
inline constexpr std::string_view kManageWatchMethod = "/nmp.v1.NeuralMesh/ManageWatch";
/// The path that an operation goes by.
[[nodiscard]] std::string_view method_of(std::string_view op);

/// 128 random bits, made by the engine.
using WatchId = ByteArray<16>;
/// 32 lower-case hexadecimal digits.
[[nodiscard]] std::string watch_id_text(const WatchId& id);
/// Errors: Errc::bad_name.
Result<WatchId> parse_watch_id(std::string_view text);

// Inputs of those operations (sealed, as a run's are): `watch` the ID's text, the others decimal numbers.
inline constexpr std::string_view kWatchInput = "watch";  ///< All but `list`.
inline constexpr std::string_view kFromInput = "from";    ///< `events`: the first sequence number wanted; default 0.
inline constexpr std::string_view kCountInput = "count";  ///< `events`: the stream ends after as many; default: never.
inline constexpr std::string_view kUpToInput = "up-to";   ///< `ack`: the last sequence number to forget.

/// What happens to a watchdog whose undelivered events have reached its ceiling.
enum class WhenFull : std::uint8_t {
  hold = 0,         ///< push_event waits, try_event says no.
  drop_oldest = 1,  ///< The oldest are forgotten and counted: sequence numbers show the gap.
};

/// What a node allows a watchdog beside its Authorization, which counts otherwise for it: `fuel` and `wall_time` are
/// those of one wake-up, `events` and `event_bytes` those of undelivered events, and the rest as in a run.
/// As CBOR: {1: fuel_per_day, 2: life_seconds, 3: when_full}.
struct WatchPolicy {
  std::uint64_t fuel_per_day = 0;  ///< Per UTC day. When it is used up, the watchdog rests until midnight.
  std::uint64_t life_seconds = 0;  ///< From its deployment; then it ends.
  WhenFull when_full = WhenFull::hold;
  friend bool operator==(const WatchPolicy&, const WatchPolicy&) = default;
};
[[nodiscard]] cbor::Value to_cbor(const WatchPolicy& policy);
/// Errors: Errc::bad_statement, cbor's.
Result<WatchPolicy> watch_policy_from_cbor(const cbor::Value& value);

enum class WatchPhase : std::uint8_t {
  starting = 0,     ///< Its module is being compiled, or waits for that.
  running = 1,      ///< It lives: computes, sleeps, or waits for room.
  backing_off = 2,  ///< It failed and is started again soon; `reason` says why.
  resting = 3,      ///< Its fuel for the day is used up.
  ended = 4,        ///< It returned, or its life is over. Its events stay until they are acknowledged or it is stopped.
  failed = 5,       ///< It failed too often; `reason` says why. It is not started again.
  suspended = 6,    ///< The node does not allow it at present.
};
[[nodiscard]] std::string_view to_text(WatchPhase phase);

/// One watchdog as its owner sees it.
struct WatchStatus {
  WatchId id{};
  std::string capability;
  crypto::Digest module_hash{};
  WatchPhase phase = WatchPhase::starting;
  std::string reason;  ///< Why it last failed or ended (docs/errors.md); empty if it never did.
  UnixSeconds created = 0;
  UnixSeconds expires = 0;
  std::uint64_t starts = 0;       ///< How often it was started, restarts of the node included.
  std::uint64_t wake_ups = 0;     ///< Since its last start.
  std::uint64_t fuel_today = 0;   ///< Of this UTC day.
  std::uint64_t next_event = 0;   ///< Sequence number of its next event.
  std::uint64_t first_event = 0;  ///< Of the oldest event that is kept; next_event if none is.
  std::uint64_t dropped = 0;      ///< Events that were forgotten unread (WhenFull::drop_oldest).
  Authorization limits;
  WatchPolicy policy;
  friend bool operator==(const WatchStatus&, const WatchStatus&) = default;
};
/// The evidence of `list`: CBOR, an array of status maps, at most kWatchListMax.
[[nodiscard]] Bytes encode_watch_list(const std::vector<WatchStatus>& list);
/// Errors: nmp::Errc::too_large, Errc::bad_statement, cbor's.
Result<std::vector<WatchStatus>> decode_watch_list(ByteView bytes);

}  // namespace nmp::core
