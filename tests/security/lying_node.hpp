#pragma once

#include "core/receipt.hpp"
#include "core/session_token.hpp"
#include "tests/security/raw_agent.hpp"

/// A node that really holds its key and really opens what it gets, and then says of the run what it likes.
namespace nmp::security {

class LyingNode {
 public:
  LyingNode(World& world, std::uint8_t key)
      : me(peer_of(key)), world_(world), key_(key_of(key)), server_(world.executor, rpc::ServerLimits()) {
    server_.handle(std::string(kNegotiate), [this](rpc::ServerCall& call) { return negotiate(call); });
    server_.handle(std::string(core::kExecuteLogicMethod), [this](rpc::ServerCall& call) { return execute(call); });
  }
  std::shared_ptr<rpc::Channel> connect() { return world_.connect_to(server_); }
  Awaitable<void> close() { return server_.close(); }

  std::function<void(core::Answer&)> change_answer;
  std::function<void(core::Receipt&)> change_receipt;
  /// The events and evidence that are sent; the receipt tells of "an event", "an" and "evidence".
  std::vector<std::string> events{"an event", "an"};
  std::string evidence = "evidence";
  std::optional<Bytes> proof;  ///< Instead of its own.
  std::optional<core::Openings> openings;
  std::optional<std::string> host_error;  ///< The final box is a host error of this reason.
  std::optional<libp2p::KeyPair> signer;  ///< Of the receipt, in its own name.
  bool keeps_final = false;

  libp2p::PeerId me;
  Bytes last_proof;
  core::Openings last_openings;

 private:
  Awaitable<rpc::Status> negotiate(rpc::ServerCall& call) {
    auto message = co_await call.read_only();
    if (!message) co_return rpc::to_status(message.error());
    nmp::v1::IntentRequest request;
    NMP_ASSERT(request.ParseFromArray(message->data(), static_cast<int>(message->size())));
    auto received = core::parse_intent(bytes_of(request.proof_of_intent()));
    NMP_ASSERT(received.has_value());
    intent_ = *std::move(received);
    auto made = core::NodeEnvelope::make(crypto::system_random());
    NMP_ASSERT(made.has_value());
    envelope_ = *std::move(made);
    auto token = core::SessionToken::generate(crypto::system_random());
    core::Answer answer;
    answer.intent_hash = intent_->hash;
    answer.kem_key_hash = envelope_->kem_key_hash();
    answer.x25519_key = envelope_->x25519_key();
    answer.token_hash = token.hash();
    answer.limits = core::minimum(world_.config.capability("scan")->limits, intent_->intent.limits);
    answer.expires = async::system_clock().unix_now() + 60;
    answer.manifest_hash = world_.manifest_hash;
    if (change_answer) change_answer(answer);
    limits_ = answer.limits;
    auto cose = core::sign_answer(answer, key_.ed25519());
    NMP_ASSERT(cose.has_value());
    answer_hash_ = crypto::sha256(*cose);
    envelope_->bind(core::transcript_hash(intent_->cose, *cose), intent_->intent.x25519_key);
    nmp::v1::IntentResponse response;
    response.set_accepted(true);
    response.set_session_token(token.to_text());
    response.set_kyber_public_key(string_of(envelope_->kem_key()));
    response.set_answer(string_of(*cose));
    auto written = co_await call.write(to_bytes(response.SerializeAsString()));
    co_return written ? rpc::Status() : rpc::to_status(written.error());
  }

  Awaitable<rpc::Status> execute(rpc::ServerCall& call) {
    auto message = co_await call.read_only();
    if (!message) co_return rpc::to_status(message.error());
    nmp::v1::LogicRequest request;
    NMP_ASSERT(request.ParseFromArray(message->data(), static_cast<int>(message->size())));
    core::SealedRequest sealed;
    sealed.ciphertext = bytes_of(request.pqc_ciphertext());
    sealed.aes_nonce = bytes_of(request.aes_nonce());
    sealed.wasm_binary = bytes_of(request.wasm_binary());
    sealed.sealed = bytes_of(request.sealed());
    sealed.run = request.run();
    auto opened = envelope_->open(sealed);
    NMP_ASSERT(opened.has_value());
    std::vector<core::ResponseBody> bodies;
    for (const auto& event : events) bodies.emplace_back(core::EventBody{to_bytes(std::string_view(event))});
    bodies.emplace_back(core::EvidenceBody{to_bytes(std::string_view(evidence))});
    core::ReceiptBody receipt = make_receipt(request.run());
    if (host_error) {
      core::HostErrorBody error;
      error.reason = *host_error;
      error.receipt = std::move(receipt);
      bodies.emplace_back(std::move(error));
    } else {
      bodies.emplace_back(std::move(receipt));
    }
    if (keeps_final) bodies.pop_back();
    for (const auto& body : bodies) {
      nmp::v1::LogicResponse response;
      response.set_sealed(string_of(*opened->run.seal(body)));
      auto written = co_await call.write(to_bytes(response.SerializeAsString()));
      if (!written) co_return rpc::to_status(written.error());
    }
    co_return rpc::Status();
  }

  core::ReceiptBody make_receipt(std::uint32_t run) {
    core::ReceiptBody out;
    crypto::system_random().fill(out.openings.evidence_salt);
    core::EventChain chain(out.openings.evidence_salt, answer_hash_);
    chain.add(bytes_of("an event"));
    chain.add(bytes_of("an"));
    core::Receipt receipt{.node = me, .agent = intent_->intent.agent};
    receipt.capability = intent_->intent.capability;
    receipt.intent_hash = intent_->hash;
    receipt.answer_hash = answer_hash_;
    receipt.run = run;
    receipt.module_hash = intent_->intent.module_hash;
    receipt.input_commitment = intent_->intent.input_commitment;
    receipt.evidence_commitment = core::commit_evidence(out.openings.evidence_salt, bytes_of("evidence"));
    receipt.exit = {.reason = "ok", .code = 0};
    receipt.event_count = chain.count();
    receipt.event_chain = chain.value();
    receipt.limits = limits_;
    receipt.started = receipt.finished = async::system_clock().unix_now();
    receipt.engine = "none";
    if (signer) receipt.node = libp2p::PeerId::of(signer->public_key());
    if (change_receipt) change_receipt(receipt);
    auto cose = core::sign_receipt(receipt, (signer ? *signer : key_).ed25519());
    NMP_ASSERT(cose.has_value());
    core::Proof whole;
    whole.receipt = *std::move(cose);
    out.proof = proof ? *proof : core::encode_proof(whole);
    if (openings) out.openings = *openings;
    last_proof = out.proof;
    last_openings = out.openings;
    return out;
  }

  World& world_;
  libp2p::KeyPair key_;
  rpc::Server server_;
  std::optional<core::ReceivedIntent> intent_;
  std::optional<core::NodeEnvelope> envelope_;
  core::Authorization limits_;
  crypto::Digest answer_hash_{};
};

}  // namespace nmp::security
