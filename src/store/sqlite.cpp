#include "store/sqlite.hpp"

#include <sys/stat.h>

#include "store/limits.hpp"
#include "store/store.hpp"

namespace nmp::store::sqlite {

std::unexpected<Error> database_error(sqlite3* db, std::string_view what) {
  return fail(Errc::database, std::string(what) + ": " + (db != nullptr ? sqlite3_errmsg(db) : "no memory"));
}

Result<void> execute(sqlite3* db, const char* sql) {
  if (sqlite3_exec(db, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return database_error(db, "statement");
  return {};
}

Result<std::int64_t> single_integer(sqlite3* db, const char* sql) {
  NMP_TRY(auto statement, Statement::make(db, sql));
  NMP_TRY(const bool row, statement.step());
  return row ? statement.integer(0) : 0;
}

namespace {

Result<void> prepare_schema(sqlite3* db, const char* schema, std::int64_t version) {
  NMP_TRY(auto transaction, Transaction::begin(db));
  NMP_TRY(const auto present, single_integer(db, "PRAGMA user_version"));
  if (present > version) return fail(Errc::newer_schema, std::to_string(present));
  if (present == 0) {
    NMP_CHECK(execute(db, schema));
    const auto set = "PRAGMA user_version = " + std::to_string(version);
    NMP_CHECK(execute(db, set.c_str()));
  }
  return transaction.commit();
}

}  // namespace

Result<Handle> open(const std::filesystem::path& path, const char* schema, std::int64_t version) {
  Handle handle;
  const auto name = path.empty() ? std::string(":memory:") : path.string();
  if (!path.empty()) {
    // SQLite gives -wal and -shm the mode of the main file, so it has to be right before the first write.
    const auto file = std::unique_ptr<std::FILE, CallDeleter<&std::fclose>>(std::fopen(name.c_str(), "ae"));
    if (file == nullptr || ::fchmod(fileno(file.get()), 0600) != 0) return fail(nmp::Errc::io, name);
  }
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
  if (sqlite3_open_v2(name.c_str(), out(handle), kFlags, nullptr) != SQLITE_OK) {
    return database_error(handle.get(), name);
  }
  auto* db = handle.get();
  sqlite3_busy_timeout(db, static_cast<int>(kBusyTimeout.count()));
  sqlite3_extended_result_codes(db, 1);
  NMP_CHECK(execute(db, "PRAGMA journal_mode = WAL"));
  NMP_CHECK(execute(db, "PRAGMA synchronous = FULL"));
  NMP_CHECK(execute(db, "PRAGMA trusted_schema = OFF"));
  NMP_CHECK(execute(db, "PRAGMA secure_delete = ON"));
  NMP_CHECK(prepare_schema(db, schema, version));
  return handle;
}

}  // namespace nmp::store::sqlite
