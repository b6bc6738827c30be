#include "client/agent.hpp"

#include "base/async/with_deadline.hpp"
#include "base/encoding.hpp"
#include "core/answer.hpp"
#include "core/capability.hpp"
#include "core/did.hpp"
#include "crypto/random.hpp"
#include "nmp/v1/nmp.pb.h"
#include "verify/receipt_check.hpp"

namespace nmp::client {

namespace {

constexpr std::string_view kGrpcProtocol = "/nmp/grpc/1.0.0";
constexpr std::string_view kNegotiateMethod = "/nmp.v1.NeuralMesh/NegotiateIntent";
/// How long an intent lives (security rules: at most 120 s).
constexpr UnixSeconds kIntentLife = 60;
/// A manifest is read whole; core caps what it may hold, this caps what is read.
constexpr std::size_t kManifestBytesMax = 256 * 1024;
/// Then the next bootstrap address is tried.
constexpr std::chrono::seconds kBootstrapPatience{5};

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

Failure failure_of(const Error& error) { return failure(core::reason_of(error.code).reason, error.message()); }

}  // namespace

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
  bool pinned = false;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  StepTimes seconds;
};

Session::Session(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Session::~Session() = default;
const core::Authorization& Session::limits() const { return parts_->answer.answer.limits; }
const libp2p::PeerId& Session::node() const { return parts_->node; }

class Agent::Impl {
 public:
  Impl(async::Executor on, AgentOptions given, std::unique_ptr<store::Store> records, std::unique_ptr<libp2p::Host> node)
      : executor(std::move(on)), options(std::move(given)), store(std::move(records)), host(std::move(node)) {
    libp2p::DhtOptions dht_options;
    dht_options.server = false;
    dht_options.bootstrap = options.bootstrap;
    dht = std::make_unique<libp2p::Dht>(*host, std::move(dht_options));
  }

  /// One gRPC connection per node, made anew once it is dead.
  async::Awaitable<Attempt<rpc::Channel*>> channel(libp2p::PeerId node, Instant deadline) {
    auto it = channels.find(node);
    if (it != channels.end() && it->second->alive()) co_return it->second.get();
    if (it != channels.end()) {
      auto dead = std::move(it->second);
      channels.erase(it);
      co_await dead->close();
    }
    std::vector<std::string> protocols{std::string(kGrpcProtocol)};
    auto stream = co_await host->open_stream(node, std::move(protocols), deadline);
    if (!stream) co_return std::unexpected(failure("unavailable", stream.error().message()));
    auto made = rpc::Channel::make(executor, std::move(*stream), rpc::ChannelOptions());
    auto* raw = made.get();
    channels.insert_or_assign(node, std::move(made));
    co_return raw;
  }

  async::Executor executor;
  AgentOptions options;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<libp2p::Host> host;
  std::unique_ptr<libp2p::Dht> dht;
  std::map<libp2p::PeerId, std::unique_ptr<rpc::Channel>> channels;
};

Agent::Agent(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Agent::~Agent() = default;

Result<std::unique_ptr<Agent>> Agent::make(async::Executor executor, AgentOptions options) {
  auto file = options.state.empty() ? std::filesystem::path() : options.state / "agent.db";
  NMP_TRY(auto store, store::Store::open(file));
  libp2p::HostOptions host_options(options.identity.copy());
  host_options.key_log = options.key_log;
  NMP_TRY(auto host, libp2p::Host::make(executor, std::move(host_options)));
  auto impl = std::make_unique<Impl>(executor, std::move(options), std::move(store), std::move(host));
  return std::unique_ptr<Agent>(new Agent(std::move(impl)));
}

libp2p::Host& Agent::host() { return *impl_->host; }
libp2p::Dht& Agent::dht() { return *impl_->dht; }
store::Store& Agent::store() { return *impl_->store; }

async::Awaitable<Attempt<std::size_t>> Agent::join(Instant deadline) {
  if (impl_->options.bootstrap.empty())
    co_return std::unexpected(failure("nobody_reachable", "no bootstrap address: give --bootstrap, or set NMP_BOOTSTRAP"));
  // A client fills no routing table of its own: one member of the mesh is where its lookups start.
  std::string last;
  auto peers = impl_->options.bootstrap;
  for (auto& peer : peers) {
    auto id = peer.id;
    auto until = std::min(deadline, async::system_clock().now() + kBootstrapPatience);
    auto connected = co_await impl_->host->connect(std::move(peer), until);
    if (connected) co_return std::size_t{1};
    if (connected.error().code == Errc::cancelled) co_return std::unexpected(failure("cancelled"));
    last = id.to_text() + ": " + connected.error().message();
  }
  co_return std::unexpected(failure("nobody_reachable", "no bootstrap peer answered; " + last));
}

async::Awaitable<Attempt<std::vector<libp2p::PeerInfo>>> Agent::find(
    std::string capability, std::size_t count, libp2p::Dht::ProviderFound found, Instant deadline) {
  auto key = core::capability_key(capability);
  auto providers = co_await impl_->dht->find_providers(std::move(key), count, std::move(found), deadline);
  if (providers) co_return std::move(*providers);
  if (providers.error().code == Errc::cancelled) co_return std::unexpected(failure("cancelled"));
  co_return std::unexpected(failure("nobody_found", "the mesh knows no provider of " + capability));
}

namespace {
async::Awaitable<Result<Bytes>> read_to_end(libp2p::Stream& stream, std::size_t size_max) {
  Bytes all;
  std::array<std::byte, 4096> buffer{};
  for (;;) {
    NMP_CO_TRY(auto size, co_await stream.read_some(buffer));
    if (size == 0) co_return all;
    if (all.size() + size > size_max) co_return fail(Errc::too_large);
    append(all, ByteView(buffer).first(size));
  }
}
}  // namespace

async::Awaitable<Attempt<core::ReceivedManifest>> Agent::manifest(libp2p::PeerInfo node, Instant deadline) {
  auto id = node.id;
  auto connected = co_await impl_->host->connect(std::move(node), deadline);
  if (!connected) co_return std::unexpected(failure("nobody_reachable", connected.error().message()));
  std::vector<std::string> protocols{std::string(core::kManifestProtocol)};
  auto stream = co_await impl_->host->open_stream(id, std::move(protocols), deadline);
  if (!stream) co_return std::unexpected(failure("nobody_reachable", stream.error().message()));
  auto closed = co_await (*stream)->close_write();
  if (!closed) co_return std::unexpected(failure("nobody_reachable", closed.error().message()));
  auto bytes = co_await async::with_deadline(deadline, read_to_end(**stream, kManifestBytesMax));
  if (!bytes) co_return std::unexpected(failure("bad_manifest", bytes.error().message()));
  auto now = async::system_clock().unix_now();
  auto received = core::verify_manifest(*bytes, id, now);
  if (!received) co_return std::unexpected(failure("bad_manifest", received.error().message()));
  auto accepted = impl_->store->accept_manifest(id, received->manifest.seq, received->hash, now);
  if (!accepted) co_return std::unexpected(failure("bad_manifest", accepted.error().message()));
  co_return std::move(*received);
}

async::Awaitable<Attempt<SessionPtr>> Agent::negotiate(libp2p::PeerInfo node,
                                                       const RunRequest& request,
                                                       Instant deadline,
                                                       RunObserver& observer) {
  if (request.require != core::ReceiptKind::is_signed)
    co_return std::unexpected(failure("not_available", "receipts of that kind are not available"));
  auto started = async::system_clock().now();
  auto id = node.id;
  observer.step(id, "connect");
  auto manifest = co_await this->manifest(std::move(node), deadline);
  if (!manifest) co_return std::unexpected(manifest.error());
  if (manifest->manifest.find(request.capability) == nullptr)
    co_return std::unexpected(failure("unknown_capability", "the node's manifest does not offer " + request.capability));
  StepTimes seconds;
  seconds.connect = seconds_since(started);
  started = async::system_clock().now();

  observer.step(id, "negotiate");
  auto channel = co_await impl_->channel(id, deadline);
  if (!channel) co_return std::unexpected(channel.error());

  auto& random = crypto::system_random();
  auto x25519 = crypto::X25519KeyPair::generate(random);
  core::Salt salt = random.bytes<32>();
  auto me = impl_->host->id();
  core::Intent intent{.node = id, .agent = me};
  intent.capability = request.capability;
  intent.module_hash = crypto::sha256(request.module);
  intent.input_commitment = core::commit_inputs(salt, request.inputs);
  if (!request.grant.empty()) intent.grant_hash = crypto::sha256(request.grant);
  intent.limits = request.limits;
  intent.x25519_key = x25519.public_key();
  intent.nonce = random.bytes<32>();
  intent.issued = async::system_clock().unix_now();
  intent.expires = intent.issued + kIntentLife;
  intent.receipt_kind = request.require;
  auto signed_intent = core::sign_intent(intent, impl_->options.identity.ed25519());
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
  auto reply = co_await (*channel)->unary_reply(std::string(kNegotiateMethod), std::move(wire), std::move(options));
  if (!reply.status.ok()) co_return std::unexpected(failure_of(reply.status));
  nmp::v1::IntentResponse response;
  if (!response.ParseFromArray(reply.message.data(), static_cast<int>(reply.message.size())))
    co_return std::unexpected(failure("bad_answer", "IntentResponse does not parse"));

  auto answer = core::parse_answer(bytes_of(response.answer()));
  if (!answer) co_return std::unexpected(failure("bad_answer", answer.error().message()));
  core::AnswerExpectations expected{.node = id};
  expected.intent = &*sent;
  expected.kem_key = bytes_of(response.kyber_public_key());
  expected.session_token = response.session_token();
  expected.enclave_evidence = bytes_of(response.enclave_evidence());
  expected.manifest_hash = manifest->hash;
  expected.now = async::system_clock().unix_now();
  if (auto checked = core::check_answer(*answer, expected); !checked)
    co_return std::unexpected(failure("bad_answer", checked.error().message()));
  auto transcript = core::transcript_hash(*signed_intent, bytes_of(response.answer()));
  auto envelope = core::AgentEnvelope::make(
      transcript, bytes_of(response.kyber_public_key()), x25519, answer->answer.x25519_key, random);
  if (!envelope) co_return std::unexpected(failure("bad_answer", envelope.error().message()));

  auto parts = std::make_unique<Session::Parts>(id, std::move(*sent), std::move(*answer), std::move(*envelope));
  parts->token = response.session_token();
  parts->request = &request;
  parts->input_salt = salt;
  parts->module_cached = response.module_cached();
  parts->pinned = request.pinned || impl_->options.trust.find(id) != nullptr;
  parts->bytes_sent = bytes_sent;
  parts->bytes_received = reply.message.size();
  parts->seconds = seconds;
  parts->seconds.negotiate = seconds_since(started);
  co_return std::make_unique<Session>(std::move(parts));
}

async::Awaitable<Attempt<RunOutcome>> Agent::execute(Session& session, Instant deadline, RunObserver& observer) {
  auto& parts = *session.parts_;
  const auto& request = *parts.request;
  auto started = async::system_clock().now();
  auto sent_at = async::system_clock().unix_now();
  observer.step(parts.node, "run");
  auto channel = co_await impl_->channel(parts.node, deadline);
  if (!channel) co_return std::unexpected(channel.error());

  auto number = parts.next_run++;
  auto run = parts.envelope.begin(number);
  if (!run) co_return std::unexpected(failure_of(run.error()));
  nmp::v1::LogicRequest message;
  message.set_session_token(parts.token);
  if (parts.module_cached) {
    message.set_module_sha256(parts.intent.intent.module_hash.data(), parts.intent.intent.module_hash.size());
  } else {
    auto module = run->seal_module(request.module);
    if (!module) co_return std::unexpected(failure_of(module.error()));
    message.set_wasm_binary(module->data(), module->size());
  }
  core::SealedInputs inputs;
  inputs.inputs = request.inputs;
  inputs.salt = parts.input_salt;
  auto sealed = run->seal_inputs(inputs);
  if (!sealed) co_return std::unexpected(failure_of(sealed.error()));
  message.set_sealed(sealed->data(), sealed->size());
  auto nonce = core::AgentEnvelope::aes_nonce();
  message.set_aes_nonce(nonce.data(), nonce.size());
  message.set_pqc_ciphertext(parts.envelope.ciphertext().data(), parts.envelope.ciphertext().size());
  message.set_run(number);
  auto wire = to_bytes(message.SerializeAsString());
  message.Clear();

  RunOutcome outcome(parts.node);
  outcome.limits = parts.answer.answer.limits;
  outcome.pinned = parts.pinned;
  outcome.bytes_sent = parts.bytes_sent + wire.size();
  outcome.bytes_received = parts.bytes_received;
  rpc::CallOptions options;
  options.deadline = deadline;
  auto call = (*channel)->call(std::string(core::kExecuteLogicMethod), std::move(options));
  auto written = co_await call->write(std::move(wire));
  if (!written) {
    auto status = co_await call->finish();
    co_return std::unexpected(failure_of(status));
  }
  call->writes_done();

  std::vector<crypto::Digest> event_hashes;
  std::optional<core::ReceiptBody> receipt;
  for (;;) {
    auto read = co_await call->read();
    if (!read) co_return std::unexpected(failure("cancelled"));
    if (!*read) break;
    outcome.bytes_received += (*read)->size();
    nmp::v1::LogicResponse response;
    if (!response.ParseFromArray((*read)->data(), static_cast<int>((*read)->size())))
      co_return std::unexpected(failure("bad_answer", "LogicResponse does not parse"));
    auto body = run->open(bytes_of(response.sealed()));
    if (!body) co_return std::unexpected(failure_of(body.error()));
    if (auto* event = std::get_if<core::EventBody>(&*body)) {
      event_hashes.push_back(crypto::sha256(event->data));
      observer.event(parts.node, outcome.events++, event->data);
      if (outcome.events > outcome.limits.events) co_return std::unexpected(failure("bad_answer", "more events than agreed"));
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
  auto status = co_await call->finish();
  if (auto finished = run->check_finished(); !finished) {
    // Without its final box a stream is truncated, whatever its trailers say; an error status is still the likelier cause.
    if (!status.ok()) co_return std::unexpected(failure_of(status));
    co_return std::unexpected(failure("truncated", "the stream ended without a final box"));
  }
  outcome.seconds = parts.seconds;
  outcome.seconds.run = seconds_since(started);
  if (!receipt) {
    if (outcome.reason.empty()) co_return std::unexpected(failure("bad_receipt", "the run has no receipt"));
    co_return outcome;
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
  knowledge.sent = sent_at;
  knowledge.received = async::system_clock().unix_now();
  auto report = verify::check_own_receipt(receipt->proof, knowledge);
  if (auto why = report.failure()) co_return std::unexpected(failure("bad_receipt", why->message()));
  const auto& statement = report.receipt->receipt;
  if (outcome.reason.empty() && statement.exit.reason != "ok") outcome.reason = statement.exit.reason;
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
  if (auto added = impl_->store->add_run(record); !added)
    co_return std::unexpected(failure("internal", "the run record was not stored: " + added.error().message()));
  co_return outcome;
}

async::Awaitable<Attempt<RunOutcome>> Agent::run(libp2p::PeerInfo node,
                                                 const RunRequest& request,
                                                 Instant deadline,
                                                 RunObserver& observer) {
  auto session = co_await negotiate(std::move(node), request, deadline, observer);
  if (!session) co_return std::unexpected(session.error());
  co_return co_await execute(**session, deadline, observer);
}

async::Awaitable<void> Agent::close() {
  for (auto& [node, channel] : impl_->channels) co_await channel->close();
  impl_->channels.clear();
  co_await impl_->dht->close();
  co_await impl_->host->close();
}

}  // namespace nmp::client
