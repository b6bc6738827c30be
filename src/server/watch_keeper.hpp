#pragma once

#include "base/async/pool.hpp"
#include "sandbox/watch_storage.hpp"
#include "server/config.hpp"
#include "store/watch_store.hpp"

namespace nmp::server {

/// Keeps what the engine tells of watchdogs in a WatchStore, on a thread of its own. Network thread only.
class WatchKeeper final : public sandbox::WatchStorage {
 public:
  /// `store` outlives it.
  explicit WatchKeeper(store::WatchStore& store) : store_(store) {}
  WatchKeeper(const WatchKeeper&) = delete;
  WatchKeeper& operator=(const WatchKeeper&) = delete;
  ~WatchKeeper() override { pool_.stop(); }

  async::Awaitable<Result<void>> write(std::vector<sandbox::WatchWrite> writes) override;
  async::Awaitable<Result<std::vector<sandbox::StoredEvent>>> events(sandbox::WatchId id,
                                                                     std::uint64_t from,
                                                                     std::uint32_t count_max,
                                                                     std::uint64_t bytes_max) override;
  async::Awaitable<Result<Bytes>> module(sandbox::WatchId id) override;

 private:
  store::WatchStore& store_;
  async::Pool pool_{1};
};

/// What is in the store, each with what the configuration allows its capability now. Errors: the store's.
Result<std::vector<sandbox::StoredWatch>> stored_watchdogs(store::WatchStore& store, const Config& config);

}  // namespace nmp::server
