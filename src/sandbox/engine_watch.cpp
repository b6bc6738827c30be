#include <charconv>
#include <tuple>

#include "sandbox/engine_impl.hpp"

namespace nmp::sandbox {

namespace {

/// Errors: nmp::Errc::malformed.
Result<std::optional<std::uint64_t>> number(const core::Inputs& inputs, std::string_view name) {
  const auto it = inputs.find(std::string(name));
  if (it == inputs.end()) return std::optional<std::uint64_t>();
  const auto text = text_of(it->second);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty())
    return fail(nmp::Errc::malformed, std::string(name));
  return std::optional<std::uint64_t>(value);
}

/// The watchdog that is asked for. Errors: not_found; an ID that is none is nobody's.
Result<WatchId> watch_of(const core::Inputs& inputs) {
  const auto it = inputs.find(std::string(core::kWatchInput));
  if (it == inputs.end()) return fail(nmp::Errc::malformed, "no watch");
  auto id = core::parse_watch_id(text_of(it->second));
  if (!id) return fail(nmp::Errc::not_found);
  return id;
}

}  // namespace

void Engine::Impl::restore(RestoreFrame frame) {
  // One host keeps them, from its beginning on: what another tells, or this one later, is not looked at.
  if (!watchdogs_ || storage_) return;
  // One that does not open stays where it is, for a node that has its key.
  std::ignore = watchdogs_->restore(std::move(frame.watch));
}

void Engine::Impl::restored(const ConnectionPtr& connection) {
  if (!watchdogs_ || storage_) return;
  storage_ = std::make_unique<RemoteStorage>(executor_, connection->writer);
  storage_of_ = connection;
  watchdogs_->attach(*storage_);
  watchdogs_->start();
}

async::Awaitable<Result<void>> Engine::Impl::watch_to_end(
    ConnectionPtr connection, Job& job, core::NodeRun& to, std::shared_ptr<LiveRun> live, EndedFrame& ended) {
  if (!watchdogs_ || !watchdogs_->started()) co_return fail(Errc::not_available);
  if (job.input_commitment != job.intent.input_commitment) co_return fail(Errc::inputs_invalid);
  Finished finished(job, *options_.random, options_.clock->unix_now());
  if (job.intent.op == core::kEventsOperation) {
    NMP_CO_CHECK(co_await follow(connection, job, to, live, finished));
  } else {
    Result<Bytes> answer;
    if (job.intent.op == core::kWatchOperation) {
      answer = co_await deploy(job);
    } else {
      answer = co_await manage(job);
    }
    if (!answer) co_return fail(answer.error());
    for (std::size_t at = 0; at < answer->size(); at += kPieceBytesMax) {
      core::EvidenceBody piece;
      piece.data = to_bytes(ByteView(*answer).subspan(at).first(std::min(kPieceBytesMax, answer->size() - at)));
      core::ResponseBody body(std::move(piece));
      NMP_CO_CHECK(co_await send(connection, job, to, live, std::move(body)));
    }
    finished.result.used.output_bytes = answer->size();
    finished.evidence = *std::move(answer);
  }
  co_return co_await conclude(std::move(connection), job, to, std::move(live), ended, finished);
}

async::Awaitable<Result<Bytes>> Engine::Impl::deploy(Job& job) {
  if (!job.watch) co_return fail(Errc::not_available);
  if (job.module.empty()) co_return fail(Errc::module_unknown);
  if (job.module_hash != job.intent.module_hash) co_return fail(Errc::module_mismatch);
  WatchDefinition definition(job.intent.agent);
  definition.capability = job.intent.capability;
  definition.module_hash = job.module_hash;
  definition.intent_hash = job.intent_hash;
  definition.inputs = std::move(job.inputs.inputs);
  definition.allowed.limits = job.limits;
  definition.allowed.policy = *job.watch;
  definition.allowed.datasets = job.datasets;
  definition.created = options_.clock->unix_now();
  const auto life = std::min<std::uint64_t>(job.watch->life_seconds, static_cast<std::uint64_t>(kWatchLifeMax.count()));
  definition.expires = definition.created + static_cast<UnixSeconds>(life);
  NMP_CO_TRY(const auto id, co_await watchdogs_->deploy(std::move(definition), std::move(job.module)));
  co_return to_bytes(core::watch_id_text(id));
}

async::Awaitable<Result<Bytes>> Engine::Impl::manage(const Job& job) {
  const auto& op = job.intent.op;
  const auto& owner = job.intent.agent;
  const auto& inputs = job.inputs.inputs;
  if (!core::is_watch_request(op)) co_return fail(Errc::not_available, "operation");
  if (op == core::kListOperation) co_return core::encode_watch_list(watchdogs_->list(owner));
  NMP_CO_TRY(const auto id, watch_of(inputs));
  if (op == core::kLogsOperation) {
    NMP_CO_TRY(const auto text, watchdogs_->logs(owner, id));
    co_return to_bytes(text);
  }
  if (op == core::kAckOperation) {
    NMP_CO_TRY(const auto up_to, number(inputs, core::kUpToInput));
    if (!up_to) co_return fail(nmp::Errc::malformed, "no up-to");
    NMP_CO_CHECK(co_await watchdogs_->acknowledge(owner, id, *up_to));
    co_return Bytes();
  }
  NMP_CO_CHECK(co_await watchdogs_->stop(owner, id));
  co_return Bytes();
}

async::Awaitable<Result<void>> Engine::Impl::follow(
    ConnectionPtr connection, const Job& job, core::NodeRun& to, std::shared_ptr<LiveRun> live, Finished& finished) {
  const auto& inputs = job.inputs.inputs;
  NMP_CO_TRY(const auto id, watch_of(inputs));
  NMP_CO_TRY(const auto from, number(inputs, core::kFromInput));
  NMP_CO_TRY(const auto count, number(inputs, core::kCountInput));
  auto next = from.value_or(0);
  auto left = count.value_or(UINT64_MAX);
  live->follows = id;
  while (left > 0) {
    std::function<bool()> given_up = [live] { return live->cancelled; };
    NMP_CO_TRY(auto events, co_await watchdogs_->events(job.intent.agent, id, next, std::move(given_up)));
    for (auto& event : events) {
      if (left == 0) break;
      finished.chain.add(event.data);
      finished.result.used.event_bytes += event.data.size();
      core::EventBody told;
      told.data = std::move(event.data);
      told.sequence = event.sequence;
      core::ResponseBody body(std::move(told));
      NMP_CO_CHECK(co_await send(connection, job, to, live, std::move(body)));
      if (live->cancelled) co_return fail(Errc::cancelled);
      next = event.sequence + 1;
      --left;
    }
  }
  finished.result.used.events = finished.chain.count();
  co_return Result<void>();
}

}  // namespace nmp::sandbox
