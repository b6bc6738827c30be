// NegotiateIntent: cheap checks before dear ones; until the signature holds, every refusal is one generic reason.
#include "core/answer.hpp"
#include "core/capability.hpp"
#include "core/intent.hpp"
#include "core/session_token.hpp"
#include "nmp/v1/nmp.pb.h"
#include "server/service.hpp"

namespace nmp::server {

namespace {
std::unexpected<Refusal> refuse(std::string_view reason, std::string message = {}) {
  return std::unexpected(refusal(reason, std::move(message)));
}
std::unexpected<Refusal> refuse(const Error& error) { return std::unexpected(refusal_of(error)); }

/// No guest runs: what is bounded is the answer. A stream of events is as long as its time.
core::Authorization watch_request_limits(std::string_view op) {
  constexpr std::uint64_t kAny = 1ULL << 62;
  const bool stream = op == core::kEventsOperation;
  core::Authorization limits;
  limits.memory_bytes = 0;
  limits.fuel = 0;
  limits.wall_time_ms = static_cast<std::uint64_t>(
      std::chrono::milliseconds(stream ? std::chrono::seconds(kWatchStreamLife) : kWatchRequestTime).count());
  limits.output_bytes = kWatchAnswerBytesMax;
  limits.event_bytes = stream ? kAny : 0;
  limits.events = stream ? kAny : 0;
  limits.diagnostic_bytes = 0;
  limits.input_bytes = kWatchRequestBytesMax;
  return limits;
}
}  // namespace

async::Awaitable<rpc::Status> Service::negotiate(rpc::ServerCall& call) {
  auto message = co_await call.read_only();
  if (!message) co_return rpc::to_status(message.error());
  auto caller = call.context().caller.peer;
  auto decided = co_await decide(std::move(*message), caller);
  if (!decided) {
    parts_.observer.refused(caller, "NegotiateIntent", decided.error());
    co_return to_status(decided.error());
  }
  call.admit_connection();
  auto written = co_await call.write(std::move(*decided));
  if (!written) co_return rpc::to_status(written.error());
  co_return rpc::Status();
}

async::Awaitable<std::expected<Bytes, Refusal>> Service::decide(Bytes request_bytes,
                                                                std::optional<libp2p::PeerId> caller) {
  nmp::v1::IntentRequest request;
  if (!request.ParseFromArray(request_bytes.data(), static_cast<int>(request_bytes.size())))
    co_return refuse("intent_refused");

  // Size, encoding and schema; then time, addressee, caller, signature.
  auto received = core::parse_intent(bytes_of(request.proof_of_intent()));
  if (!received) co_return refuse("intent_refused");
  const auto& intent = received->intent;
  auto now = parts_.store.now(parts_.clock.unix_now());
  if (!now) co_return refuse(core::refusal_to_tell(*received, now.error()));
  core::IntentExpectations expected{.me = parts_.me};
  expected.caller = caller;
  expected.now = *now;
  // An operation that is none of ours is wrong whatever it is.
  expected.op = core::kRunOperation;
  if (intent.op == core::kWatchOperation || core::is_watch_request(intent.op)) expected.op = intent.op;
  expected.agent_did = request.agent_did();
  expected.capability_field = request.capability_hash();
  if (auto checked = core::check_intent(*received, expected); !checked)
    co_return refuse(core::refusal_to_tell(*received, checked.error()));

  // The signature holds: from here on the reasons are the agent's to know.
  if (auto accepted = parts_.store.accept_intent(intent.agent, intent.nonce, intent.expires, *now); !accepted)
    co_return refuse(accepted.error());
  if (!request.grant().empty() || intent.grant_hash)
    co_return refuse("not_available", "this node does not read grants yet; open capabilities need none");
  auto allowed = allowed_for(intent);
  if (!allowed) co_return std::unexpected(std::move(allowed).error());
  if (intent.receipt_kind != core::ReceiptKind::is_signed)
    co_return refuse("not_available", "this node makes signed receipts only");
  if (intent.via) co_return refuse("not_available", "this node takes no calls on behalf of others yet");

  Session session(intent.agent);
  session.id = parts_.random.bytes<16>();
  session.over_libp2p = caller.has_value();
  session.op = intent.op;
  session.capability = intent.capability;
  session.module_hash = intent.module_hash;
  session.limits = core::minimum(allowed->limits, intent.limits);
  session.expires = parts_.clock.now() + kSessionLife;
  session.runs_left = allowed->runs;
  auto token = core::SessionToken::generate(parts_.random);
  session.token_hash = token.hash();
  sweep();
  if (auto added = sessions_.add(session, parts_.clock.now()); !added)
    co_return refuse("too_many_sessions", added.error().context);

  // Dearest last: the engine's key pairs. It makes them even if the caller is gone by then.
  auto keys = co_await parts_.engine.open(session.id, received->cose);
  if (!keys) {
    drop(session.id);
    co_return refuse(keys.error());
  }
  core::Answer answer;
  answer.intent_hash = received->hash;
  answer.kem_key_hash = crypto::sha256(keys->kem_key);
  answer.x25519_key = keys->x25519_key;
  answer.token_hash = session.token_hash;
  answer.limits = session.limits;
  answer.expires = *now + kSessionLife.count();
  answer.manifest_hash = parts_.manifest_hash();
  auto signed_answer = core::sign_answer(answer, parts_.identity);
  if (!signed_answer) {
    drop(session.id);
    co_return refuse(signed_answer.error());
  }
  sandbox::BindFrame bind;
  bind.session = session.id;
  bind.answer = *signed_answer;
  bind.limits = session.limits;
  bind.datasets = std::move(allowed->datasets);
  bind.runs = allowed->runs;
  bind.watch = allowed->watch;
  if (auto bound = co_await parts_.engine.bind(std::move(bind)); !bound) {
    drop(session.id);
    co_return refuse(bound.error());
  }
  if (caller) parts_.trust(*caller);
  parts_.observer.negotiated(intent.agent, session);

  nmp::v1::IntentResponse response;
  response.set_accepted(true);
  response.set_session_token(token.to_text());
  response.set_kyber_public_key(keys->kem_key.data(), keys->kem_key.size());
  response.set_answer(signed_answer->data(), signed_answer->size());
  response.set_module_cached(keys->module_cached);
  co_return to_bytes(response.SerializeAsString());
}

std::expected<Service::Allowed, Refusal> Service::allowed_for(const core::Intent& intent) const {
  Allowed out;
  if (core::is_watch_request(intent.op)) {
    // About what is there already: whose it is the engine knows.
    if (!parts_.keeps_watchdogs) return refuse("not_available", "this node keeps no watchdogs");
    if (intent.capability != core::kWatchdogsCapability) return refuse("unknown_capability");
    out.limits = watch_request_limits(intent.op);
    return out;
  }
  const auto* capability = parts_.config.capability(intent.capability);
  if (capability == nullptr) return refuse("unknown_capability");
  if (!capability->open) return refuse("grant_required");
  out.limits = capability->limits;
  out.datasets = capability->datasets;
  if (intent.op == core::kWatchOperation) {
    if (!capability->watch) return refuse("not_available", "this capability takes no watchdogs");
    out.watch = capability->watch;
  } else {
    out.runs = capability->runs_per_session;
  }
  return out;
}

void Service::drop(const SessionId& id) {
  sessions_.erase(id);
  parts_.engine.drop(id);
}

void Service::sweep() {
  for (const auto& id : sessions_.expire(parts_.clock.now())) parts_.engine.drop(id);
}

}  // namespace nmp::server
