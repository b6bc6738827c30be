#pragma once

#include "core/answer.hpp"
#include "core/capability.hpp"
#include "core/did.hpp"
#include "core/envelope.hpp"
#include "core/intent.hpp"
#include "nmp/v1/nmp.pb.h"
#include "tests/security/filters.hpp"
#include "tests/security/world.hpp"

/// An agent by hand: each step is a value that a test may spoil before it is sent.
/// EXPECT_EQ of what a coroutine gives. g++ 12 miscompiles co_await inside gtest's macros.
#define EXPECT_AWAIT(awaited, expected)           \
  do {                                            \
    auto nmp_awaited = awaited;                   \
    EXPECT_EQ(nmp_awaited, expected) << #awaited; \
  } while (false)

namespace nmp::security {

inline constexpr std::string_view kNegotiate = "/nmp.v1.NeuralMesh/NegotiateIntent";

inline core::Authorization asked_limits() {
  core::Authorization out;
  out.memory_bytes = 8 << 20;
  out.fuel = 1'000'000'000;
  out.events = 100;
  return out;
}

/// What goes into an intent, before it is signed.
struct Draft {
  Draft(libp2p::KeyPair signer, libp2p::PeerId node, Bytes wasm)
      : key(std::move(signer)),
        module(std::move(wasm)),
        intent{.node = std::move(node), .agent = libp2p::PeerId::of(key.public_key())} {
    auto& random = crypto::system_random();
    random.fill(inputs.salt);
    inputs.inputs["secret"] = to_bytes(std::string_view("the agent's secret words"));
    intent.capability = "scan";
    intent.module_hash = crypto::sha256(module);
    intent.input_commitment = core::commit_inputs(inputs.salt, inputs.inputs);
    intent.limits = asked_limits();
    intent.x25519_key = x25519.public_key();
    intent.nonce = random.bytes<32>();
    intent.issued = async::system_clock().unix_now();
    intent.expires = intent.issued + 60;
  }
  libp2p::KeyPair key;
  Bytes module;
  core::SealedInputs inputs;
  crypto::X25519KeyPair x25519 = crypto::X25519KeyPair::generate(crypto::system_random());
  core::Intent intent;
  Bytes cose;  ///< Once signed.

