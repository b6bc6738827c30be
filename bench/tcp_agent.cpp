// What client::Agent does, over rpc::Channel on TCP: the difference between the two is the transport.
#include "base/async/tcp.hpp"
#include "bench.hpp"
#include "core/answer.hpp"
#include "core/capability.hpp"
#include "core/did.hpp"
#include "core/envelope.hpp"
#include "crypto/random.hpp"
#include "dispatcher.hpp"
#include "nmp/v1/nmp.pb.h"
#include "rpc/channel.hpp"
#include "store/store.hpp"
#include "verify/receipt_check.hpp"

namespace nmp::bench {

namespace {

constexpr std::string_view kNegotiateMethod = "/nmp.v1.NeuralMesh/NegotiateIntent";
constexpr UnixSeconds kIntentLife = 60;

Instant now() { return async::system_clock().now(); }
UnixSeconds unix_now() { return async::system_clock().unix_now(); }
double seconds_since(Instant start) { return std::chrono::duration<double>(now() - start).count(); }

struct TcpSession {
  TcpSession(core::ReceivedIntent sent, core::ReceivedAnswer got, core::AgentEnvelope keys)
      : intent(std::move(sent)), answer(std::move(got)), envelope(std::move(keys)) {}
  core::ReceivedIntent intent;
  core::ReceivedAnswer answer;
  core::AgentEnvelope envelope;
  std::string token;
  const client::RunRequest* request = nullptr;
  core::Salt input_salt{};
  bool module_cached = false;
  std::uint32_t next_run = 0;
  double negotiate_seconds = 0;
};

class TcpDispatcher final : public Dispatcher {
 public:
  TcpDispatcher(async::Executor executor, libp2p::PeerId node, SocketAddress address)
      : executor_(std::move(executor)), node_(std::move(node)), address_(address) {}

  async::Awaitable<Result<void>> negotiate(const client::RunRequest& request) override;
  async::Awaitable<Result<client::RunOutcome>> execute() override;
  async::Awaitable<void> close() override {
    if (channel_) co_await channel_->close();
  }

 private:
  async::Awaitable<Result<void>> connect();
  Result<Bytes> seal(TcpSession& session, core::AgentRun& run) const;
  Result<void> check(const TcpSession& session,
                     std::uint32_t run,
                     UnixSeconds sent,
                     const std::vector<crypto::Digest>& event_hashes,
                     const core::ReceiptBody& receipt,
                     client::RunOutcome& outcome);

