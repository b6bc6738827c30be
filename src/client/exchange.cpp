#include "client/exchange.hpp"

#include <deque>

#include "core/answer.hpp"
#include "core/capability.hpp"
#include "core/did.hpp"
#include "core/watch.hpp"
#include "crypto/random.hpp"
#include "nmp/v1/nmp.pb.h"
#include "verify/receipt_check.hpp"

namespace nmp::client {

namespace {

constexpr std::string_view kNegotiateMethod = "/nmp.v1.NeuralMesh/NegotiateIntent";
/// How long an intent lives (security rules: at most 120 s).
constexpr UnixSeconds kIntentLife = 60;
/// What a node may make the agent hold: an answer with enclave evidence; one box, of which the largest is a piece of 64
/// KiB.
constexpr std::size_t kIntentResponseBytesMax = 256 * 1024;
constexpr std::size_t kLogicResponseBytesMax = 1024 * 1024;
constexpr std::size_t kManageWatchResponseBytesMax = 2 * 1024 * 1024;

double seconds_since(Instant start) {
  return std::chrono::duration<double>(async::system_clock().now() - start).count();
}

/// How a gRPC status of the node reads to the agent.
Failure failure_of(const rpc::Status& status) {
  auto reason = status.reason();
  Failure out;
  if (!reason.empty() && core::find_reason(reason) != nullptr) {
    out = failure(reason, status.message);
    out.from_node = true;
    return out;
  }
  switch (status.code) {
    case rpc::Code::deadline_exceeded: return failure("deadline_exceeded", status.message);
    case rpc::Code::cancelled: return failure("cancelled", status.message);
    case rpc::Code::unavailable: return failure("unavailable", status.message);
    case rpc::Code::resource_exhausted: out = failure("too_large", status.message); break;
    default: out = failure("internal", std::string(rpc::name_of(status.code)) + ": " + status.message); break;
  }
  out.from_node = true;
  return out;
}

/// Fields of the first version's form: no suite-1 message has them.
bool has_open_content(const nmp::v1::LogicResponse& response) {
  return !response.semantic_evidence().empty() || !response.cryptographic_proof().empty() ||
         !response.zk_receipt().empty() || response.is_error() || !response.error().empty();
}

}  // namespace

Failure failure_of(const Error& error) { return failure(core::reason_of(error.code).reason, error.message()); }

Failure failure(std::string_view reason, std::string message) {
  const auto* row = core::find_reason(reason);
  if (row == nullptr) row = core::find_reason("internal");
  NMP_ASSERT(row != nullptr);
  if (message.empty()) message = row->meaning;
  Failure out;
  out.reason = row;
  out.message = std::move(message);
  return out;
}

struct Session::Parts {
  Parts(libp2p::PeerId id, core::ReceivedIntent sent, core::ReceivedAnswer got, core::AgentEnvelope keys)
      : node(std::move(id)), intent(std::move(sent)), answer(std::move(got)), envelope(std::move(keys)) {}
  libp2p::PeerId node;
  core::ReceivedIntent intent;
  core::ReceivedAnswer answer;
  core::AgentEnvelope envelope;
  std::string token;
  const RunRequest* request = nullptr;
  core::Salt input_salt{};
  bool module_cached = false;
  std::uint32_t next_run = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
};

Session::Session(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Session::~Session() = default;
const core::Authorization& Session::limits() const { return parts_->answer.answer.limits; }
const libp2p::PeerId& Session::node() const { return parts_->node; }

async::Awaitable<Attempt<SessionPtr>> negotiate_over(rpc::Channel& channel,
                                                     libp2p::PeerId node,
                                                     const libp2p::KeyPair& identity,
                                                     std::optional<crypto::Digest> manifest_hash,
                                                     const RunRequest& request,
                                                     Instant deadline) {
  auto started = async::system_clock().now();
  auto& random = crypto::system_random();
  auto x25519 = crypto::X25519KeyPair::generate(random);
  core::Salt salt = random.bytes<32>();
  auto me = libp2p::PeerId::of(identity.public_key());
  core::Intent intent{.node = node, .agent = me};
  intent.op = request.op;
  intent.capability = request.capability;
  if (!core::is_watch_request(request.op)) intent.module_hash = crypto::sha256(request.module);
  intent.input_commitment = core::commit_inputs(salt, request.inputs);
  if (!request.grant.empty()) intent.grant_hash = crypto::sha256(request.grant);
  intent.limits = request.limits;
  intent.x25519_key = x25519.public_key();
  intent.nonce = random.bytes<32>();
  intent.issued = async::system_clock().unix_now();
  intent.expires = intent.issued + kIntentLife;
  intent.receipt_kind = request.require;
  auto signed_intent = core::sign_intent(intent, identity.ed25519());
  if (!signed_intent) co_return std::unexpected(failure_of(signed_intent.error()));
  auto sent = core::parse_intent(*signed_intent);
  NMP_ASSERT(sent);

  nmp::v1::IntentRequest message;
  message.set_agent_did(core::did_of(me).value_or(std::string()));
  message.set_capability_hash(core::capability_hash(request.capability));
  message.set_proof_of_intent(signed_intent->data(), signed_intent->size());
  message.set_grant(request.grant.data(), request.grant.size());
  auto wire = to_bytes(message.SerializeAsString());
  auto bytes_sent = wire.size();
  rpc::CallOptions options;
  options.deadline = deadline;
  options.message_bytes_max = kIntentResponseBytesMax;
  auto reply = co_await channel.unary_reply(std::string(kNegotiateMethod), std::move(wire), std::move(options));
  if (!reply.status.ok()) co_return std::unexpected(failure_of(reply.status));
  nmp::v1::IntentResponse response;
  if (!response.ParseFromArray(reply.message.data(), static_cast<int>(reply.message.size())))
    co_return std::unexpected(failure("bad_answer", "IntentResponse does not parse"));
  if (!response.accepted()) co_return std::unexpected(failure("bad_answer", "an answer that is not an acceptance"));

  auto answer = core::parse_answer(bytes_of(response.answer()));
  if (!answer) co_return std::unexpected(failure("bad_answer", answer.error().message()));
  core::AnswerExpectations expected{.node = node};
  expected.intent = &*sent;
  expected.kem_key = bytes_of(response.kyber_public_key());
  expected.session_token = response.session_token();
  expected.enclave_evidence = bytes_of(response.enclave_evidence());
  expected.manifest_hash = manifest_hash;
  expected.now = async::system_clock().unix_now();
  if (auto checked = core::check_answer(*answer, expected); !checked)
    co_return std::unexpected(failure("bad_answer", checked.error().message()));
  auto transcript = core::transcript_hash(*signed_intent, bytes_of(response.answer()));
  auto envelope = core::AgentEnvelope::make(transcript, bytes_of(response.kyber_public_key()), x25519,
                                            answer->answer.x25519_key, random);
  if (!envelope) co_return std::unexpected(failure("bad_answer", envelope.error().message()));

  auto parts = std::make_unique<Session::Parts>(node, std::move(*sent), std::move(*answer), std::move(*envelope));
  parts->token = response.session_token();
  parts->request = &request;
  parts->input_salt = salt;
  parts->module_cached = response.module_cached();
  parts->bytes_sent = bytes_sent;
  parts->bytes_received = reply.message.size();
  auto session = std::make_unique<Session>(std::move(parts));
  session->pinned = request.pinned;
  session->seconds.negotiate = seconds_since(started);
  co_return session;
}

namespace {

/// What all requests have, whatever their message.
template <class Message>
Result<Bytes> finish_request(Message& message, const Session::Parts& parts, core::AgentRun& run) {
  core::SealedInputs inputs;
  inputs.inputs = parts.request->inputs;
  inputs.salt = parts.input_salt;
  NMP_TRY(auto sealed, run.seal_inputs(inputs));
  message.set_sealed(sealed.data(), sealed.size());
  message.set_session_token(parts.token);
  auto nonce = core::AgentEnvelope::aes_nonce();
  message.set_aes_nonce(nonce.data(), nonce.size());
  message.set_pqc_ciphertext(parts.envelope.ciphertext().data(), parts.envelope.ciphertext().size());
  message.set_run(run.run());
  return to_bytes(message.SerializeAsString());
}

/// The message of a run, or of what is asked about watchdogs. Errors: core's.
Result<Bytes> seal_request(const Session::Parts& parts, core::AgentRun& run) {
  const auto method = core::method_of(parts.request->op);
  if (method == core::kWatchEventsMethod) {
    nmp::v1::WatchEventsRequest message;
    return finish_request(message, parts, run);
  }
  if (method == core::kManageWatchMethod) {
    nmp::v1::ManageWatchRequest message;
    return finish_request(message, parts, run);
  }
  nmp::v1::LogicRequest message;
  if (parts.module_cached) {
    message.set_module_sha256(parts.intent.intent.module_hash.data(), parts.intent.intent.module_hash.size());
  } else {
    NMP_TRY(auto module, run.seal_module(parts.request->module));
    message.set_wasm_binary(module.data(), module.size());
  }
  return finish_request(message, parts, run);
}

/// Sealed boxes as they come, of whichever call.
class BoxReader {
 public:
  BoxReader(rpc::ClientCall& call, bool single) : call_(call), single_(single) {}

  /// The next box; nothing at the end of the call.
  async::Awaitable<Attempt<std::optional<Bytes>>> next() {
    if (waiting_.empty()) {
      auto read = co_await call_.read();
      if (!read) co_return std::unexpected(failure("cancelled"));
      if (!*read) co_return std::optional<Bytes>();
      bytes_ += (*read)->size();
      auto parsed = single_ ? parse_single(**read) : parse_one(**read);
      if (!parsed) co_return std::unexpected(parsed.error());
      if (waiting_.empty()) co_return std::unexpected(failure("bad_answer", "an answer without a box"));
    }
    auto box = std::move(waiting_.front());
    waiting_.pop_front();
    co_return std::optional<Bytes>(std::move(box));
  }
  /// Of the messages so far.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  Attempt<void> parse_one(ByteView message) {
    nmp::v1::LogicResponse response;
    if (!response.ParseFromArray(message.data(), static_cast<int>(message.size())))
      return std::unexpected(failure("bad_answer", "LogicResponse does not parse"));
    if (has_open_content(response))
      return std::unexpected(failure("bad_answer", "a LogicResponse with unsealed content"));
    waiting_.push_back(to_bytes(response.sealed()));
    return {};
  }
  Attempt<void> parse_single(ByteView message) {
    nmp::v1::ManageWatchResponse response;
    if (!response.ParseFromArray(message.data(), static_cast<int>(message.size())))
      return std::unexpected(failure("bad_answer", "ManageWatchResponse does not parse"));
    for (const auto& box : response.boxes()) waiting_.push_back(to_bytes(box));
    return {};
  }

  rpc::ClientCall& call_;
  bool single_;
  std::deque<Bytes> waiting_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

async::Awaitable<Attempt<Executed>> execute_over(rpc::Channel& channel,
                                                 Session& session,
                                                 Instant deadline,
                                                 RunObserver& observer) {
  auto& parts = session.parts();
  const auto& request = *parts.request;
  auto started = async::system_clock().now();
  auto sent_at = async::system_clock().unix_now();

  auto number = parts.next_run++;
  const auto method = core::method_of(request.op);
  auto run = parts.envelope.begin(number, method);
  if (!run) co_return std::unexpected(failure_of(run.error()));
  auto wire = seal_request(parts, *run);
  if (!wire) co_return std::unexpected(failure_of(wire.error()));

  RunOutcome outcome(parts.node);
  outcome.limits = parts.answer.answer.limits;
  outcome.pinned = session.pinned;
  outcome.bytes_sent = parts.bytes_sent + wire->size();
  outcome.bytes_received = parts.bytes_received;
  rpc::CallOptions options;
  options.deadline = deadline;
  const bool single = method == core::kManageWatchMethod;
  options.message_bytes_max = single ? kManageWatchResponseBytesMax : kLogicResponseBytesMax;
  auto call = channel.call(std::string(method), options);
  auto written = co_await call->write(std::move(*wire));
  if (!written) {
    auto status = co_await call->finish();
    co_return std::unexpected(failure_of(status));
  }
  call->writes_done();

  std::vector<crypto::Digest> event_hashes;
  std::uint64_t event_bytes = 0;
  std::optional<core::ReceiptBody> receipt;
  BoxReader boxes(*call, single);
  for (;;) {
    auto box = co_await boxes.next();
    if (!box) co_return std::unexpected(box.error());
    if (!*box) break;
    auto body = run->open(**box);
    if (!body) co_return std::unexpected(failure_of(body.error()));
    if (auto* event = std::get_if<core::EventBody>(&*body)) {
      event_bytes += event->data.size();
      if (outcome.events == outcome.limits.events || event_bytes > outcome.limits.event_bytes)
        co_return std::unexpected(failure("bad_answer", "more events than agreed"));
      event_hashes.push_back(crypto::sha256(event->data));
      const auto sequence = event->sequence.value_or(outcome.events);
      ++outcome.events;
      co_await observer.event(parts.node, sequence, event->data);
    } else if (auto* evidence = std::get_if<core::EvidenceBody>(&*body)) {
      if (outcome.evidence.size() + evidence->data.size() > outcome.limits.output_bytes)
        co_return std::unexpected(failure("bad_answer", "more evidence than agreed"));
      append(outcome.evidence, evidence->data);
    } else if (auto* diagnostics = std::get_if<core::DiagnosticsBody>(&*body)) {
      if (outcome.diagnostics.size() + diagnostics->data.size() > outcome.limits.diagnostic_bytes)
        co_return std::unexpected(failure("bad_answer", "more diagnostics than agreed"));
      append(outcome.diagnostics, diagnostics->data);
    } else if (auto* error = std::get_if<core::HostErrorBody>(&*body)) {
      outcome.reason = error->reason;
      outcome.explanation = error->message;
      receipt = std::move(error->receipt);
    } else if (auto* final = std::get_if<core::ReceiptBody>(&*body)) {
      receipt = std::move(*final);
    }
  }
  outcome.bytes_received += boxes.bytes();
  auto status = co_await call->finish();
  if (auto finished = run->check_finished(); !finished) {
    // Without its final box a stream is truncated, whatever its trailers say; an error status is still the likelier
    // cause.
    if (!status.ok()) co_return std::unexpected(failure_of(status));
    co_return std::unexpected(failure("truncated", "the stream ended without a final box"));
  }
  outcome.seconds = session.seconds;
  outcome.seconds.run = seconds_since(started);
  if (!receipt) {
    if (outcome.reason.empty()) co_return std::unexpected(failure("bad_receipt", "the run has no receipt"));
    co_return Executed(std::move(outcome));
  }

  verify::RunKnowledge knowledge;
  knowledge.intent = &parts.intent;
  knowledge.answer_hash = parts.answer.hash;
  knowledge.effective_limits = &outcome.limits;
  knowledge.run = number;
  knowledge.inputs = &request.inputs;
  knowledge.input_salt = parts.input_salt;
  knowledge.evidence = outcome.evidence;
  knowledge.event_hashes = &event_hashes;
  knowledge.openings = receipt->openings;
  knowledge.enclave_evidence = parts.answer.answer.enclave_evidence;
  knowledge.sent = sent_at;
  knowledge.received = async::system_clock().unix_now();
  auto report = verify::check_own_receipt(receipt->proof, knowledge);
  if (auto why = report.failure()) co_return std::unexpected(failure("bad_receipt", why->message()));
  NMP_ASSERT(report.receipt);  // or its form had failed
  const auto& statement = report.receipt->receipt;
  if (!outcome.reason.empty() && outcome.reason != statement.exit.reason)
    co_return std::unexpected(failure("bad_receipt", "the receipt tells of another end than the host"));
  if (statement.exit.reason != "ok") outcome.reason = statement.exit.reason;
  outcome.exit_code = statement.exit.code;
  outcome.used = statement.used;
  outcome.receipt = report.receipt->cose;
  outcome.receipt_id = report.receipt->hash;

  store::RunRecord record{.receipt_id = outcome.receipt_id, .node = parts.node};
  record.intent_hash = parts.intent.hash;
  record.capability = request.capability;
  record.time = knowledge.received;
  record.proof = receipt->proof;
  record.input_salt = parts.input_salt;
  record.openings = receipt->openings;
  Executed executed(std::move(outcome));
  executed.record = std::move(record);
  co_return executed;
}

}  // namespace nmp::client
