#include "store/store.hpp"

#include <algorithm>
#include <mutex>

#include <sqlite3.h>
#include <sys/stat.h>

#include "base/owned.hpp"
#include "store/limits.hpp"

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

using Handle = Owned<sqlite3, &sqlite3_close_v2>;
using StatementHandle = Owned<sqlite3_stmt, &sqlite3_finalize>;

std::unexpected<Error> database_error(sqlite3* db, std::string_view what) {
  return fail(Errc::database, std::string(what) + ": " + (db != nullptr ? sqlite3_errmsg(db) : "no memory"));
}

Result<void> execute(sqlite3* db, const char* sql) {
  if (sqlite3_exec(db, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return database_error(db, "statement");
  return {};
}

/// One prepared statement; values are bound in order, columns read by index.
class Statement {
 public:
  static Result<Statement> make(sqlite3* db, const char* sql) {
    StatementHandle handle;
    if (sqlite3_prepare_v2(db, sql, -1, out(handle), nullptr) != SQLITE_OK) return database_error(db, "prepare");
    return Statement(db, std::move(handle));
  }
  Statement& bind(std::int64_t value) {
    check(sqlite3_bind_int64(handle_.get(), ++bound_, value));
    return *this;
  }
  Statement& bind(ByteView value) {
    // An empty blob needs an address, else it is NULL.
    check(sqlite3_bind_blob64(handle_.get(), ++bound_, value.empty() ? "" : reinterpret_cast<const char*>(value.data()),
                              value.size(), SQLITE_TRANSIENT));
    return *this;
  }
  Statement& bind(std::string_view value) {
    check(sqlite3_bind_text64(handle_.get(), ++bound_, value.data(), value.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
    return *this;
  }
  /// Whether there is a row.
  Result<bool> step() {
    if (failed_ != SQLITE_OK) return database_error(db_, "bind");
    const int code = sqlite3_step(handle_.get());
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return database_error(db_, "step");
  }
  [[nodiscard]] std::int64_t integer(int column) { return sqlite3_column_int64(handle_.get(), column); }
  [[nodiscard]] ByteView blob(int column) {
    const auto* data = static_cast<const std::byte*>(sqlite3_column_blob(handle_.get(), column));
    return {data, static_cast<std::size_t>(sqlite3_column_bytes(handle_.get(), column))};
  }

 private:
  Statement(sqlite3* db, StatementHandle handle) : db_(db), handle_(std::move(handle)) {}
  void check(int code) {
    if (failed_ == SQLITE_OK) failed_ = code;
  }
  sqlite3* db_;
  StatementHandle handle_;
  int bound_ = 0;
  int failed_ = SQLITE_OK;
};

template <class... Values>
Result<void> run(sqlite3* db, const char* sql, const Values&... values) {
  NMP_TRY(auto statement, Statement::make(db, sql));
  (statement.bind(values), ...);
  NMP_TRY([[maybe_unused]] const bool row, statement.step());
  return {};
}

/// Rolls back unless committed. IMMEDIATE: the write lock comes first, so that what is read stays true.
class Transaction {
 public:
  static Result<Transaction> begin(sqlite3* db) {
    NMP_CHECK(execute(db, "BEGIN IMMEDIATE"));
    return Transaction(db);
  }
  Transaction(Transaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction() {
    if (db_ != nullptr) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
  Result<void> commit() {
    NMP_CHECK(execute(db_, "COMMIT"));
    db_ = nullptr;
    return {};
  }

 private:
  explicit Transaction(sqlite3* db) : db_(db) {}
  sqlite3* db_;
};

Result<std::int64_t> single_integer(sqlite3* db, const char* sql) {
  NMP_TRY(auto statement, Statement::make(db, sql));
  NMP_TRY(const bool row, statement.step());
  return row ? statement.integer(0) : 0;
}

Result<void> raise_clock(sqlite3* db, UnixSeconds time) {
  return run(db, "UPDATE clock SET greatest = ?1 WHERE greatest < ?1", time);
}

template <std::size_t N>
bool copy_exactly(ByteView from, ByteArray<N>& to) {
  if (from.size() != N) return false;
  std::ranges::copy(from, to.begin());
  return true;
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

Result<void> prepare_schema(sqlite3* db) {
  NMP_TRY(auto transaction, Transaction::begin(db));
  NMP_TRY(const auto version, single_integer(db, "PRAGMA user_version"));
  if (version > kSchemaVersion) return fail(Errc::newer_schema, std::to_string(version));
  if (version == 0) {
    NMP_CHECK(execute(db, kSchema));
    NMP_CHECK(execute(db, "PRAGMA user_version = 1"));
  }
  return transaction.commit();
}

}  // namespace

struct Store::Database {
  Handle handle;
  std::recursive_mutex mutex;  ///< Recursive: InTransaction calls back into the same Store.
  UnixSeconds greatest = 0;    ///< As stored.
  bool in_transaction = false;
  [[nodiscard]] sqlite3* db() const { return handle.get(); }
};

Store::Store(std::unique_ptr<Database> database) : database_(std::move(database)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const std::filesystem::path& path) {
  auto database = std::make_unique<Database>();
  const auto name = path.empty() ? std::string(":memory:") : path.string();
  if (!path.empty()) {
    // SQLite gives -wal and -shm the mode of the main file, so it has to be right before the first write.
    const auto file = std::unique_ptr<std::FILE, CallDeleter<&std::fclose>>(std::fopen(name.c_str(), "ae"));
    if (file == nullptr || ::fchmod(fileno(file.get()), 0600) != 0) return fail(nmp::Errc::io, name);
  }
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
  if (sqlite3_open_v2(name.c_str(), out(database->handle), kFlags, nullptr) != SQLITE_OK) {
    return database_error(database->db(), name);
  }
  auto* db = database->db();
  sqlite3_busy_timeout(db, static_cast<int>(kBusyTimeout.count()));
  sqlite3_extended_result_codes(db, 1);
  NMP_CHECK(execute(db, "PRAGMA journal_mode = WAL"));
  NMP_CHECK(execute(db, "PRAGMA synchronous = FULL"));
  NMP_CHECK(execute(db, "PRAGMA trusted_schema = OFF"));
  NMP_CHECK(execute(db, "PRAGMA secure_delete = ON"));
  NMP_CHECK(prepare_schema(db));
  NMP_TRY(database->greatest, single_integer(db, "SELECT greatest FROM clock"));
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
