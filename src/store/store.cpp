#include "store/store.hpp"

#include <algorithm>
#include <mutex>

#include "store/limits.hpp"
#include "store/sqlite.hpp"

namespace nmp::store {

std::error_code make_error_code(Errc code) {
  static const EnumCategory<Errc> category("store", [](Errc value) -> std::string_view {
    switch (value) {
      case Errc::replayed: return "replayed: this intent was accepted before";
      case Errc::agent_full: return "agent_full: too many live intents of this agent";
      case Errc::clock_behind: return "clock_behind: the clock is behind a time already stored";
      case Errc::stale_sequence: return "stale_sequence: a newer manifest of this peer was seen";
      case Errc::database: return "database";
      case Errc::newer_schema: return "newer_schema: the file was written by a later version";
    }
    return "unknown";
  });
  return {static_cast<int>(code), category};
}

namespace {

using sqlite::copy_exactly;
using sqlite::run;
using sqlite::single_integer;
using sqlite::Statement;
using sqlite::Transaction;

constexpr std::int64_t kSchemaVersion = 1;

// `live` counts per agent would have to be kept right by hand; the index makes counting 4,096 rows cheap.
constexpr const char* kSchema = R"(
CREATE TABLE clock(id INTEGER PRIMARY KEY CHECK (id = 0), greatest INTEGER NOT NULL) STRICT;
INSERT INTO clock VALUES (0, 0);
CREATE TABLE replay(agent BLOB NOT NULL, nonce BLOB NOT NULL, forget_at INTEGER NOT NULL, UNIQUE (agent, nonce)) STRICT;
CREATE INDEX replay_by_time ON replay(forget_at);
CREATE TABLE run(receipt_id BLOB PRIMARY KEY, intent_hash BLOB NOT NULL, node BLOB NOT NULL, capability TEXT NOT NULL,
  time INTEGER NOT NULL, proof BLOB NOT NULL, input_salt BLOB NOT NULL, evidence_salt BLOB NOT NULL) STRICT;
CREATE INDEX run_by_time ON run(time);
CREATE TABLE manifest(peer BLOB PRIMARY KEY, seq INTEGER NOT NULL, hash BLOB NOT NULL, seen INTEGER NOT NULL) STRICT;
CREATE INDEX manifest_by_seen ON manifest(seen);
CREATE TABLE own_manifest(id INTEGER PRIMARY KEY CHECK (id = 0), seq INTEGER NOT NULL) STRICT;
INSERT INTO own_manifest VALUES (0, 0);
)";

Result<void> raise_clock(sqlite3* db, UnixSeconds time) {
  return run(db, "UPDATE clock SET greatest = ?1 WHERE greatest < ?1", time);
}

constexpr const char* kRunColumns =
    "SELECT receipt_id, intent_hash, node, capability, time, proof, input_salt, evidence_salt FROM run ";

Result<RunRecord> run_from_row(Statement& row) {
  auto node = libp2p::PeerId::from_bytes(row.blob(2));
  if (!node) return fail(Errc::database, "a run's node");
  RunRecord out{.node = *node};
  out.capability = string_of(row.blob(3));
  out.time = row.integer(4);
  out.proof = to_bytes(row.blob(5));
  if (!copy_exactly(row.blob(0), out.receipt_id) || !copy_exactly(row.blob(1), out.intent_hash) ||
      !copy_exactly(row.blob(6), out.input_salt) || !copy_exactly(row.blob(7), out.openings.evidence_salt)) {
    return fail(Errc::database, "a run's columns");
  }
  return out;
}

}  // namespace

struct Store::Database {
  sqlite::Handle handle;
  std::recursive_mutex mutex;  ///< Recursive: InTransaction calls back into the same Store.
  UnixSeconds greatest = 0;    ///< As stored.
  bool in_transaction = false;
  [[nodiscard]] sqlite3* db() const { return handle.get(); }
};

Store::Store(std::unique_ptr<Database> database) : database_(std::move(database)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const std::filesystem::path& path) {
  auto database = std::make_unique<Database>();
  NMP_TRY(database->handle, sqlite::open(path, kSchema, kSchemaVersion));
  NMP_TRY(database->greatest, single_integer(database->db(), "SELECT greatest FROM clock"));
  return std::unique_ptr<Store>(new Store(std::move(database)));
}

Result<UnixSeconds> Store::now(UnixSeconds clock) {
  const std::scoped_lock lock(database_->mutex);
  auto& greatest = database_->greatest;
  if (clock < greatest - std::chrono::seconds(kClockBehindMax).count()) {
    return fail(Errc::clock_behind, std::to_string(greatest - clock) + " s");
  }
  if (clock >= greatest + kTimeGranularity.count()) {
    NMP_CHECK(raise_clock(database_->db(), clock));
    greatest = clock;
  }
  return std::max(clock, greatest);
}

