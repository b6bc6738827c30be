#include "store/watch_store.hpp"

#include <limits>
#include <mutex>

#include "store/sqlite.hpp"

namespace nmp::store {

namespace {

using sqlite::copy_exactly;
using sqlite::run;
using sqlite::Statement;
using sqlite::Transaction;

constexpr std::int64_t kSchemaVersion = 1;

// The module apart: it is large, and read only when a watchdog starts.
constexpr const char* kSchema = R"(
CREATE TABLE watchdog(id BLOB PRIMARY KEY, owner BLOB NOT NULL, capability TEXT NOT NULL, key BLOB NOT NULL,
  definition BLOB NOT NULL, progress BLOB, log BLOB, next_event INTEGER NOT NULL) STRICT;
CREATE TABLE module(id BLOB PRIMARY KEY REFERENCES watchdog(id) ON DELETE CASCADE, record BLOB NOT NULL) STRICT;
CREATE TABLE event(id BLOB NOT NULL REFERENCES watchdog(id) ON DELETE CASCADE, sequence INTEGER NOT NULL,
  record BLOB NOT NULL, PRIMARY KEY (id, sequence)) STRICT;
)";

/// SQLite's integers are signed.
Result<std::int64_t> number(std::uint64_t value) {
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return fail(nmp::Errc::too_large, "sequence");
  return static_cast<std::int64_t>(value);
}

std::optional<Bytes> optional_blob(Statement& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return to_bytes(row.blob(column));
}

Result<WatchStore::Row> row_of(Statement& statement) {
  auto owner = libp2p::PeerId::from_bytes(statement.blob(1));
  if (!owner) return fail(Errc::database, "a watchdog's owner");
  WatchStore::Row row(*std::move(owner));
  if (!copy_exactly(statement.blob(0), row.id)) return fail(Errc::database, "a watchdog's ID");
  row.capability = string_of(statement.blob(2));
  row.key = to_bytes(statement.blob(3));
  row.definition = to_bytes(statement.blob(4));
  row.progress = optional_blob(statement, 5);
  row.log = optional_blob(statement, 6);
  row.next_event = static_cast<std::uint64_t>(statement.integer(7));
  return row;
}

}  // namespace

struct WatchStore::Database {
  sqlite::Handle handle;
  std::mutex mutex;
  [[nodiscard]] sqlite3* db() const { return handle.get(); }
};

struct WatchStore::Batch::State {
  sqlite3* db = nullptr;
  bool erased = false;
};

WatchStore::WatchStore(std::unique_ptr<Database> database) : database_(std::move(database)) {}
WatchStore::~WatchStore() = default;

Result<std::unique_ptr<WatchStore>> WatchStore::open(const std::filesystem::path& path) {
  auto database = std::make_unique<Database>();
  NMP_TRY(database->handle, sqlite::open(path, kSchema, kSchemaVersion));
  NMP_CHECK(sqlite::execute(database->db(), "PRAGMA foreign_keys = ON"));
  return std::unique_ptr<WatchStore>(new WatchStore(std::move(database)));
}

Result<void> WatchStore::Batch::create(const Row& row, ByteView module) {
  NMP_CHECK(run(state_.db, "INSERT INTO watchdog VALUES (?1, ?2, ?3, ?4, ?5, NULL, NULL, 0)", ByteView(row.id),
                row.owner.bytes(), std::string_view(row.capability), ByteView(row.key), ByteView(row.definition)));
  return run(state_.db, "INSERT INTO module VALUES (?1, ?2)", ByteView(row.id), module);
}

Result<void> WatchStore::Batch::put_progress(const Id& id, ByteView record) {
  return run(state_.db, "UPDATE watchdog SET progress = ?2 WHERE id = ?1", ByteView(id), record);
}

Result<void> WatchStore::Batch::put_log(const Id& id, ByteView record) {
  return run(state_.db, "UPDATE watchdog SET log = ?2 WHERE id = ?1", ByteView(id), record);
}