  async::Executor executor_;
  libp2p::PeerId node_;
  SocketAddress address_;
  libp2p::KeyPair identity_ = libp2p::KeyPair::generate(crypto::system_random());
  libp2p::PeerId me_ = libp2p::PeerId::of(identity_.public_key());
  std::unique_ptr<rpc::Channel> channel_;
  std::unique_ptr<store::Store> store_;
  std::optional<TcpSession> session_;
};

async::Awaitable<Result<void>> TcpDispatcher::connect() {
  if (channel_) co_return Result<void>();
  NMP_CO_TRY(store_, store::Store::open({}));
  NMP_CO_TRY(auto stream, co_await async::dial_tcp(address_, in(kPatience)));
  channel_ = rpc::Channel::make(executor_, std::move(stream), rpc::ChannelOptions());
  co_return Result<void>();
}

async::Awaitable<Result<void>> TcpDispatcher::negotiate(const client::RunRequest& request) {
  NMP_CO_CHECK(co_await connect());
  const auto started = now();
  auto& random = crypto::system_random();
  auto x25519 = crypto::X25519KeyPair::generate(random);
  const auto salt = random.bytes<32>();
  core::Intent intent{.node = node_, .agent = me_};
  intent.capability = request.capability;
  intent.module_hash = crypto::sha256(request.module);
  intent.input_commitment = core::commit_inputs(salt, request.inputs);
  intent.limits = request.limits;
  intent.x25519_key = x25519.public_key();
  intent.nonce = random.bytes<32>();
  intent.issued = unix_now();
  intent.expires = intent.issued + kIntentLife;
  NMP_CO_TRY(const auto signed_intent, core::sign_intent(intent, identity_.ed25519()));
  NMP_CO_TRY(auto sent, core::parse_intent(signed_intent));

  nmp::v1::IntentRequest message;
  NMP_CO_TRY(const auto did, core::did_of(me_));
  message.set_agent_did(did);
  message.set_capability_hash(core::capability_hash(request.capability));
  message.set_proof_of_intent(signed_intent.data(), signed_intent.size());
  rpc::CallOptions options;
  options.deadline = in(kPatience);
  auto wire = to_bytes(message.SerializeAsString());
  auto calling = channel_->unary(std::string(kNegotiateMethod), std::move(wire), std::move(options));
  NMP_CO_TRY(const auto reply, co_await std::move(calling));
  nmp::v1::IntentResponse response;
  if (!response.ParseFromArray(reply.data(), static_cast<int>(reply.size()))) co_return fail(Errc::malformed);

  NMP_CO_TRY(auto answer, core::parse_answer(bytes_of(response.answer())));
  core::AnswerExpectations expected{.node = node_};
  expected.intent = &sent;
  expected.kem_key = bytes_of(response.kyber_public_key());
  expected.session_token = response.session_token();
  expected.now = unix_now();
  NMP_CO_CHECK(core::check_answer(answer, expected));
  const auto transcript = core::transcript_hash(signed_intent, bytes_of(response.answer()));
  NMP_CO_TRY(auto envelope,
             core::AgentEnvelope::make(transcript, expected.kem_key, x25519, answer.answer.x25519_key, random));
  session_.emplace(std::move(sent), std::move(answer), std::move(envelope));
  session_->token = response.session_token();
  session_->request = &request;
  session_->input_salt = salt;
  session_->module_cached = response.module_cached();
  session_->negotiate_seconds = seconds_since(started);
  co_return Result<void>();
}

Result<Bytes> TcpDispatcher::seal(TcpSession& session, core::AgentRun& run) const {
  nmp::v1::LogicRequest message;
  message.set_session_token(session.token);
  const auto& hash = session.intent.intent.module_hash;
  if (session.module_cached) {
    message.set_module_sha256(hash.data(), hash.size());
  } else {
    NMP_TRY(const auto module, run.seal_module(session.request->module));
    message.set_wasm_binary(module.data(), module.size());
  }
  core::SealedInputs inputs;
  inputs.inputs = session.request->inputs;
  inputs.salt = session.input_salt;
  NMP_TRY(const auto sealed, run.seal_inputs(inputs));
  message.set_sealed(sealed.data(), sealed.size());
  const auto nonce = core::AgentEnvelope::aes_nonce();
  message.set_aes_nonce(nonce.data(), nonce.size());
  const auto ciphertext = session.envelope.ciphertext();
  message.set_pqc_ciphertext(ciphertext.data(), ciphertext.size());
  message.set_run(run.run());
  return to_bytes(message.SerializeAsString());
}

async::Awaitable<Result<client::RunOutcome>> TcpDispatcher::execute() {
  auto& session = *session_;
  const auto started = now();
  const auto sent_at = unix_now();
  const auto number = session.next_run++;
  NMP_CO_TRY(auto run, session.envelope.begin(number));
  NMP_CO_TRY(auto wire, seal(session, run));
  rpc::CallOptions options;
  options.deadline = in(kPatience);
  auto call = channel_->call(std::string(core::kExecuteLogicMethod), options);
  NMP_CO_CHECK(co_await call->write(std::move(wire)));
  call->writes_done();

  client::RunOutcome outcome(node_);
  outcome.limits = session.answer.answer.limits;
  std::vector<crypto::Digest> event_hashes;
  std::optional<core::ReceiptBody> receipt;
  for (;;) {
    NMP_CO_TRY(const auto read, co_await call->read());
    if (!read) break;
    nmp::v1::LogicResponse response;
    if (!response.ParseFromArray(read->data(), static_cast<int>(read->size()))) co_return fail(Errc::malformed);
    NMP_CO_TRY(auto body, run.open(bytes_of(response.sealed())));
    if (const auto* event = std::get_if<core::EventBody>(&body)) {
      event_hashes.push_back(crypto::sha256(event->data));
    } else if (const auto* evidence = std::get_if<core::EvidenceBody>(&body)) {
      append(outcome.evidence, evidence->data);
    } else if (const auto* error = std::get_if<core::HostErrorBody>(&body)) {
      co_return fail(Errc::unavailable, error->reason + ": " + error->message);
    } else if (auto* last = std::get_if<core::ReceiptBody>(&body)) {
      receipt = std::move(*last);
    }
  }
  const auto status = co_await call->finish();
  if (!status.ok()) co_return fail(Errc::unavailable, status.message);
  NMP_CO_CHECK(run.check_finished());
  if (!receipt) co_return fail(Errc::malformed, "no receipt");
  outcome.seconds.negotiate = session.negotiate_seconds;
  outcome.seconds.run = seconds_since(started);
  NMP_CO_CHECK(check(session, number, sent_at, event_hashes, *receipt, outcome));
  co_return outcome;
}

Result<void> TcpDispatcher::check(const TcpSession& session,
                                  std::uint32_t run,
                                  UnixSeconds sent,
                                  const std::vector<crypto::Digest>& event_hashes,
                                  const core::ReceiptBody& receipt,
                                  client::RunOutcome& outcome) {
  verify::RunKnowledge knowledge;
  knowledge.intent = &session.intent;
  knowledge.answer_hash = session.answer.hash;
  knowledge.effective_limits = &outcome.limits;
  knowledge.run = run;
  knowledge.inputs = &session.request->inputs;
  knowledge.input_salt = session.input_salt;
  knowledge.evidence = outcome.evidence;
  knowledge.event_hashes = &event_hashes;
  knowledge.openings = receipt.openings;
  knowledge.sent = sent;
  knowledge.received = unix_now();
  const auto report = verify::check_own_receipt(receipt.proof, knowledge);
  if (auto why = report.failure()) return fail(*std::move(why));
  const auto& exit = report.receipt->receipt.exit;
  if (exit.reason != "ok") return fail(Errc::unavailable, exit.reason);
  outcome.receipt_id = report.receipt->hash;
  store::RunRecord record{.receipt_id = outcome.receipt_id, .node = node_};
  record.intent_hash = session.intent.hash;
  record.capability = session.request->capability;
  record.time = knowledge.received;
  record.proof = receipt.proof;
  record.input_salt = session.input_salt;
  record.openings = receipt.openings;
  return store_->add_run(record);
}

}  // namespace

DispatcherPtr tcp_dispatcher(async::Executor executor, libp2p::PeerId node, SocketAddress address) {
  return std::make_unique<TcpDispatcher>(std::move(executor), std::move(node), address);
}

}  // namespace nmp::bench
