#include <algorithm>

#include "base/codec.hpp"
#include "sandbox/engine_impl.hpp"

namespace nmp::sandbox {

namespace {

constexpr std::size_t kCacheAccountsMax = 4096;

std::uint64_t seed_of(const Job& job) {
  const auto digest = crypto::sha256(Writer().bytes(job.intent_hash).u32be(job.run).view());
  return Reader(digest).u64be().value_or(0);
}

}  // namespace

bool Engine::Impl::may_run_by_hash(const core::Intent& intent) const {
  if (std::ranges::find(options_.shared_modules, intent.module_hash) != options_.shared_modules.end()) return true;
  return uploads_.contains({intent.agent, intent.module_hash});
}

async::Awaitable<Result<ModulePtr>> Engine::Impl::module_of(Job& job) {
  if (job.module.empty()) {
    // One answer whether it is not cached or not this account's.
    auto module = may_run_by_hash(job.intent) ? runner_->cached(job.intent.module_hash) : nullptr;
    if (!module) co_return fail(Errc::module_unknown);
    co_return module;
  }
  if (job.module_hash != job.intent.module_hash) co_return fail(Errc::module_mismatch);
  // One at a time an agent: whoever sends many modules waits for his own.
  const auto agent = job.intent.agent;
  const bool shared = std::ranges::find(options_.shared_modules, job.module_hash) != options_.shared_modules.end();
  auto account = shared ? Bytes() : to_bytes(agent.bytes());
  while (compiling_.contains(agent)) NMP_CO_CHECK(co_await compiled_.wait());
  compiling_.insert(agent);
  auto compiled = co_await runner_->compile(std::move(job.module), job.module_hash, std::move(account));
  compiling_.erase(agent);
  compiled_.notify_all();
  NMP_CO_TRY(auto module, std::move(compiled));
  if (uploads_.size() >= kCacheAccountsMax) uploads_.erase(uploads_.begin());
  uploads_.emplace(job.intent.agent, job.intent.module_hash);
  co_return module;
}

async::Awaitable<Result<DatasetStore::Taken>> Engine::Impl::dataset_of(std::string name) {
  const auto it = std::ranges::find(options_.datasets, name, &DatasetOptions::name);
  if (it == options_.datasets.end()) co_return fail(Errc::dataset_unavailable, name);
  auto work = [this, dataset = *it] {
    return store_.take(dataset.name, dataset.path, dataset.commit, *options_.random);
  };
  co_return co_await files_.run(std::move(work));
}

async::Awaitable<Result<Engine::Impl::Prepared>> Engine::Impl::prepare(Job& job) {
  if (job.input_commitment != job.intent.input_commitment) co_return fail(Errc::inputs_invalid);
  Prepared out;
  NMP_CO_TRY(out.spec.module, co_await module_of(job));
  for (const auto& name : job.datasets) {
    NMP_CO_TRY(auto taken, co_await dataset_of(name));
    out.spec.datasets.push_back(taken.snapshot);
    if (taken.commitment) out.commitments.emplace(name, *taken.commitment);
  }
  out.spec.limits = job.limits;
  out.spec.inputs = std::move(job.inputs.inputs);
  out.spec.seed = seed_of(job);
  out.spec.start_time = options_.clock->unix_now();
  co_return out;
}

async::Awaitable<Result<void>> Engine::Impl::send(ConnectionPtr connection,
                                                  const Job& job,
                                                  core::NodeRun& to,
                                                  std::shared_ptr<LiveRun> live,
                                                  core::ResponseBody body) {
  const bool last = core::is_final(body);
  while (!last && live->uncredited >= kUncreditedBytesMax && !live->cancelled)
    NMP_CO_CHECK(co_await live->changed.wait());
  BoxFrame box;
  box.session = job.session;
  box.run = job.run;
  box.is_final = last;
  NMP_CO_TRY(box.sealed, to.seal(body));
  live->uncredited += box.sealed.size();
  connection->writer.push(encode(EngineFrame(std::move(box))));
  co_return Result<void>();
}

async::Awaitable<void> Engine::Impl::run(ConnectionPtr connection,
                                         Job job,
                                         core::NodeRun to,
                                         std::shared_ptr<LiveRun> live) {
  EndedFrame ended;
  ended.session = job.session;
  ended.run = job.run;
  Result<void> outcome;
  if (job.intent.op == core::kRunOperation) {
    outcome = co_await run_to_end(connection, job, to, live, ended);
  } else {
    outcome = co_await watch_to_end(connection, job, to, live, ended);
  }
  if (!outcome) {
    ended.reason = reason_of(outcome.error().code);
    core::HostErrorBody body;
    body.reason = ended.reason;
    // The context of a refused module is about what the agent sent; others may name the host's files.
    const bool about_module =
        ended.reason == "module_refused" || ended.reason == "invalid_module" || ended.reason == "too_many_watchdogs";
    body.message = about_module ? outcome.error().message() : outcome.error().code.message();
    core::ResponseBody last(std::move(body));
    if (!to.finished()) (void)co_await send(connection, job, to, live, std::move(last));
  }
  connection->writer.push(encode(EngineFrame(std::move(ended))));
  if (const auto it = connection->sessions.find(job.session); it != connection->sessions.end())
    it->second.live.erase(job.run);
  expire(*connection);
}

async::Awaitable<Result<void>> Engine::Impl::run_to_end(
    ConnectionPtr connection, Job& job, core::NodeRun& to, std::shared_ptr<LiveRun> live, EndedFrame& ended) {
  const auto started = options_.clock->unix_now();
  NMP_CO_TRY(auto prepared, co_await prepare(job));
  if (live->cancelled) co_return fail(Errc::cancelled);
  NMP_CO_TRY(auto run, runner_->start(std::move(prepared.spec)));
  live->run = run.get();
  Finished finished(job, *options_.random, started);
  finished.commitments = std::move(prepared.commitments);
  Error stopped{};
  for (;;) {
    auto next = co_await run->next();
    if (!next) {
      stopped = std::move(next).error();
      break;
    }
    if (!*next) break;
    auto& output = **next;
    core::ResponseBody body(core::EventBody{});
    if (output.kind == OutputKind::event) {
      finished.chain.add(output.bytes);
      core::EventBody event;
      event.data = std::move(output.bytes);
      body = std::move(event);
    } else if (output.kind == OutputKind::evidence) {
      append(finished.evidence, output.bytes);
      core::EvidenceBody piece;
      piece.data = std::move(output.bytes);
      body = std::move(piece);
    } else {
      core::DiagnosticsBody piece;
      piece.data = std::move(output.bytes);
      body = std::move(piece);
    }
    auto sent = co_await send(connection, job, to, live, std::move(body));
    if (!sent) {
      stopped = std::move(sent).error();
      break;
    }
  }
  live->run = nullptr;
  if (stopped.code) co_return fail(std::move(stopped));

  finished.result = run->result();
  co_return co_await conclude(std::move(connection), job, to, std::move(live), ended, finished);
}

async::Awaitable<Result<void>> Engine::Impl::conclude(ConnectionPtr connection,
                                                      const Job& job,
                                                      core::NodeRun& to,
                                                      std::shared_ptr<LiveRun> live,
                                                      EndedFrame& ended,
                                                      Finished& finished) {
  const auto& result = finished.result;
  ended.used = result.used;
  if (result.error) ended.reason = reason_of(result.error->code);
  auto commit = [salt = finished.openings.evidence_salt, evidence = std::move(finished.evidence)] {
    return core::commit_evidence(salt, evidence);
  };
  const auto evidence_commitment = co_await boxes_.run(std::move(commit));
  core::Receipt receipt{.op = job.intent.op,
                        .capability = job.intent.capability,
                        .intent_hash = job.intent_hash,
                        .answer_hash = job.answer_hash,
                        .run = job.run,
                        .module_hash = job.intent.module_hash,
                        .input_commitment = job.intent.input_commitment,
                        .datasets = finished.commitments,
                        .evidence_commitment = evidence_commitment,
                        .exit = {},
                        .event_count = finished.chain.count(),
                        .event_chain = finished.chain.value(),
                        .limits = job.limits,
                        .used = result.used,
                        .started = finished.started,
                        .finished = options_.clock->unix_now(),
                        .node = options_.node,
                        .agent = job.intent.agent,
                        .engine = std::string(Runner::profile()),
                        .via = job.intent.via};
  receipt.exit.reason = result.error ? ended.reason : "ok";
  if (!result.error || result.error->code == Errc::exit_code) receipt.exit.code = result.exit_code;
  NMP_CO_TRY(auto cose, core::sign_receipt(receipt, options_.receipt_key));
  core::Proof proof;
  proof.receipt = std::move(cose);
  core::ReceiptBody body;
  body.proof = core::encode_proof(proof);
  body.openings = finished.openings;
  core::ResponseBody last(std::move(body));
  if (result.error) {
    core::HostErrorBody failed;
    failed.reason = ended.reason;
    failed.message = result.error->message();  // our words: traps, limits, exit codes
    failed.receipt = std::get<core::ReceiptBody>(std::move(last));
    last = std::move(failed);
  }
  NMP_CO_CHECK(co_await send(connection, job, to, live, std::move(last)));
  co_return Result<void>();
}

}  // namespace nmp::sandbox
