#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "libp2p/peer/peer_id.hpp"
#include "store/store.hpp"

namespace nmp::store {

/// What a node keeps of its watchdogs, in a file of its own, so that their writes hold up nothing else. All records are
/// opaque: sealed by the engine, which alone has the key. Any thread, one at a time inside (a mutex); blocks for the
/// disk.
class WatchStore {
 public:
  using Id = ByteArray<16>;

  /// One watchdog. `key`, `definition` and `module` never change.
  struct Row {
    explicit Row(libp2p::PeerId by) : owner(std::move(by)) {}
    Id id{};
    libp2p::PeerId owner;
    std::string capability;
    Bytes key;
    Bytes definition;
    std::optional<Bytes> progress;
    std::optional<Bytes> log;
    std::uint64_t next_event = 0;
    std::vector<std::uint32_t> event_bytes;  ///< Of the events that are kept, in their order.
  };
  struct Event {
    std::uint64_t sequence = 0;
    Bytes record;
  };

  /// One transaction's writes. What is put for a watchdog that is not there is left out.
  class Batch {
   public:
    Result<void> create(const Row& row, ByteView module);
    Result<void> put_progress(const Id& id, ByteView record);
    Result<void> put_log(const Id& id, ByteView record);
    /// Events come in order: next_event becomes the one after.
    Result<void> put_event(const Id& id, std::uint64_t sequence, ByteView record);
    Result<void> forget_events(const Id& id, std::uint64_t up_to);
    /// All of it, and no trace in the file: rows are overwritten, and the write-ahead log is emptied after.
    Result<void> erase(const Id& id);

   private:
    friend class WatchStore;
    struct State;
    explicit Batch(State& state) : state_(state) {}
    State& state_;
  };

  /// Creates the file (0600); an empty path is in memory. Errors: database, newer_schema, nmp::Errc::io.
  static Result<std::unique_ptr<WatchStore>> open(const std::filesystem::path& path);
  ~WatchStore();
  WatchStore(const WatchStore&) = delete;
  WatchStore& operator=(const WatchStore&) = delete;

  /// All of what `fill` writes, durable when it returns, or nothing: an error of `fill` rolls back. Errors: database,
  /// those of `fill`.
  Result<void> write(const std::function<Result<void>(Batch&)>& fill);
  /// From a sequence number on, in order: at most `count_max`, none after `bytes_max` are passed. Errors: database.
  Result<std::vector<Event>> events(const Id& id, std::uint64_t from, std::size_t count_max, std::uint64_t bytes_max);
  /// Errors: nmp::Errc::not_found, database.
  Result<Bytes> module(const Id& id);
  /// Without modules. Errors: database.
  Result<std::vector<Row>> all();

 private:
  struct Database;
  explicit WatchStore(std::unique_ptr<Database> database);
  std::unique_ptr<Database> database_;
};

}  // namespace nmp::store
