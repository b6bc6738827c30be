#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/random.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "core/sealed_body.hpp"
#include "crypto/aead.hpp"
#include "crypto/hash.hpp"
#include "crypto/x25519.hpp"
#include "pq/mlkem.hpp"

/// Suite 1 = X25519 + ML-KEM-768, HKDF-SHA-256, AES-256-GCM (security.md, "Envelope, suite 1").
namespace nmp::core {

/// The value of LogicRequest 5: the nonce of box 0 of every key.
inline constexpr std::size_t kAesNonceSize = 12;
/// Protobuf field numbers that boxes are bound to.
inline constexpr std::uint64_t kWasmBinaryField = 2;
inline constexpr std::uint64_t kRequestSealedField = 16;
inline constexpr std::uint64_t kResponseSealedField = 16;
/// A box is this much longer than what it holds.
inline constexpr std::size_t kBoxOverhead = crypto::kAeadTagSize;
inline constexpr std::string_view kExecuteLogicMethod = "/nmp.v1.NeuralMesh/ExecuteLogic";

/// th = H(CBOR["nmp/v1/transcript", intent, answer]) over the whole COSE bytes.
[[nodiscard]] crypto::Digest transcript_hash(ByteView intent_cose, ByteView answer_cose);

enum class Direction : std::uint8_t { to_node = 0, to_agent = 1 };

/// The secrets of one negotiation: PRK, and the keys of its runs. Erased on destruction.
class EnvelopeSecrets {
 public:
  EnvelopeSecrets(const crypto::Digest& transcript,
                  const SecretBytes<32>& kem_secret,
                  const SecretBytes<32>& x25519_secret,
                  const pq::Ciphertext& ciphertext);
  [[nodiscard]] crypto::AeadKey key(Direction direction, std::uint32_t run) const;
  [[nodiscard]] const crypto::Digest& transcript() const { return transcript_; }

 private:
  crypto::Digest transcript_;
  crypto::Digest ciphertext_hash_;
  SecretBytes<32> prk_;
};

/// What the boxes of one direction of one run are bound to.
struct BoxBinding {
  crypto::Digest transcript{};
  Direction direction = Direction::to_node;
  std::uint32_t run = 0;
  std::string method;  ///< The gRPC path, `/nmp.v1.NeuralMesh/ExecuteLogic`.
};

/// Seals boxes 0, 1, 2, ... under one key that nobody else uses: move-only, so no (key, nonce) pair comes twice.
class SealedSender {
 public:
  SealedSender(crypto::AeadKey key, BoxBinding binding) : key_(std::move(key)), binding_(std::move(binding)) {}
  SealedSender(SealedSender&&) = default;
  SealedSender& operator=(SealedSender&&) = default;

  /// Errors: after_final, counter_exhausted, nmp::Errc::too_large. The key is erased with the final box.
  Result<Bytes> seal(std::uint64_t field, ByteView plaintext, bool final);
  [[nodiscard]] std::uint64_t next() const { return next_; }
  [[nodiscard]] bool finished() const { return finished_; }

 private:
  crypto::AeadKey key_;
  BoxBinding binding_;
  std::uint64_t next_ = 0;
  bool finished_ = false;
};

/// Opens boxes in their order. A box that is repeated, dropped, reordered, altered or moved to another field, run,
/// method or direction does not open, and after one failure nothing more does.
class SealedReceiver {
 public:
  SealedReceiver(crypto::AeadKey key, BoxBinding binding) : key_(std::move(key)), binding_(std::move(binding)) {}
  SealedReceiver(SealedReceiver&&) = default;
  SealedReceiver& operator=(SealedReceiver&&) = default;

  struct Opened {
    Bytes plaintext;
    bool final = false;
  };
  /// `final` tells what the box must be; none: either, and the answer says which it was (a final box then costs two
  /// decryptions). Errors: envelope, after_final, counter_exhausted, nmp::Errc::too_large.
  Result<Opened> open(std::uint64_t field, ByteView box, std::optional<bool> final);
  /// To be asked at the stream's end. Errors: stream_truncated.
  Result<void> check_finished() const;
  [[nodiscard]] bool finished() const { return state_ == State::finished; }

 private:
  enum class State { open, finished, failed };
  crypto::AeadKey key_;
  BoxBinding binding_;
  std::uint64_t next_ = 0;
  State state_ = State::open;
};

/// One run as the agent sees it.
class AgentRun {
 public:
  /// First the module (LogicRequest 2), unless it runs by hash, then the inputs (LogicRequest 16), which is the final
  /// box to the node. Run by hash, the inputs are box 0. Errors: those of SealedSender::seal, of check_inputs.
  Result<Bytes> seal_module(ByteView module);
  Result<Bytes> seal_inputs(const SealedInputs& inputs);
  /// LogicResponse 16. Errors: envelope, bad_box (a final kind in a box that is not final, or the reverse),
  /// after_final.
  Result<ResponseBody> open(ByteView box);
  /// At the stream's end, whatever its trailers say. Errors: stream_truncated.
  Result<void> check_finished() const { return receiver_.check_finished(); }
  [[nodiscard]] std::uint32_t run() const { return run_; }

