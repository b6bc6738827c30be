// ExecuteLogic: sealed boxes in, sealed boxes out. A slow reader holds the write below, the write holds the engine's credit,
// and the credit holds the guest.
#include "core/envelope.hpp"
#include "core/session_token.hpp"
#include "nmp/v1/nmp.pb.h"
#include "server/service.hpp"

namespace nmp::server {

namespace {

constexpr std::string_view kNegotiate = "/nmp.v1.NeuralMesh/NegotiateIntent";
constexpr std::string_view kNotAvailable[] = {"WatchEvents", "ManageWatch", "GetReceipt", "Prove",
                                              "Attest",      "ReadAudit",   "GetTreeHead"};

async::Awaitable<rpc::Status> not_available(rpc::ServerCall& /*call*/) {
  auto status = to_status(refusal("not_available"));
  status.code = rpc::Code::unimplemented;
  co_return status;
}

rpc::Status session_unknown() { return to_status(refusal("session_unknown")); }

Bytes to_response(const sandbox::BoxFrame& box) {
  nmp::v1::LogicResponse response;
  response.set_sealed(box.sealed.data(), box.sealed.size());
  return to_bytes(response.SerializeAsString());
}

}  // namespace

void Service::register_with(rpc::Server& server) {
  rpc::MethodOptions negotiate_options;
  negotiate_options.message_bytes_max = kIntentRequestBytesMax;
  server.handle(std::string(kNegotiate), [this](rpc::ServerCall& call) { return negotiate(call); }, negotiate_options);
  rpc::MethodOptions execute_options;
  execute_options.message_bytes_max = parts_.config.limits.request_bytes;
  execute_options.inspect_bytes_max = kTokenPrefixBytes;
  execute_options.inspect_prefix = [this](const rpc::CallContext& context, ByteView prefix, bool whole) {
    return inspect_token(context, prefix, whole);
  };
  server.handle(std::string(core::kExecuteLogicMethod), [this](rpc::ServerCall& call) { return execute(call); }, execute_options);
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

async::Awaitable<rpc::Status> Service::execute(rpc::ServerCall& call) {
  nmp::v1::LogicRequest request;
  {
    auto message = co_await call.read_only();
    if (!message) co_return rpc::to_status(message.error());
    if (!request.ParseFromArray(message->data(), static_cast<int>(message->size())))
      co_return to_status(refusal("bad_request", "LogicRequest does not parse"));
  }

  auto token = core::SessionToken::parse(request.session_token());
  if (!token) co_return session_unknown();
  auto session = sessions_.find(token->hash(), call.context().caller.peer, parts_.clock.now());
  if (!session) co_return session_unknown();
  if (request.aes_nonce() != std::string(core::kAesNonceSize, '\0'))
    co_return to_status(refusal("bad_request", "aes_nonce is not the nonce of box 0"));

  sandbox::JobFrame job;
  job.session = session->id;
  job.run = request.run();
  job.method = core::kExecuteLogicMethod;
  job.pqc_ciphertext = to_bytes(request.pqc_ciphertext());
  if (!request.wasm_binary().empty()) job.module = to_bytes(request.wasm_binary());
  job.inputs = to_bytes(request.sealed());
  request.Clear();
  auto started = co_await parts_.engine.job(std::move(job));
  if (!started) {
    auto why = refusal_of(started.error());
    parts_.observer.refused(call.context().caller.peer, "ExecuteLogic", why);
    co_return why.reason->reason == "run_reused" ? session_unknown() : to_status(why);
  }
  auto run = std::move(*started);
  for (;;) {
    auto event = co_await run->next();
    if (!event) co_return to_status(refusal_of(event.error()));
    if (std::holds_alternative<sandbox::OpenedFrame>(*event)) {
      sessions_.opened(session->id);
    } else if (const auto* refused = std::get_if<sandbox::RefusedFrame>(&*event)) {
      // A used-up run number is a session that this call may not use: of many at once exactly one wins.
      bool envelope = refused->reason == "envelope";
      if (envelope && sessions_.open_failed(session->id)) parts_.engine.drop(session->id);
      auto why = refused->reason == "run_reused" ? refusal("session_unknown") : refusal(refused->reason, refused->message);
      parts_.observer.refused(call.context().caller.peer, "ExecuteLogic", why);
      co_return to_status(why);
    } else if (const auto* box = std::get_if<sandbox::BoxFrame>(&*event)) {
      NMP_ASSERT(!box->sealed.empty());
      auto response = to_response(*box);
      auto written = co_await call.write(std::move(response));
      if (!written) co_return rpc::to_status(written.error());
    } else if (const auto* ended = std::get_if<sandbox::EndedFrame>(&*event)) {
      parts_.observer.run_ended(*session, ended->reason, ended->used);
      co_return rpc::Status();
    }
  }
}

}  // namespace nmp::server
