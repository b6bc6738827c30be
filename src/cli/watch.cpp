// `nmp watch`: deploys watchdogs and asks about them.
#include "core/watch.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/async/task_group.hpp"
#include "base/encoding.hpp"
#include "cli/agent_command.hpp"
#include "cli/mesh.hpp"
#include "cli/run_printer.hpp"

namespace nmp::cli {

namespace {

using nlohmann::json;

/// A stream of events that breaks is asked for again after this.
constexpr std::chrono::seconds kAgain{1};
/// With --ack: how often what was shown is acknowledged.
constexpr std::chrono::milliseconds kAckEvery{500};

int say(Output& output, const client::Failure& why) {
  return output.failure(why.reason->exit, why.reason->reason, escape_text(why.message, 1024));
}

/// What the node answered in place of a result.
std::optional<client::Failure> failure_of(const client::RunOutcome& outcome) {
  if (outcome.reason.empty()) return std::nullopt;
  return client::failure(outcome.reason, outcome.explanation);
}

// --- start
// ------------------------------------------------------------------------------------------------------------

async::Awaitable<client::Attempt<client::RunOutcome>> deploy(client::Agent& agent,
                                                             const WatchStartOptions& options,
                                                             const client::RunRequest& request,
                                                             Instant deadline,
                                                             RunPrinter& printer) {
  if (options.node) {
    auto peer = co_await resolve(agent, *options.node, deadline);
    if (!peer) co_return std::unexpected(peer.error());
    co_return co_await agent.run(std::move(*peer), request, deadline, printer);
  }
  auto peer = co_await first_reachable(agent, options.capability, deadline);
  if (!peer) co_return std::unexpected(peer.error());
  co_return co_await agent.run(std::move(*peer), request, deadline, printer);
}

async::Awaitable<Result<int>> start(client::Agent& agent,
                                    const WatchStartOptions& options,
                                    Output& output,
                                    Instant deadline) {
  client::RunRequest request;
  request.op = core::kWatchOperation;
  request.capability = options.capability;
  request.module = options.module;
  request.inputs = options.inputs;
  request.limits = options.limits;
  request.grant = options.grant;
  request.pinned = options.node.has_value();
  RunPrinter printer(output);
  auto outcome = co_await deploy(agent, options, request, deadline, printer);
  if (!outcome) co_return say(output, outcome.error());
  if (auto failed = failure_of(*outcome)) co_return say(output, *failed);
  auto id = core::parse_watch_id(text_of(outcome->evidence));
  if (!id) co_return output.failure(kNotVerified, "bad_answer", "the node's answer is not a watchdog's ID");
  const auto text = core::watch_id_text(*id);
  output.object({{"event", "deployed"},
                 {"id", text},
                 {"peer_id", outcome->node.to_text()},
                 {"address", outcome->address},
                 {"limits", limits_json(outcome->limits)},
                 {"trust", outcome->pinned ? "pinned" : "unpinned"},
                 {"receipt", base64_encode(outcome->receipt)}});
  output.line(output.bold(text) + "  lives at " + outcome->node.to_text());
  output.line("  its events:  nmp watch events " + text + " --node " + outcome->node.to_text());
  co_return kDone;
}

// --- list, ack, logs, stop
// --------------------------------------------------------------------------------------------

client::RunRequest request_for(const WatchRequestOptions& options, std::string_view op) {
  client::RunRequest request;
  request.op = op;
  request.capability = core::kWatchdogsCapability;
  request.pinned = true;
  if (options.watch) request.inputs.emplace(core::kWatchInput, to_bytes(core::watch_id_text(*options.watch)));
  return request;
}

std::string when(UnixSeconds unix) {
  const auto now = async::system_clock().unix_now();
  const auto seconds = unix > now ? unix - now : now - unix;
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 7200) return fmt::format("{} min", seconds / 60);
  if (seconds < 172'800) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} d", seconds / 86'400);
}

int show_list(ByteView evidence, Output& output) {
  auto list = core::decode_watch_list(evidence);
  if (!list) return output.failure(kNotVerified, "bad_answer", "the node's list does not parse");
  std::vector<std::vector<std::string>> rows{{"ID", "CAPABILITY", "STATE", "AGE", "LEFT", "EVENTS", "STARTS"}};
  for (const auto& watch : *list) {
    output.object({{"event", "watchdog"},
                   {"id", core::watch_id_text(watch.id)},
                   {"capability", watch.capability},
                   {"module", hex_encode(watch.module_hash)},
                   {"state", core::to_text(watch.phase)},
                   {"reason", watch.reason},
                   {"created", watch.created},
                   {"expires", watch.expires},
                   {"starts", watch.starts},
                   {"wake_ups", watch.wake_ups},
                   {"fuel_today", watch.fuel_today},
                   {"fuel_per_day", watch.policy.fuel_per_day},
                   {"next_seq", watch.next_event},
                   {"first_seq", watch.first_event},
                   {"dropped", watch.dropped},
                   {"limits", limits_json(watch.limits)}});
    auto state = std::string(core::to_text(watch.phase));
    if (!watch.reason.empty() && watch.reason != "ok") state += " (" + watch.reason + ")";
    rows.push_back({core::watch_id_text(watch.id), watch.capability, state, when(watch.created), when(watch.expires),
                    fmt::format("{} kept of {}", watch.next_event - watch.first_event, watch.next_event),
                    std::to_string(watch.starts)});
  }
  if (list->empty()) output.line("no watchdogs of yours there");
  if (!list->empty()) output.table(rows);
  return kDone;
}

void show_log(ByteView evidence, Output& output) {
  auto text = text_of(evidence);
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = escape_text(text.substr(0, end), 8192);
    output.object({{"event", "log"}, {"text", line}});
    output.line(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

async::Awaitable<Result<int>> manage(client::Agent& agent,
                                     const WatchRequestOptions& options,
                                     Output& output,
                                     Instant deadline) {
  auto request = request_for(options, options.op);
  if (options.op == core::kAckOperation)
    request.inputs.emplace(core::kUpToInput, to_bytes(std::to_string(options.up_to)));
  auto peer = co_await resolve(agent, options.node, deadline);
  if (!peer) co_return say(output, peer.error());
  RunPrinter printer(output);
  auto outcome = co_await agent.run(std::move(*peer), request, deadline, printer);
  if (!outcome) co_return say(output, outcome.error());
  if (auto failed = failure_of(*outcome)) co_return say(output, *failed);
  if (options.op == core::kListOperation) co_return show_list(outcome->evidence, output);
  if (options.op == core::kLogsOperation) {
    show_log(outcome->evidence, output);
    co_return kDone;
  }
  const auto id = options.watch ? core::watch_id_text(*options.watch) : std::string();  // each of the rest names one
  const bool stopped = options.op == core::kStopOperation;
  output.object({{"event", stopped ? "stopped" : "acknowledged"}, {"id", id}});
  output.line(id + (stopped ? "  is stopped, and what was kept of it is erased"
                            : fmt::format("  forgets its events up to {}", options.up_to)));
  co_return kDone;
}

// --- events
// -----------------------------------------------------------------------------------------------------------

/// Prints events and remembers where it is.
class Cursor final : public client::RunObserver {
 public:
  Cursor(RunPrinter& printer, std::uint64_t from) : next(from), printer_(printer) {}
  async::Awaitable<void> event(const libp2p::PeerId& node, std::uint64_t sequence, ByteView data) override {
    co_await printer_.event(node, sequence, data);
    next = sequence + 1;
    ++shown;
  }
  std::uint64_t next;
  std::uint64_t shown = 0;
  std::uint64_t acknowledged = 0;  ///< Events below this are.

 private:
  RunPrinter& printer_;
};

async::Awaitable<client::Attempt<void>> acknowledge(
    client::Agent& agent, const WatchRequestOptions& options, libp2p::PeerInfo node, Cursor& cursor, Instant deadline) {
  const auto next = cursor.next;
  if (cursor.shown == 0 || cursor.acknowledged == next) co_return client::Attempt<void>();
  auto request = request_for(options, core::kAckOperation);
  request.inputs.emplace(core::kUpToInput, to_bytes(std::to_string(next - 1)));
  client::RunObserver quiet;
  auto outcome = co_await agent.run(std::move(node), request, deadline, quiet);
  if (!outcome) co_return std::unexpected(outcome.error());
  if (auto failed = failure_of(*outcome)) co_return std::unexpected(*failed);
  cursor.acknowledged = next;
  co_return client::Attempt<void>();
}

/// One stream of events, to its end.
async::Awaitable<client::Attempt<void>> follow(client::Agent& agent,
                                               const WatchRequestOptions& options,
                                               libp2p::PeerInfo node,
                                               Cursor& cursor,
                                               std::uint64_t count) {
  auto request = request_for(options, core::kEventsOperation);
  request.inputs.emplace(core::kFromInput, to_bytes(std::to_string(cursor.next)));
  if (count > 0) request.inputs.emplace(core::kCountInput, to_bytes(std::to_string(count)));
  auto deadline = async::system_clock().now() + options.mesh.timeout;
  auto session = co_await agent.negotiate(std::move(node), request, deadline, cursor);
  if (!session) co_return std::unexpected(session.error());
  auto outcome = co_await agent.execute(**session, kNever, cursor);
  if (!outcome) co_return std::unexpected(outcome.error());
  if (auto failed = failure_of(*outcome)) co_return std::unexpected(*failed);
  co_return client::Attempt<void>();
}

/// What may be over in a moment: a node that starts again, a stream whose hour is over, a network that is gone.
bool is_passing(const client::Failure& why) {
  for (const auto* reason : {"unavailable", "nobody_reachable", "deadline_exceeded", "truncated", "busy",
                             "session_unknown", "cancelled", "internal"})
    if (why.reason->reason == reason) return true;
  return false;
}

/// Acknowledges now and then, until it is cancelled. What fails is tried again.
async::Awaitable<void> keep_acknowledging(client::Agent& agent,
                                          const WatchRequestOptions& options,
                                          libp2p::PeerInfo node,
                                          Cursor& cursor) {
  for (;;) {
    auto slept = co_await async::sleep_until(async::system_clock().now() + kAckEvery);
    if (!slept) co_return;
    auto deadline = async::system_clock().now() + options.mesh.timeout;
    (void)co_await acknowledge(agent, options, node, cursor, deadline);
  }
}

/// Follows the stream, and asks again when it breaks, until `count` are shown or it has been away for too long.
async::Awaitable<Result<int>> follow_all(
    client::Agent& agent, const WatchRequestOptions& options, libp2p::PeerInfo node, Cursor& cursor, Output& output) {
  auto patience = async::system_clock().now() + options.mesh.timeout;
  while (!options.count || cursor.shown < *options.count) {
    auto shown = cursor.shown;
    auto left = options.count ? *options.count - cursor.shown : 0;
    auto followed = co_await follow(agent, options, node, cursor, left);
    if (followed || cursor.shown > shown) patience = async::system_clock().now() + options.mesh.timeout;
    if (followed) continue;
    if (!is_passing(followed.error()) || async::system_clock().now() >= patience)
      co_return say(output, followed.error());
    output.progress("the stream broke (" + std::string(followed.error().reason->reason) + "); asking again");
    NMP_CO_CHECK(co_await async::sleep_until(async::system_clock().now() + kAgain));
  }
  co_return kDone;
}

async::Awaitable<Result<int>> events(client::Agent& agent,
                                     const WatchRequestOptions& options,
                                     Output& output,
                                     Instant deadline) {
  auto peer = co_await resolve(agent, options.node, deadline);
  if (!peer) co_return say(output, peer.error());
  RunPrinter printer(output);
  Cursor cursor(printer, options.from);
  async::TaskGroup tasks(agent.host().executor());
  if (options.ack) tasks.spawn(keep_acknowledging(agent, options, *peer, cursor));
  auto code = co_await follow_all(agent, options, *peer, cursor, output);
  co_await tasks.close();
  if (!code || *code != kDone || !options.ack) co_return code;
  auto last = async::system_clock().now() + options.mesh.timeout;
  auto acknowledged = co_await acknowledge(agent, options, *peer, cursor, last);
  if (!acknowledged) co_return say(output, acknowledged.error());
  co_return kDone;
}

}  // namespace

int run_watch_start(const WatchStartOptions& options, Output& output) {
  return with_agent<WatchStartOptions>(options, {}, output, &start);
}

int run_watch_request(const WatchRequestOptions& options, Output& output) {
  if (options.op == core::kEventsOperation) return with_agent<WatchRequestOptions>(options, {}, output, &events);
  return with_agent<WatchRequestOptions>(options, {}, output, &manage);
}

}  // namespace nmp::cli
