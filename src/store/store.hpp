#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "core/receipt.hpp"
#include "crypto/hash.hpp"
#include "libp2p/peer/peer_id.hpp"

namespace nmp::store {

enum class Errc {
  replayed = 1,    ///< This (agent, nonce) was accepted before.
  agent_full,      ///< kLiveIntentsPerAgentMax live intents of this agent.
  clock_behind,    ///< The clock is over five minutes behind the greatest time ever stored: nothing is accepted.
  stale_sequence,  ///< A manifest with a lower seq than one seen, or the same seq with other bytes.
  database,        ///< SQLite says no; the context has its words.
  newer_schema,    ///< The file was written by a later version.
};
std::error_code make_error_code(Errc code);

/// What the agent keeps of a run, for `nmp verify` and `nmp receipt get`.
struct RunRecord {
  crypto::Digest receipt_id{};  ///< H(receipt COSE)
  crypto::Digest intent_hash{};
  libp2p::PeerId node;
  std::string capability;
  UnixSeconds time = 0;
  Bytes proof;  ///< cryptographic_proof
  core::Salt input_salt{};
  core::Openings openings;
};

/// One SQLite file: WAL, synchronous = FULL, STRICT tables. Any thread, one at a time inside (a mutex); blocks for the
/// disk.
class Store {
 public:
  /// Creates or upgrades the file (0600); an empty path is an in-memory database for tests.
  /// Errors: database, newer_schema.
  static Result<std::unique_ptr<Store>> open(const std::filesystem::path& path);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// max(clock, greatest wall time ever stored), and stores it. Errors: clock_behind, database.
  Result<UnixSeconds> now(UnixSeconds clock);

  /// What else belongs into the transaction that accepts an intent (the audit entry); an error rolls all of it back.
  using InTransaction = std::function<Result<void>(Store&)>;
  /// Accepts (agent, nonce) once, durably, before it returns: across kill -9 nothing is accepted twice. Kept until
  /// expires + 60 s. `now` is what now() gave for this call. Errors: replayed, agent_full, database.
  Result<void> accept_intent(const libp2p::PeerId& agent,
                             const ByteArray<32>& nonce,
                             UnixSeconds expires,
                             UnixSeconds now,
                             const InTransaction& also = {});
  [[nodiscard]] Result<std::size_t> live_intents(const libp2p::PeerId& agent, UnixSeconds now);

  /// Errors: database.
  Result<void> add_run(const RunRecord& record);
  /// Errors: nmp::Errc::not_found, database.
  Result<RunRecord> find_run(const crypto::Digest& receipt_id);
  /// Newest first.
  Result<std::vector<RunRecord>> recent_runs(std::size_t count);

  /// Remembers the highest manifest of a peer. Errors: stale_sequence, database.
  Result<void> accept_manifest(const libp2p::PeerId& peer,
                               std::uint64_t seq,
                               const crypto::Digest& hash,
                               UnixSeconds now);
  /// The next seq for this node's own manifest: above all that it ever gave, durably. Errors: database.
  Result<std::uint64_t> next_manifest_seq();

 private:
  struct Database;
  explicit Store(std::unique_ptr<Database> database);
  std::unique_ptr<Database> database_;
};

}  // namespace nmp::store

template <>
struct std::is_error_code_enum<nmp::store::Errc> : std::true_type {};
