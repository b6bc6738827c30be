#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include <sqlite3.h>

#include "base/bytes.hpp"
#include "base/owned.hpp"
#include "base/result.hpp"

/// SQLite as this room uses it: one translator for every database of the node. Not for other rooms.
namespace nmp::store::sqlite {

using Handle = Owned<sqlite3, &sqlite3_close_v2>;
using StatementHandle = Owned<sqlite3_stmt, &sqlite3_finalize>;

/// Errc::database with SQLite's own words. `db` may be null.
[[nodiscard]] std::unexpected<Error> database_error(sqlite3* db, std::string_view what);
/// Statements without values or rows. Errors: database.
Result<void> execute(sqlite3* db, const char* sql);

/// Opens or makes a database of mode 0600, WAL, synchronous FULL, with overwritten deletes; an empty path is in memory.
/// `schema` is run on a new file, which then has `version`. A handle may be used from any thread, one at a time.
/// Errors: nmp::Errc::io, database, newer_schema.
Result<Handle> open(const std::filesystem::path& path, const char* schema, std::int64_t version);

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
  [[nodiscard]] bool is_null(int column) { return sqlite3_column_type(handle_.get(), column) == SQLITE_NULL; }
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

/// The first column of the first row; 0 without a row.
Result<std::int64_t> single_integer(sqlite3* db, const char* sql);

/// A blob of exactly N bytes.
template <std::size_t N>
bool copy_exactly(ByteView from, ByteArray<N>& to) {
  if (from.size() != N) return false;
  std::ranges::copy(from, to.begin());
  return true;
}

}  // namespace nmp::store::sqlite