Result<void> WatchStore::Batch::put_event(const Id& id, std::uint64_t sequence, ByteView record) {
  NMP_TRY(const auto at, number(sequence));
  NMP_TRY(const auto next, number(sequence + 1));
  NMP_CHECK(run(state_.db, "INSERT OR REPLACE INTO event SELECT id, ?2, ?3 FROM watchdog WHERE id = ?1", ByteView(id),
                at, record));
  return run(state_.db, "UPDATE watchdog SET next_event = ?2 WHERE id = ?1", ByteView(id), next);
}

Result<void> WatchStore::Batch::forget_events(const Id& id, std::uint64_t up_to) {
  NMP_TRY(const auto last, number(up_to));
  return run(state_.db, "DELETE FROM event WHERE id = ?1 AND sequence <= ?2", ByteView(id), last);
}

Result<void> WatchStore::Batch::erase(const Id& id) {
  state_.erased = true;
  return run(state_.db, "DELETE FROM watchdog WHERE id = ?1", ByteView(id));
}

Result<void> WatchStore::write(const std::function<Result<void>(Batch&)>& fill) {
  const std::scoped_lock lock(database_->mutex);
  Batch::State state{.db = database_->db()};
  NMP_TRY(auto transaction, Transaction::begin(state.db));
  Batch batch(state);
  NMP_CHECK(fill(batch));
  NMP_CHECK(transaction.commit());
  // The log holds pages as they were, a watchdog's key among them.
  if (state.erased) NMP_CHECK(sqlite::execute(state.db, "PRAGMA wal_checkpoint(TRUNCATE)"));
  return {};
}

Result<std::vector<WatchStore::Event>> WatchStore::events(const Id& id,
                                                          std::uint64_t from,
                                                          std::size_t count_max,
                                                          std::uint64_t bytes_max) {
  NMP_TRY(const auto first, number(from));
  const std::scoped_lock lock(database_->mutex);
  NMP_TRY(auto statement, Statement::make(database_->db(),
                                          "SELECT sequence, record FROM event WHERE id = ?1 AND sequence >= ?2 "
                                          "ORDER BY sequence LIMIT ?3"));
  statement.bind(ByteView(id)).bind(first).bind(static_cast<std::int64_t>(count_max));
  std::vector<Event> out;
  for (std::uint64_t bytes = 0; bytes < bytes_max;) {
    NMP_TRY(const bool row, statement.step());
    if (!row) break;
    Event event;
    event.sequence = static_cast<std::uint64_t>(statement.integer(0));
    event.record = to_bytes(statement.blob(1));
    bytes += event.record.size();
    out.push_back(std::move(event));
  }
  return out;
}

Result<Bytes> WatchStore::module(const Id& id) {
  const std::scoped_lock lock(database_->mutex);
  NMP_TRY(auto statement, Statement::make(database_->db(), "SELECT record FROM module WHERE id = ?1"));
  statement.bind(ByteView(id));
  NMP_TRY(const bool row, statement.step());
  if (!row) return fail(nmp::Errc::not_found, "module");
  return to_bytes(statement.blob(0));
}

Result<std::vector<WatchStore::Row>> WatchStore::all() {
  const std::scoped_lock lock(database_->mutex);
  auto* db = database_->db();
  NMP_TRY(auto statement, Statement::make(db,
                                          "SELECT id, owner, capability, key, definition, progress, log, next_event "
                                          "FROM watchdog ORDER BY rowid"));
  std::vector<Row> out;
  for (;;) {
    NMP_TRY(const bool more, statement.step());
    if (!more) break;
    NMP_TRY(auto row, row_of(statement));
    NMP_TRY(auto sizes, Statement::make(db, "SELECT length(record) FROM event WHERE id = ?1 ORDER BY sequence"));
    sizes.bind(ByteView(row.id));
    for (;;) {
      NMP_TRY(const bool event, sizes.step());
      if (!event) break;
      row.event_bytes.push_back(static_cast<std::uint32_t>(sizes.integer(0)));
    }
    out.push_back(std::move(row));
  }
  return out;
}

}  // namespace nmp::store
