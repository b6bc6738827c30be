#include "core/envelope.hpp"

#include "core/errc.hpp"
#include "core/limits.hpp"
#include "crypto/cbor.hpp"

namespace nmp::core {
namespace {

crypto::AeadNonce nonce_of(std::uint64_t seq) {
  crypto::AeadNonce nonce{};
  for (std::size_t i = 0; i < 8; ++i) nonce[4 + i] = static_cast<std::byte>(seq >> (56 - 8 * i));
  return nonce;
}

Bytes aad_of(const BoxBinding& binding, std::uint64_t field, std::uint64_t seq, bool final) {
  return cbor::encode(cbor::Array{"nmp/v1/aad", binding.transcript, static_cast<std::uint64_t>(binding.direction),
                                  std::uint64_t{binding.run}, binding.method, field, seq, final});
}

BoxBinding binding_of(const EnvelopeSecrets& secrets, Direction direction, std::uint32_t run, std::string_view method) {
  return BoxBinding{
      .transcript = secrets.transcript(), .direction = direction, .run = run, .method = std::string(method)};
}

}  // namespace

crypto::Digest transcript_hash(ByteView intent_cose, ByteView answer_cose) {
  return crypto::sha256(cbor::encode(cbor::Array{"nmp/v1/transcript", intent_cose, answer_cose}));
}

EnvelopeSecrets::EnvelopeSecrets(const crypto::Digest& transcript,
                                 const SecretBytes<32>& kem_secret,
                                 const SecretBytes<32>& x25519_secret,
                                 const pq::Ciphertext& ciphertext)
    : transcript_(transcript), ciphertext_hash_(crypto::sha256(ciphertext.bytes)) {
  SecretBytes<64> ikm;
  std::ranges::copy(kem_secret.view(), ikm.mutable_view().begin());
  std::ranges::copy(x25519_secret.view(), ikm.mutable_view().begin() + 32);
  prk_ = crypto::hkdf_extract(transcript_, ikm.view());
}

crypto::AeadKey EnvelopeSecrets::key(Direction direction, std::uint32_t run) const {
  const auto info = cbor::encode(
      cbor::Array{"nmp/v1/key", static_cast<std::uint64_t>(direction), ciphertext_hash_, std::uint64_t{run}});
  return crypto::hkdf_expand<32>(prk_, info);
}

Result<Bytes> SealedSender::seal(std::uint64_t field, ByteView plaintext, bool final) {
  if (finished_) return fail(Errc::after_final);
  if (next_ >= kBoxesMax) return fail(Errc::counter_exhausted);
  if (plaintext.size() > kBoxBytesMax - kBoxOverhead) return fail(nmp::Errc::too_large, "box");
  const auto seq = next_++;
  auto box = crypto::seal(key_, nonce_of(seq), aad_of(binding_, field, seq, final), plaintext);
  if (final) {
    finished_ = true;
    key_.erase();
  }
  return box;
}

Result<SealedReceiver::Opened> SealedReceiver::open(std::uint64_t field, ByteView box, std::optional<bool> final) {
  if (state_ == State::finished) return fail(Errc::after_final);
  if (state_ == State::failed) return fail(Errc::envelope);
  const auto refuse = [this](auto code) {
    state_ = State::failed;
    key_.erase();
    return fail(code);
  };
  if (next_ >= kBoxesMax) return refuse(Errc::counter_exhausted);
  if (box.size() > kBoxBytesMax) return refuse(nmp::Errc::too_large);
  for (const bool is_final : {false, true}) {
    if (final && *final != is_final) continue;
    auto plaintext = crypto::open(key_, nonce_of(next_), aad_of(binding_, field, next_, is_final), box);
    if (!plaintext) continue;
    ++next_;
    if (is_final) {
      state_ = State::finished;
      key_.erase();
    }
    return Opened{.plaintext = *std::move(plaintext), .final = is_final};
  }
  return refuse(Errc::envelope);
}

Result<void> SealedReceiver::check_finished() const {
  if (state_ != State::finished) return fail(Errc::stream_truncated);
  return {};
}

AgentRun::AgentRun(const EnvelopeSecrets& secrets, std::uint32_t run, std::string_view method)
    : run_(run),
      sender_(secrets.key(Direction::to_node, run), binding_of(secrets, Direction::to_node, run, method)),
      receiver_(secrets.key(Direction::to_agent, run), binding_of(secrets, Direction::to_agent, run, method)) {}

Result<Bytes> AgentRun::seal_module(ByteView module) {
  NMP_ASSERT(sender_.next() == 0);
  return sender_.seal(kWasmBinaryField, module, /*final=*/false);
}

Result<Bytes> AgentRun::seal_inputs(const SealedInputs& inputs) {
  NMP_CHECK(check_inputs(inputs.inputs));
  auto plaintext = encode_inputs(inputs);
  auto box = sender_.seal(kRequestSealedField, plaintext, /*final=*/true);
  erase(plaintext);
  return box;
}

Result<ResponseBody> AgentRun::open(ByteView box) {
  NMP_TRY(auto opened, receiver_.open(kResponseSealedField, box, std::nullopt));
  auto body = decode_response(opened.plaintext);
  erase(opened.plaintext);
  if (!body) return fail(std::move(body).error());
  if (is_final(*body) != opened.final) return fail(Errc::bad_box, "kind and final flag disagree");
  return body;
}

Result<AgentEnvelope> AgentEnvelope::make(const crypto::Digest& transcript,
                                          ByteView kem_key,
                                          const crypto::X25519KeyPair& x25519,
                                          ByteView node_x25519,
                                          Random& random) {
  auto ek = pq::EncapsulationKey::from(kem_key);
  if (!ek) return fail(Errc::envelope);
  auto shared = crypto::x25519(x25519, node_x25519);
  if (!shared) return fail(Errc::envelope);
  auto encapsulation = pq::encapsulate(*ek, random);
  if (!encapsulation) return fail(Errc::envelope);
  EnvelopeSecrets secrets(transcript, encapsulation->secret, *shared, encapsulation->ct);
  return AgentEnvelope(std::move(secrets), encapsulation->ct);
}

Result<AgentRun> AgentEnvelope::begin(std::uint32_t run, std::string_view method) {
  if (last_run_ && run <= *last_run_) return fail(Errc::run_reused);
  last_run_ = run;
  return AgentRun(secrets_, run, method);
}

Result<Bytes> NodeRun::seal(const ResponseBody& body) {
  auto plaintext = encode_response(body);
  auto box = sender_.seal(kResponseSealedField, plaintext, is_final(body));
  erase(plaintext);
  return box;
}

Result<NodeEnvelope> NodeEnvelope::make(Random& random) {
  NMP_TRY(auto kem, pq::keypair(random));
  return NodeEnvelope(std::move(kem), crypto::X25519KeyPair::generate(random));
}

void NodeEnvelope::bind(const crypto::Digest& transcript, const crypto::X25519PublicKey& agent_x25519) {
  NMP_ASSERT(!bound_);
  transcript_ = transcript;
  agent_x25519_ = agent_x25519;
  bound_ = true;
}

Result<OpenedRequest> NodeEnvelope::open(const SealedRequest& request) {
  if (!bound_) return fail(Errc::envelope);
  if (last_run_ && request.run <= *last_run_) return fail(Errc::run_reused);
  if (!equal(request.aes_nonce, ByteArray<kAesNonceSize>{})) return fail(Errc::envelope, "aes_nonce");
  auto ciphertext = pq::Ciphertext::from(request.ciphertext);
  if (!ciphertext) return fail(Errc::envelope);
  std::optional<EnvelopeSecrets> fresh;
  if (ciphertext_) {
    NMP_ASSERT(secrets_);  // set together, below
    if (*ciphertext != *ciphertext_) return fail(Errc::envelope);
  } else {
    auto kem_secret = pq::decapsulate(kem_.dk, *ciphertext);
    auto shared = crypto::x25519(x25519_, agent_x25519_);
    if (!kem_secret || !shared) return fail(Errc::envelope);
    fresh.emplace(transcript_, *kem_secret, *shared, *ciphertext);
  }
  const auto& secrets = fresh ? *fresh : *secrets_;
  SealedReceiver receiver(secrets.key(Direction::to_node, request.run),
                          binding_of(secrets, Direction::to_node, request.run, request.method));
  SealedReceiver::Opened module;
  if (!request.wasm_binary.empty()) {
    NMP_TRY(module, receiver.open(kWasmBinaryField, request.wasm_binary, /*final=*/false));
  }
  NMP_TRY(auto sealed, receiver.open(kRequestSealedField, request.sealed, /*final=*/true));
  auto inputs = decode_inputs(sealed.plaintext);
  nmp::erase(sealed.plaintext);
  if (!inputs) return fail(std::move(inputs).error());
  SealedSender sender(secrets.key(Direction::to_agent, request.run),
                      binding_of(secrets, Direction::to_agent, request.run, request.method));
  // Only a request that opened fixes the ciphertext and the run: a thief's attempt leaves the session as it was.
  if (fresh) {
    secrets_ = std::move(fresh);
    ciphertext_ = *ciphertext;
  }
  last_run_ = request.run;
  return OpenedRequest{.module = std::move(module.plaintext),
                       .inputs = *std::move(inputs),
                       .run = NodeRun(request.run, std::move(sender))};
}

void NodeEnvelope::erase() {
  kem_.dk.erase();
  x25519_ = crypto::X25519KeyPair::from_secret({});
  secrets_.reset();
  bound_ = false;
}

}  // namespace nmp::core
