#pragma once

#include <fstream>
#include <map>

#include "base/encoding.hpp"
#include "core/answer.hpp"
#include "core/envelope.hpp"
#include "core/errc.hpp"
#include "core/manifest.hpp"
#include "core/receipt.hpp"
#include "core/session_token.hpp"
#include "crypto/cose.hpp"

/// One of each statement, for tests of this room and of those that use it.
namespace nmp::core::testing {

inline constexpr UnixSeconds kNow = 1'800'000'000;

inline crypto::Ed25519KeyPair key_of(std::uint8_t number) {
  SecretBytes<32> seed;
  std::ranges::fill(seed.mutable_view(), std::byte{number});
  return crypto::Ed25519KeyPair::from_seed(std::move(seed));
}
inline crypto::Ed25519KeyPair agent_key() { return key_of(1); }
inline crypto::Ed25519KeyPair node_key() { return key_of(2); }
inline libp2p::PeerId peer_of_key(const crypto::Ed25519KeyPair& key) { return libp2p::PeerId::of(key.public_key()); }

inline Authorization full_limits() {
  return {.memory_bytes = 64 << 20,
          .fuel = 2'000'000'000,
          .wall_time_ms = 3000,
          .output_bytes = 1 << 20,
          .event_bytes = 1 << 20,
          .events = 1000,
          .diagnostic_bytes = 65536,
          .input_bytes = 1 << 20};
}

inline Intent sample_intent() {
  Intent intent{.node = peer_of_key(node_key()), .agent = peer_of_key(agent_key())};
  intent.capability = "log-scan";
  intent.module_hash = crypto::sha256(bytes_of("module"));
  intent.input_commitment = crypto::sha256(bytes_of("inputs"));
  intent.limits.memory_bytes = 32 << 20;
  intent.x25519_key.fill(std::byte{9});
  intent.nonce.fill(std::byte{7});
  intent.issued = kNow;
  intent.expires = kNow + 60;
  return intent;
}
inline Bytes signed_intent() { return *sign_intent(sample_intent(), agent_key()); }

inline Answer sample_answer(const crypto::Digest& intent_hash) {
  Answer answer{.intent_hash = intent_hash};
  answer.x25519_key.fill(std::byte{8});
  answer.limits = minimum(full_limits(), sample_intent().limits);
  answer.expires = kNow + 60;
  return answer;
}

inline Manifest sample_manifest() {
  Manifest manifest{
      .node = peer_of_key(node_key()), .seq = 5, .issued = kNow, .expires = kNow + 3600, .software = "nmp/0.1.0"};
  manifest.capabilities.push_back({.name = "log-scan",
                                   .description = "Counts.",
                                   .input_schema = "{}",
                                   .evidence_schema = "{}",
                                   .limits = full_limits(),
                                   .open = true,
                                   .datasets = {"logs"},
                                   .receipt_kinds = {ReceiptKind::is_signed}});
  manifest.datasets.push_back({.name = "logs", .description = "Logs", .commitment = std::nullopt});
  manifest.suites = {kSuite1};
  return manifest;
}

inline Receipt sample_receipt() {
  Receipt receipt{.capability = "log-scan", .node = peer_of_key(node_key()), .agent = peer_of_key(agent_key())};
  receipt.datasets.emplace("logs", crypto::sha256(bytes_of("logs")));
  receipt.exit = {.reason = "ok", .code = 0};
  receipt.limits = full_limits();
  receipt.started = kNow;
  receipt.finished = kNow + 1;
  receipt.engine = "wasmtime/48 deterministic";
  return receipt;
}

/// `name hex` lines of a file in tests/vectors.
inline std::map<std::string, Bytes> vectors(const std::string& file) {
  std::ifstream in(std::string(NMP_SOURCE_DIR) + "/tests/vectors/" + file);
  std::map<std::string, Bytes> out;
  for (std::string name, hex; in >> name >> hex;) out[name] = *hex_decode(hex);
  return out;
}

}  // namespace nmp::core::testing
