#pragma once

#include <map>
#include <memory>

#include "base/async/event.hpp"
#include "sandbox/engine_protocol.hpp"
#include "sandbox/frame_writer.hpp"

namespace nmp::sandbox {

/// The engine's end of its host's storage: writes and reads as frames. Network thread only.
class RemoteStorage final : public WatchStorage {
 public:
  /// `writer` outlives close().
  RemoteStorage(async::Executor executor, FrameWriter& writer) : executor_(std::move(executor)), writer_(&writer) {}

  async::Awaitable<Result<void>> write(std::vector<WatchWrite> writes) override;
  async::Awaitable<Result<std::vector<StoredEvent>>> events(WatchId id,
                                                            std::uint64_t from,
                                                            std::uint32_t count_max,
                                                            std::uint64_t bytes_max) override;
  async::Awaitable<Result<Bytes>> module(WatchId id) override;

  void answer(const StoredFrame& frame);
  void answer(FetchedFrame frame);
  /// The host is gone: what waits, and all that comes, ends with nmp::Errc::closed.
  void close();

 private:
  struct Pending {
    explicit Pending(const async::Executor& executor) : changed(executor) {}
    async::Event changed;
    bool answered = false;
    bool stored = false;
    std::optional<std::vector<StoredEvent>> events;
  };
  using PendingPtr = std::shared_ptr<Pending>;  // the table and who waits
  async::Awaitable<Result<PendingPtr>> ask(EngineFrame frame, std::uint64_t number);
  async::Awaitable<Result<std::vector<StoredEvent>>> fetch(FetchFrame frame);

  async::Executor executor_;
  FrameWriter* writer_;  ///< None once it is closed.
  std::uint64_t next_ = 0;
  std::map<std::uint64_t, PendingPtr> pending_;
};

}  // namespace nmp::sandbox
