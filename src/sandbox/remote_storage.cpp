#include "sandbox/remote_storage.hpp"

#include "sandbox/errors.hpp"

namespace nmp::sandbox {

async::Awaitable<Result<RemoteStorage::PendingPtr>> RemoteStorage::ask(EngineFrame frame, std::uint64_t number) {
  if (writer_ == nullptr) co_return fail(nmp::Errc::closed, "host");
  auto pending = std::make_shared<Pending>(executor_);
  pending_.emplace(number, pending);
  writer_->push(encode(frame));
  Result<void> waited;
  while (!pending->answered && writer_ != nullptr && waited) waited = co_await pending->changed.wait();
  pending_.erase(number);
  if (pending->answered) co_return pending;
  if (!waited) co_return fail(waited.error());
  co_return fail(nmp::Errc::closed, "host");
}

async::Awaitable<Result<void>> RemoteStorage::write(std::vector<WatchWrite> writes) {
  WriteFrame frame;
  frame.number = next_++;
  frame.writes = std::move(writes);
  const auto number = frame.number;
  EngineFrame sent(std::move(frame));
  NMP_CO_TRY(auto answer, co_await ask(std::move(sent), number));
  if (!answer->stored) co_return fail(Errc::storage_failed);
  co_return Result<void>();
}

async::Awaitable<Result<std::vector<StoredEvent>>> RemoteStorage::fetch(FetchFrame frame) {
  frame.number = next_++;
  const auto number = frame.number;
  EngineFrame sent(frame);
  NMP_CO_TRY(auto answer, co_await ask(std::move(sent), number));
  if (!answer->events) co_return fail(Errc::storage_failed);
  co_return std::move(*answer->events);
}

async::Awaitable<Result<std::vector<StoredEvent>>> RemoteStorage::events(WatchId id,
                                                                         std::uint64_t from,
                                                                         std::uint32_t count_max,
                                                                         std::uint64_t bytes_max) {
  FetchFrame frame;
  frame.id = id;
  frame.from = from;
  frame.count_max = count_max;
  frame.bytes_max = bytes_max;
  co_return co_await fetch(frame);
}

async::Awaitable<Result<Bytes>> RemoteStorage::module(WatchId id) {
  FetchFrame frame;
  frame.id = id;
  frame.what = FetchFrame::What::module;
  NMP_CO_TRY(auto found, co_await fetch(frame));
  if (found.size() != 1) co_return fail(nmp::Errc::not_found, "module");
  co_return std::move(found.front().record);
}

void RemoteStorage::answer(const StoredFrame& frame) {
  const auto it = pending_.find(frame.number);
  if (it == pending_.end()) return;
  it->second->stored = frame.stored;
  it->second->answered = true;
  it->second->changed.notify_all();
}

void RemoteStorage::answer(FetchedFrame frame) {
  const auto it = pending_.find(frame.number);
  if (it == pending_.end()) return;
  it->second->events = std::move(frame.events);
  it->second->answered = true;
  it->second->changed.notify_all();
}

void RemoteStorage::close() {
  writer_ = nullptr;
  for (const auto& [number, pending] : pending_) pending->changed.notify_all();
}

}  // namespace nmp::sandbox