Result<void> Store::accept_intent(const libp2p::PeerId& agent,
                                  const ByteArray<32>& nonce,
                                  UnixSeconds expires,
                                  UnixSeconds now,
                                  const InTransaction& also) {
  const std::scoped_lock lock(database_->mutex);
  auto* db = database_->db();
  NMP_TRY(auto transaction, Transaction::begin(db));
  NMP_CHECK(raise_clock(db, now));
  NMP_CHECK(run(db, "DELETE FROM replay WHERE forget_at < ?1", now));
  {
    NMP_TRY(auto seen, Statement::make(db, "SELECT 1 FROM replay WHERE agent = ?1 AND nonce = ?2"));
    seen.bind(agent.bytes()).bind(ByteView(nonce));
    NMP_TRY(const bool again, seen.step());
    if (again) return fail(Errc::replayed);
  }
  NMP_TRY(const auto live, live_intents(agent, now));
  if (live >= kLiveIntentsPerAgentMax) return fail(Errc::agent_full);
  NMP_CHECK(run(db, "INSERT INTO replay(agent, nonce, forget_at) VALUES (?1, ?2, ?3)", agent.bytes(), ByteView(nonce),
                std::int64_t{expires + kReplayGrace.count()}));
  if (also) {
    database_->in_transaction = true;
    auto more = also(*this);
    database_->in_transaction = false;
    if (!more) return more;
  }
  NMP_CHECK(transaction.commit());
  database_->greatest = std::max(database_->greatest, now);
  return {};
}

Result<std::size_t> Store::live_intents(const libp2p::PeerId& agent, UnixSeconds now) {
  const std::scoped_lock lock(database_->mutex);
  NMP_TRY(auto statement,
          Statement::make(database_->db(), "SELECT count(*) FROM replay WHERE agent = ?1 AND forget_at >= ?2"));
  statement.bind(agent.bytes()).bind(now);
  NMP_TRY([[maybe_unused]] const bool row, statement.step());
  return static_cast<std::size_t>(statement.integer(0));
}

Result<void> Store::add_run(const RunRecord& record) {
  const std::scoped_lock lock(database_->mutex);
  auto* db = database_->db();
  NMP_ASSERT(!database_->in_transaction);
  NMP_TRY(auto transaction, Transaction::begin(db));
  NMP_CHECK(run(db, "INSERT OR REPLACE INTO run VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", ByteView(record.receipt_id),
                ByteView(record.intent_hash), record.node.bytes(), std::string_view(record.capability), record.time,
                ByteView(record.proof), ByteView(record.input_salt), ByteView(record.openings.evidence_salt)));
  // Row ids rise with each insert: the oldest go, without a walk over those that stay.
  NMP_CHECK(run(db, "DELETE FROM run WHERE rowid <= (SELECT max(rowid) FROM run) - ?1",
                static_cast<std::int64_t>(kRunRecordsMax)));
  return transaction.commit();
}

Result<RunRecord> Store::find_run(const crypto::Digest& receipt_id) {
  const std::scoped_lock lock(database_->mutex);
  const auto sql = std::string(kRunColumns) + "WHERE receipt_id = ?1";
  NMP_TRY(auto statement, Statement::make(database_->db(), sql.c_str()));
  statement.bind(ByteView(receipt_id));
  NMP_TRY(const bool row, statement.step());
  if (!row) return fail(nmp::Errc::not_found, "no such run");
  return run_from_row(statement);
}

Result<std::vector<RunRecord>> Store::recent_runs(std::size_t count) {
  const std::scoped_lock lock(database_->mutex);
  const auto sql = std::string(kRunColumns) + "ORDER BY time DESC, receipt_id LIMIT ?1";
  NMP_TRY(auto statement, Statement::make(database_->db(), sql.c_str()));
  statement.bind(static_cast<std::int64_t>(std::min(count, kRunRecordsMax)));
  std::vector<RunRecord> out;
  while (true) {
    NMP_TRY(const bool row, statement.step());
    if (!row) return out;
    NMP_TRY(auto record, run_from_row(statement));
    out.push_back(std::move(record));
  }
}

Result<void> Store::accept_manifest(const libp2p::PeerId& peer,
                                    std::uint64_t seq,
                                    const crypto::Digest& hash,
                                    UnixSeconds now) {
  if (seq > static_cast<std::uint64_t>(INT64_MAX)) return fail(nmp::Errc::too_large, "seq");
  const std::scoped_lock lock(database_->mutex);
  auto* db = database_->db();
  NMP_ASSERT(!database_->in_transaction);
  NMP_TRY(auto transaction, Transaction::begin(db));
  {
    NMP_TRY(auto statement, Statement::make(db, "SELECT seq, hash FROM manifest WHERE peer = ?1"));
    statement.bind(peer.bytes());
    NMP_TRY(const bool row, statement.step());
    if (row) {
      const auto known = static_cast<std::uint64_t>(statement.integer(0));
      if (seq < known || (seq == known && !equal(statement.blob(1), hash))) return fail(Errc::stale_sequence);
    }
  }
  NMP_CHECK(run(db,
                "INSERT INTO manifest VALUES (?1, ?2, ?3, ?4) "
                "ON CONFLICT(peer) DO UPDATE SET seq = ?2, hash = ?3, seen = ?4",
                peer.bytes(), static_cast<std::int64_t>(seq), ByteView(hash), now));
  NMP_CHECK(run(
      db, "DELETE FROM manifest WHERE peer IN (SELECT peer FROM manifest ORDER BY seen DESC, peer LIMIT -1 OFFSET ?1)",
      static_cast<std::int64_t>(kManifestPeersMax)));
  return transaction.commit();
}

Result<std::uint64_t> Store::next_manifest_seq() {
  const std::scoped_lock lock(database_->mutex);
  auto* db = database_->db();
  NMP_ASSERT(!database_->in_transaction);
  NMP_TRY(auto transaction, Transaction::begin(db));
  NMP_CHECK(run(db, "UPDATE own_manifest SET seq = seq + 1"));
  NMP_TRY(const auto seq, single_integer(db, "SELECT seq FROM own_manifest"));
  NMP_CHECK(transaction.commit());
  return static_cast<std::uint64_t>(seq);
}

}  // namespace nmp::store
