// ExecuteLogic, WatchEvents, ManageWatch: sealed boxes in, sealed boxes out. A slow reader holds the write below, the
// write holds the engine's credit, and the credit holds the guest.
#include "base/async/with_deadline.hpp"
#include "core/envelope.hpp"
#include "core/session_token.hpp"
#include "core/watch.hpp"
#include "server/service.hpp"

namespace nmp::server {

namespace {

constexpr std::string_view kNegotiate = "/nmp.v1.NeuralMesh/NegotiateIntent";
constexpr std::string_view kNotAvailable[] = {"GetReceipt", "Prove", "Attest", "ReadAudit", "GetTreeHead"};

async::Awaitable<rpc::Status> not_available(rpc::ServerCall& /*call*/) {
  auto status = to_status(refusal("not_available"));
  status.code = rpc::Code::unimplemented;
  co_return status;
}

rpc::Status session_unknown() { return to_status(refusal("session_unknown")); }

}  // namespace

Service::Service(ServiceParts parts)
    : parts_(std::move(parts)),
      sessions_(parts_.config.limits.sessions, parts_.config.limits.sessions_per_caller),
      queue_(
          parts_.executor,
          RunQueue::Limits{
              .places = parts_.config.limits.runs, .waiting_max = kRunsWaitingMax, .bytes_max = kRunsWaitingBytesMax}),
      streams_(parts_.executor,
               RunQueue::Limits{.places = kWatchStreamsMax,
                                .waiting_max = kWatchRequestsWaitingMax,
                                .bytes_max = kWatchRequestsWaitingMax * kWatchRequestBytesMax}),
      tasks_(parts_.executor) {}

void Service::register_with(rpc::Server& server) {
  rpc::MethodOptions negotiate_options;
  negotiate_options.message_bytes_max = kIntentRequestBytesMax;
  server.handle(std::string(kNegotiate), [this](rpc::ServerCall& call) { return negotiate(call); }, negotiate_options);
  rpc::MethodOptions execute_options;
  execute_options.message_bytes_max = parts_.config.limits.request_bytes;
  execute_options.inspect_bytes_max = kTokenPrefixBytes;
  execute_options.gzip_requests = false;  // sealed bytes do not shrink, bombs grow
  execute_options.inspect_prefix = [this](const rpc::CallContext& context, ByteView prefix, bool whole) {
    return inspect_token(context, prefix, whole);
  };
  server.handle(
      std::string(core::kExecuteLogicMethod), [this](rpc::ServerCall& call) { return execute(call); }, execute_options);
  rpc::MethodOptions watch_options;
  watch_options.message_bytes_max = kWatchRequestBytesMax;
  watch_options.gzip_requests = false;
  server.handle(
      std::string(core::kWatchEventsMethod), [this](rpc::ServerCall& call) { return watch_events(call); },
      watch_options);
  server.handle(
      std::string(core::kManageWatchMethod), [this](rpc::ServerCall& call) { return manage_watch(call); },
      watch_options);
  for (auto method : kNotAvailable)
    server.handle("/nmp.v1.NeuralMesh/" + std::string(method), &not_available, rpc::MethodOptions());
}

rpc::Inspection Service::inspect_token(const rpc::CallContext& context, ByteView prefix, bool whole) const {
  // Protobuf field 1, length-delimited, 43 characters (core::SessionToken), first as serializers write it.
  constexpr std::size_t kTokenFieldBytes = 2 + 43;
  if (prefix.size() < kTokenFieldBytes) return whole ? rpc::Inspection(session_unknown()) : rpc::Verdict::need_more;
  if (prefix[0] != std::byte{0x0a} || prefix[1] != std::byte{43}) return session_unknown();
  auto token = core::SessionToken::parse(text_of(prefix.subspan(2, 43)));
  if (!token || !sessions_.find(token->hash(), context.caller.peer, parts_.clock.now())) return session_unknown();
  return rpc::Verdict::accept;
}

namespace {

Instant in(Duration time) { return async::system_clock().now() + time; }

}  // namespace

async::Awaitable<rpc::Status> Service::execute(rpc::ServerCall& call) {
  auto message = co_await async::with_deadline(in(kUploadTime), call.read_only());
  if (!message) co_return rpc::to_status(message.error());
  auto request = parse_logic_request(std::move(*message));
  if (!request) co_return to_status(refusal("bad_request", "LogicRequest does not parse"));
  StreamReply reply(call);
  co_return co_await serve_job(call, *request, reply, queue_);
}

async::Awaitable<rpc::Status> Service::watch_events(rpc::ServerCall& call) {
  auto message = co_await async::with_deadline(in(kUploadTime), call.read_only());
  if (!message) co_return rpc::to_status(message.error());
  auto request = parse_watch_events_request(std::move(*message));
  if (!request) co_return to_status(refusal("bad_request", "WatchEventsRequest does not parse"));
  StreamReply reply(call);
  co_return co_await serve_job(call, *request, reply, streams_);
}

async::Awaitable<rpc::Status> Service::manage_watch(rpc::ServerCall& call) {
  auto message = co_await async::with_deadline(in(kUploadTime), call.read_only());
  if (!message) co_return rpc::to_status(message.error());
  auto request = parse_manage_watch_request(std::move(*message));
  if (!request) co_return to_status(refusal("bad_request", "ManageWatchRequest does not parse"));
  SingleReply reply(call);
  co_return co_await serve_job(call, *request, reply, queue_);
}

async::Awaitable<rpc::Status> Service::serve_job(rpc::ServerCall& call,
                                                 JobRequest& request,
                                                 JobReply& reply,
                                                 RunQueue& queue) {
  if (!request.token) co_return session_unknown();
  auto session = sessions_.find(request.token->hash(), call.context().caller.peer, parts_.clock.now());
  if (!session) co_return session_unknown();
  if (request.wrong) co_return to_status(refusal("bad_request", std::string(*request.wrong)));
  if (core::method_of(session->op) != request.job.method) co_return to_status(refusal("wrong_operation"));
  if (!request.module_hash.empty() && !equal(request.module_hash, session->module_hash))
    co_return to_status(refusal("module_mismatch"));

  auto patience = in(session->expires - parts_.clock.now());
  auto place = co_await queue.take(session->agent, request.bytes(), patience);
  if (!place) {
    auto why = place.error().code == Errc::cancelled ? refusal("cancelled") : refusal("busy");
    parts_.observer.refused(call.context().caller.peer, session->op, why);
    co_return to_status(why);
  }
  request.job.session = session->id;
  auto started = co_await parts_.engine.job(std::move(request.job));
  place->request_sent();
  if (!started) {
    auto why = refusal_of(started.error());
    parts_.observer.refused(call.context().caller.peer, session->op, why);
    co_return why.reason->reason == "run_reused" ? session_unknown() : to_status(why);
  }
  auto wall_time = std::min<std::chrono::milliseconds>(session->limits.wall_time(), std::chrono::hours(24 * 365));
  // A watchdog's wall time is that of its wake-ups; to be deployed takes a compile.
  if (session->op == core::kWatchOperation) wall_time = std::chrono::milliseconds::zero();
  bool over = false;
  auto status = co_await async::with_deadline(in(wall_time + parts_.run_overhead),
                                              deliver(call, *session, **started, reply, over));
  if (!over) tasks_.spawn(abandon(std::move(*session), std::move(*started), std::move(*place)));
  co_return status ? std::move(*status) : to_status(refusal_of(status.error()));
}

async::Awaitable<Result<rpc::Status>> Service::deliver(
    rpc::ServerCall& call, const Session& session, sandbox::EngineRun& run, JobReply& reply, bool& over) {
  for (;;) {
    NMP_CO_TRY(auto event, co_await run.next());
    if (std::holds_alternative<sandbox::OpenedFrame>(event)) {
      sessions_.opened(session.id);
    } else if (const auto* refused = std::get_if<sandbox::RefusedFrame>(&event)) {
      over = true;
      if (refused->reason == "envelope" && sessions_.open_failed(session.id)) parts_.engine.drop(session.id);
      // A used-up run number is a session that this call may not use: of many at once exactly one wins.
      auto why =
          refused->reason == "run_reused" ? refusal("session_unknown") : refusal(refused->reason, refused->message);
      parts_.observer.refused(call.context().caller.peer, session.op, why);
      co_return to_status(why);
    } else if (const auto* box = std::get_if<sandbox::BoxFrame>(&event)) {
      auto written = co_await reply.box(*box);
      if (!written) co_return rpc::to_status(written.error());
    } else if (const auto* ended = std::get_if<sandbox::EndedFrame>(&event)) {
      over = true;
      parts_.observer.run_ended(session, ended->reason, ended->used);
      auto closed = co_await reply.end();
      if (!closed) co_return rpc::to_status(closed.error());
      co_return rpc::Status();
    }
  }
}

async::Awaitable<void> Service::abandon(Session session, sandbox::EngineRunPtr run, RunQueue::Place /*place*/) {
  run->cancel();
  for (;;) {
    auto event = co_await run->next();
    if (!event || std::holds_alternative<sandbox::RefusedFrame>(*event)) co_return;
    if (std::holds_alternative<sandbox::OpenedFrame>(*event)) sessions_.opened(session.id);
    if (const auto* ended = std::get_if<sandbox::EndedFrame>(&*event)) {
      parts_.observer.run_ended(session, ended->reason, ended->used);
      co_return;
    }
  }
}

}  // namespace nmp::server