 private:
  friend class AgentEnvelope;
  AgentRun(const EnvelopeSecrets& secrets, std::uint32_t run, std::string_view method);
  std::uint32_t run_;
  SealedSender sender_;
  SealedReceiver receiver_;
};

/// The agent's half, made once the answer is checked (check_answer). All runs of a token share its ciphertext.
class AgentEnvelope {
 public:
  /// `x25519` is the pair whose public key stands in the intent. Errors: envelope (a KEM key that fails FIPS 203's
  /// checks, an all-zero X25519 result).
  static Result<AgentEnvelope> make(const crypto::Digest& transcript,
                                    ByteView kem_key,
                                    const crypto::X25519KeyPair& x25519,
                                    ByteView node_x25519,
                                    Random& random);
  /// LogicRequest 4.
  [[nodiscard]] ByteView ciphertext() const { return ciphertext_.bytes; }
  /// LogicRequest 5.
  [[nodiscard]] static ByteArray<kAesNonceSize> aes_nonce() { return {}; }
  /// Errors: run_reused unless `run` is above all earlier ones.
  Result<AgentRun> begin(std::uint32_t run, std::string_view method = kExecuteLogicMethod);

 private:
  AgentEnvelope(EnvelopeSecrets secrets, const pq::Ciphertext& ciphertext)
      : secrets_(std::move(secrets)), ciphertext_(ciphertext) {}
  EnvelopeSecrets secrets_;
  pq::Ciphertext ciphertext_;
  std::optional<std::uint32_t> last_run_;
};

/// One run as the node sees it: the way back to the agent.
class NodeRun {
 public:
  /// LogicResponse 16; final by kind. Errors: those of SealedSender::seal.
  Result<Bytes> seal(const ResponseBody& body);
  [[nodiscard]] std::uint32_t run() const { return run_; }
  [[nodiscard]] bool finished() const { return sender_.finished(); }

 private:
  friend class NodeEnvelope;
  NodeRun(std::uint32_t run, SealedSender sender) : run_(run), sender_(std::move(sender)) {}
  std::uint32_t run_;
  SealedSender sender_;
};

/// LogicRequest as received. The views must outlive the call.
struct SealedRequest {
  ByteView ciphertext;    ///< field 4
  ByteView aes_nonce;     ///< field 5
  ByteView wasm_binary;   ///< field 2; empty when run by hash
  ByteView sealed;        ///< field 16
  std::uint32_t run = 0;  ///< field 17
  std::string_view method = kExecuteLogicMethod;
};
struct OpenedRequest {
  Bytes module;  ///< Empty when run by hash.
  SealedInputs inputs;
  NodeRun run;
};

/// The node's half: the secrets of one session until it is spent.
class NodeEnvelope {
 public:
  /// Fresh pairs for one negotiation, never used again. Errors: pq's (internal).
  static Result<NodeEnvelope> make(Random& random);
  [[nodiscard]] ByteView kem_key() const { return kem_.ek.bytes; }  ///< IntentResponse 4
  [[nodiscard]] const crypto::X25519PublicKey& x25519_key() const { return x25519_.public_key(); }  ///< answer key 5
  /// H(kem_key), answer key 4.
  [[nodiscard]] crypto::Digest kem_key_hash() const { return crypto::sha256(kem_key()); }

  /// After the answer is signed: what it and the intent fix. Once.
  void bind(const crypto::Digest& transcript, const crypto::X25519PublicKey& agent_x25519);

  /// Opens all boxes of one request or none. Not thread-safe: whoever spends a session owns its envelope for this call.
  /// A failure leaves the envelope as it was. Errors: envelope, run_reused, bad_box, bad_name, too_large.
  Result<OpenedRequest> open(const SealedRequest& request);
  /// Forgets all secrets, for a session that is spent, failed or expired; open() then fails.
  void erase();

 private:
  NodeEnvelope(pq::KeyPair kem, crypto::X25519KeyPair x25519) : kem_(std::move(kem)), x25519_(std::move(x25519)) {}
  pq::KeyPair kem_;
  crypto::X25519KeyPair x25519_;
  crypto::Digest transcript_{};
  crypto::X25519PublicKey agent_x25519_{};
  bool bound_ = false;
  std::optional<pq::Ciphertext> ciphertext_;
  std::optional<EnvelopeSecrets> secrets_;
  std::optional<std::uint32_t> last_run_;
};

}  // namespace nmp::core
