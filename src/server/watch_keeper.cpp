#include "server/watch_keeper.hpp"

namespace nmp::server {

namespace {

struct Put {
  store::WatchStore::Batch& batch;
  Result<void> operator()(const sandbox::CreateWatch& w) const {
    store::WatchStore::Row row(w.owner);
    row.id = w.id;
    row.capability = w.capability;
    row.key = w.key;
    row.definition = w.definition;
    return batch.create(row, w.module);
  }
  Result<void> operator()(const sandbox::PutProgress& w) const { return batch.put_progress(w.id, w.record); }
  Result<void> operator()(const sandbox::PutEvent& w) const { return batch.put_event(w.id, w.sequence, w.record); }
  Result<void> operator()(const sandbox::PutLog& w) const { return batch.put_log(w.id, w.record); }
  Result<void> operator()(const sandbox::ForgetEvents& w) const { return batch.forget_events(w.id, w.up_to); }
  Result<void> operator()(const sandbox::EraseWatch& w) const { return batch.erase(w.id); }
};

}  // namespace

async::Awaitable<Result<void>> WatchKeeper::write(std::vector<sandbox::WatchWrite> writes) {
  auto work = [this, writes = std::move(writes)] {
    return store_.write([&](store::WatchStore::Batch& batch) -> Result<void> {
      for (const auto& write : writes) NMP_CHECK(std::visit(Put{batch}, write));
      return {};
    });
  };
  co_return co_await pool_.run(std::move(work));
}

async::Awaitable<Result<std::vector<sandbox::StoredEvent>>> WatchKeeper::events(sandbox::WatchId id,
                                                                                std::uint64_t from,
                                                                                std::uint32_t count_max,
                                                                                std::uint64_t bytes_max) {
  auto work = [this, id, from, count_max, bytes_max]() -> Result<std::vector<sandbox::StoredEvent>> {
    NMP_TRY(auto rows, store_.events(id, from, count_max, bytes_max));
    std::vector<sandbox::StoredEvent> out;
    out.reserve(rows.size());
    for (auto& row : rows) out.push_back({.sequence = row.sequence, .record = std::move(row.record)});
    return out;
  };
  co_return co_await pool_.run(std::move(work));
}

async::Awaitable<Result<Bytes>> WatchKeeper::module(sandbox::WatchId id) {
  auto work = [this, id] { return store_.module(id); };
  co_return co_await pool_.run(std::move(work));
}

Result<std::vector<sandbox::StoredWatch>> stored_watchdogs(store::WatchStore& store, const Config& config) {
  NMP_TRY(auto rows, store.all());
  std::vector<sandbox::StoredWatch> out;
  out.reserve(rows.size());
  for (auto& row : rows) {
    sandbox::StoredWatch watch(row.owner);
    watch.id = row.id;
    watch.capability = row.capability;
    watch.key = std::move(row.key);
    watch.definition = std::move(row.definition);
    watch.progress = std::move(row.progress);
    watch.log = std::move(row.log);
    watch.next_event = row.next_event;
    watch.event_bytes = std::move(row.event_bytes);
    const auto* capability = config.capability(row.capability);
    if (capability != nullptr && capability->open && capability->watch) {
      sandbox::WatchAuthorization allowed;
      allowed.limits = capability->limits;
      allowed.policy = *capability->watch;
      allowed.datasets = capability->datasets;
      watch.allowed = std::move(allowed);
    }
    out.push_back(std::move(watch));
  }
  return out;
}

}  // namespace nmp::server
