#pragma once

#include <map>

#include "base/async/task_group.hpp"
#include "base/async/testing.hpp"
#include "core/watch.hpp"
#include "crypto/ed25519.hpp"
#include "crypto/random.hpp"
#include "sandbox/testing.hpp"
#include "sandbox/watchdogs.hpp"

/// For tests: a storage in memory that remembers every write, so that a test can start again from any of them.
namespace nmp::sandbox {

/// What a host has stored after some writes.
struct MemoryWatch {
  explicit MemoryWatch(libp2p::PeerId by) : owner(std::move(by)) {}
  libp2p::PeerId owner;
  std::string capability;
  Bytes key, definition, module;
  std::optional<Bytes> progress, log;
  std::map<std::uint64_t, Bytes> events;
  std::uint64_t next_event = 0;
};
using MemoryTable = std::map<WatchId, MemoryWatch>;

inline void apply(MemoryTable& table, const WatchWrite& write) {
  if (const auto* w = std::get_if<CreateWatch>(&write)) {
    MemoryWatch watch(w->owner);
    watch.capability = w->capability;
    watch.key = w->key;
    watch.definition = w->definition;
    watch.module = w->module;
    table.emplace(w->id, std::move(watch));
    return;
  }
  const auto it = table.find(std::visit([](const auto& w) { return w.id; }, write));
  if (it == table.end()) return;
  auto& watch = it->second;
  if (const auto* w = std::get_if<PutProgress>(&write)) watch.progress = w->record;
  if (const auto* w = std::get_if<PutLog>(&write)) watch.log = w->record;
  if (const auto* w = std::get_if<PutEvent>(&write)) {
    watch.events[w->sequence] = w->record;
    watch.next_event = w->sequence + 1;
  }
  if (const auto* w = std::get_if<ForgetEvents>(&write))
    watch.events.erase(watch.events.begin(), watch.events.upper_bound(w->up_to));
  if (std::holds_alternative<EraseWatch>(write)) table.erase(it);
}

class MemoryStorage final : public WatchStorage {
 public:
  async::Awaitable<Result<void>> write(std::vector<WatchWrite> writes) override {
    if (failures > 0) {
      --failures;
      co_return fail(nmp::Errc::io, "no space left on device");
    }
    for (const auto& write : writes) {
      apply(table, write);
      history.push_back(write);
    }
    co_return Result<void>();
  }
  async::Awaitable<Result<std::vector<StoredEvent>>> events(WatchId id,
                                                            std::uint64_t from,
                                                            std::uint32_t count_max,
                                                            std::uint64_t bytes_max) override {
    std::vector<StoredEvent> out;
    if (const auto it = table.find(id); it != table.end()) {
      std::uint64_t bytes = 0;
      for (auto at = it->second.events.lower_bound(from);
           at != it->second.events.end() && out.size() < count_max && bytes < bytes_max; ++at) {
        bytes += at->second.size();
        out.push_back({.sequence = at->first, .record = at->second});
      }
    }
    co_return out;
  }
  async::Awaitable<Result<Bytes>> module(WatchId id) override {
    const auto it = table.find(id);
    if (it == table.end()) co_return fail(nmp::Errc::not_found);
    co_return it->second.module;
  }

  MemoryTable table;
  std::vector<WatchWrite> history;
  int failures = 0;  ///< So many writes fail.
};

inline std::vector<StoredWatch> stored(const MemoryTable& table, const std::optional<WatchAuthorization>& allowed) {
  std::vector<StoredWatch> out;
  for (const auto& [id, watch] : table) {
    StoredWatch item(watch.owner);
    item.id = id;
    item.capability = watch.capability;
    item.key = watch.key;
    item.definition = watch.definition;
    item.progress = watch.progress;
    item.log = watch.log;
    item.next_event = watch.next_event;
    for (const auto& [sequence, record] : watch.events)
      item.event_bytes.push_back(static_cast<std::uint32_t>(record.size()));
    item.allowed = allowed;
    out.push_back(std::move(item));
  }
  return out;
}

inline WatchAuthorization watch_allowance() {
  WatchAuthorization out;
  out.limits.memory_bytes = 1 << 20;
  out.limits.fuel = 10'000'000;
  out.limits.wall_time_ms = 5000;
  out.limits.output_bytes = 1 << 16;
  out.limits.event_bytes = 1 << 20;
  out.limits.events = 1000;
  out.limits.diagnostic_bytes = 1 << 16;
  out.limits.input_bytes = 1 << 16;
  out.policy.fuel_per_day = 1'000'000'000;
  out.policy.life_seconds = 3600;
  return out;
}

}  // namespace nmp::sandbox
