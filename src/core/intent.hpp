#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "core/authorization.hpp"
#include "core/receipt_kind.hpp"
#include "crypto/ed25519.hpp"
#include "crypto/hash.hpp"
#include "libp2p/peer/peer_id.hpp"

namespace nmp::core {

inline constexpr std::string_view kIntentTyp = "application/nmp-intent-v1+cose";
inline constexpr std::string_view kRunOperation = "run";
inline constexpr std::string_view kWatchOperation = "watch";
/// X25519 + ML-KEM-768 (security.md, "Envelope, suite 1").
inline constexpr std::uint64_t kSuite1 = 1;

/// On whose behalf a bridge asks.
struct Via {
  std::string via;             ///< Name of the bridge (is_name).
  crypto::Digest principal{};  ///< H(CBOR["nmp/v1/principal", iss, sub, client]).
  friend bool operator==(const Via&, const Via&) = default;
};

/// The newest signed tree head that the agent has seen of this node.
struct TreeHead {
  crypto::Digest log_id{};
  std::uint64_t size = 0;
  crypto::Digest root{};
  UnixSeconds time = 0;
  friend bool operator==(const TreeHead&, const TreeHead&) = default;
};

/// The proof of intent (IntentRequest 3), payload keys 2 to 17 of security.md, "Who calls"; intent.cddl.
struct Intent {
  libp2p::PeerId node;
  libp2p::PeerId agent;
  std::string op{kRunOperation};
  std::string capability;
  crypto::Digest module_hash{};
  crypto::Digest input_commitment{};
  std::optional<crypto::Digest> grant_hash;
  Authorization limits;
  std::vector<std::uint64_t> suites{kSuite1};
  ByteArray<32> x25519_key{};
  ByteArray<32> nonce{};
  UnixSeconds issued = 0;
  UnixSeconds expires = 0;
  ReceiptKind receipt_kind = ReceiptKind::is_signed;
  std::optional<Via> via;
  std::optional<TreeHead> last_seen;
};

/// The agent's signature over it: whole COSE bytes, for IntentRequest 3. `agent` must be the key's peer.
/// Errors: wrong_kid, bad_statement (a value that parse_intent would refuse), nmp::Errc::too_large.
Result<Bytes> sign_intent(const Intent& intent, const crypto::Ed25519KeyPair& key);

/// An intent as received: of its schema, nothing else is known yet.
struct ReceivedIntent {
  Intent intent;
  Bytes cose;             ///< As received; H(cose) is what an answer and a receipt name.
  crypto::Digest hash{};  ///< H(cose)
};

/// What the node knows of the call that carries the intent.
struct IntentExpectations {
  libp2p::PeerId me;
  std::optional<libp2p::PeerId>
      caller;           ///< The connection's peer; none on the loopback listener, where the signer is the caller.
  UnixSeconds now = 0;  ///< max(clock, greatest wall time ever stored): store::ReplayLedger::now.
  std::string_view op = kRunOperation;
  std::string_view agent_did;         ///< IntentRequest 1
  std::string_view capability_field;  ///< IntentRequest 2
};

/// The steps in the order "cheap before dear"; each refusal has its own code. check_intent runs them all.
/// 1. size, encoding, schema, kid = agent. Errors: too_large, malformed, bad_statement, wrong_kid, crypto's codes.
Result<ReceivedIntent> parse_intent(ByteView cose);
/// 2. issued - 30 s <= now <= expires, expires - issued <= 120 s. Errors: life_too_long, not_yet, expired.
Result<void> check_intent_time(const Intent& intent, UnixSeconds now);
/// 3. node = me, node != agent. Errors: reflected, misdelivered.
Result<void> check_intent_addressee(const Intent& intent, const libp2p::PeerId& me);
/// 4. the caller and the message's fields. Errors: wrong_caller, field_mismatch, wrong_operation, no_common_suite.
Result<void> check_intent_caller(const Intent& intent, const IntentExpectations& expected);
/// 5. Errors: bad_signature.
Result<void> verify_intent(const ReceivedIntent& received);
/// 2 to 5. What follows is the caller's: replay, grant, revocation, KEM key pair.
Result<void> check_intent(const ReceivedIntent& received, const IntentExpectations& expected);

/// What the agent may be told of a refusal by steps 2 to 4: `error` itself if the signature holds, else one generic
/// error (bad_signature). Costs one verification; a node under load skips it and stays generic.
[[nodiscard]] Error refusal_to_tell(const ReceivedIntent& received, Error error);

}  // namespace nmp::core