  void sign() {
    auto out = core::sign_intent(intent, key.ed25519());
    NMP_ASSERT(out.has_value());
    cose = *std::move(out);
  }
  /// IntentRequest as it goes out.
  Bytes request(std::function<void(nmp::v1::IntentRequest&)> spoil = {}) {
    if (cose.empty()) sign();
    nmp::v1::IntentRequest message;
    message.set_agent_did(core::did_of(intent.agent).value_or(std::string()));
    message.set_capability_hash(core::capability_hash(intent.capability));
    message.set_proof_of_intent(cose.data(), cose.size());
    if (spoil) spoil(message);
    return to_bytes(message.SerializeAsString());
  }
};

/// A connection to the plain listener of a node in another process.
inline Awaitable<std::shared_ptr<rpc::Channel>> dial(async::Executor executor, std::uint16_t port) {
  SocketAddress address;
  address.ip = {std::byte{127}, std::byte{0}, std::byte{0}, std::byte{1}};
  address.port = port;
  auto stream = co_await async::dial_tcp(address, in(10s));
  NMP_ASSERT(stream.has_value());
  co_return rpc::Channel::make(executor, std::move(*stream), rpc::ChannelOptions());
}

inline Awaitable<rpc::UnaryReply> ask(std::shared_ptr<rpc::Channel> channel, Bytes request) {
  rpc::CallOptions options;
  options.deadline = in(30s);
  co_return co_await channel->unary_reply(std::string(kNegotiate), std::move(request), options);
}

/// Asks, and gives the reason of the refusal, or "accepted".
inline Awaitable<std::string> reason_for(std::shared_ptr<rpc::Channel> channel, Bytes request) {
  auto reply = co_await ask(std::move(channel), std::move(request));
  if (reply.status.ok()) co_return "accepted";
  auto reason = std::string(reply.status.reason());
  co_return reason.empty() ? std::string(rpc::name_of(reply.status.code)) : reason;
}

/// A session as the agent holds it.
struct Held {
  nmp::v1::IntentResponse response;
  std::optional<core::AgentEnvelope> envelope;
  core::ReceivedAnswer answer;
};

/// Takes an answer without checking it.
inline Held take(const Draft& draft, const rpc::UnaryReply& reply) {
  nmp::v1::IntentResponse response;
  NMP_ASSERT(reply.status.ok() &&
             response.ParseFromArray(reply.message.data(), static_cast<int>(reply.message.size())));
  auto answer = core::parse_answer(bytes_of(response.answer()));
  NMP_ASSERT(answer.has_value());
  auto envelope = core::AgentEnvelope::make(core::transcript_hash(draft.cose, bytes_of(response.answer())),
                                            bytes_of(response.kyber_public_key()), draft.x25519,
                                            answer->answer.x25519_key, crypto::system_random());
  NMP_ASSERT(envelope.has_value());
  return Held{.response = std::move(response), .envelope = *std::move(envelope), .answer = *std::move(answer)};
}

inline Awaitable<Held> negotiate(std::shared_ptr<rpc::Channel> channel, Draft& draft) {
  auto reply = co_await ask(std::move(channel), draft.request());
  if (!reply.status.ok()) ADD_FAILURE() << "negotiation: " << reply.status.reason() << " " << reply.status.message;
  co_return take(draft, reply);
}

/// A LogicRequest of the agent's own envelope, and the way back.
struct Prepared {
  nmp::v1::LogicRequest message;
  core::AgentRun run;
  [[nodiscard]] Bytes wire() const { return to_bytes(message.SerializeAsString()); }
};
inline Prepared prepare(Held& held, const Draft& draft, std::uint32_t number = 0) {
  auto run = held.envelope->begin(number);
  NMP_ASSERT(run.has_value());
  nmp::v1::LogicRequest message;
  message.set_session_token(held.response.session_token());
  auto module = run->seal_module(draft.module);
  message.set_wasm_binary(module->data(), module->size());
  auto sealed = run->seal_inputs(draft.inputs);
  message.set_sealed(sealed->data(), sealed->size());
  message.set_aes_nonce(std::string(core::kAesNonceSize, '\0'));
  message.set_pqc_ciphertext(held.envelope->ciphertext().data(), held.envelope->ciphertext().size());
  message.set_run(number);
  return Prepared{.message = std::move(message), .run = *std::move(run)};
}

/// What came of a LogicRequest.
struct Ran {
  rpc::Status status;
  rpc::Metadata trailers;
  std::vector<Bytes> messages;
  [[nodiscard]] std::string reason() const {
    if (status.ok()) return "";
    return status.reason().empty() ? std::string(rpc::name_of(status.code)) : std::string(status.reason());
  }
};
inline Awaitable<Ran> execute(std::shared_ptr<rpc::Channel> channel, Bytes wire, Duration patience = 60s) {
  rpc::CallOptions options;
  options.deadline = in(patience);
  auto call = channel->call(std::string(core::kExecuteLogicMethod), options);
  auto written = co_await call->write(std::move(wire));
  if (written) call->writes_done();
  Ran out;
  for (;;) {
    auto message = co_await call->read();
    if (!message || !*message) break;
    out.messages.push_back(**std::move(message));
  }
  out.status = co_await call->finish();
  out.trailers = call->trailing_metadata();
  co_return out;
}

/// The boxes of a run, opened.
struct Read {
  std::string evidence;
  std::vector<std::string> events;
  std::string reason;  ///< Of a host error.
  std::optional<core::ReceiptBody> receipt;
  bool whole = false;
};
inline Read read(core::AgentRun& run, const Ran& ran) {
  Read out;
  for (const auto& bytes : ran.messages) {
    nmp::v1::LogicResponse message;
    NMP_ASSERT(message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    auto body = run.open(bytes_of(message.sealed()));
    if (!body) return out;
    if (const auto* event = std::get_if<core::EventBody>(&*body)) out.events.push_back(string_of(event->data));
    if (const auto* piece = std::get_if<core::EvidenceBody>(&*body)) out.evidence += text_of(piece->data);
    if (auto* last = std::get_if<core::ReceiptBody>(&*body)) out.receipt = std::move(*last);
    if (auto* error = std::get_if<core::HostErrorBody>(&*body)) {
      out.reason = error->reason;
      out.receipt = std::move(error->receipt);
    }
  }
  out.whole = run.check_finished().has_value();
  return out;
}

/// Negotiates and runs; the evidence, or the reason why there is none.
inline Awaitable<std::string> run_once(std::shared_ptr<rpc::Channel> channel, Draft& draft) {
  auto held = co_await negotiate(channel, draft);
  auto prepared = prepare(held, draft);
  auto ran = co_await execute(channel, prepared.wire());
  if (!ran.status.ok()) co_return ran.reason();
  auto result = read(prepared.run, ran);
  if (!result.whole) co_return "truncated";
  co_return result.reason.empty() ? result.evidence : result.reason;
}

}  // namespace nmp::security
