#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/async/awaitable.hpp"
#include "core/watch.hpp"
#include "libp2p/peer/peer_id.hpp"

/// What the engine lets its host keep of watchdogs. Records are sealed under a key per watchdog, which is sealed under
/// the engine's storage key: the host sees whose they are, how many and how long, and nothing of what is in them.
namespace nmp::sandbox {

using core::WatchId;

struct CreateWatch {
  WatchId id{};
  libp2p::PeerId owner;
  std::string capability;
  Bytes key;         ///< The watchdog's key, wrapped. With it goes what rests under it.
  Bytes definition;  ///< Record
  Bytes module;      ///< Record
};
struct PutProgress {
  WatchId id{};
  Bytes record;
};
struct PutEvent {
  WatchId id{};
  std::uint64_t sequence = 0;
  Bytes record;
};
struct PutLog {
  WatchId id{};
  Bytes record;
};
struct ForgetEvents {
  WatchId id{};
  std::uint64_t up_to = 0;  ///< Included.
};
struct EraseWatch {
  WatchId id{};
};
/// One of a list that is stored whole or not at all. What is put for a watchdog that is not there is left out.
using WatchWrite = std::variant<CreateWatch, PutProgress, PutEvent, PutLog, ForgetEvents, EraseWatch>;

struct StoredEvent {
  std::uint64_t sequence = 0;
  Bytes record;
};

/// What a host allows the watchdogs of a capability.
struct WatchAuthorization {
  core::Authorization limits;
  core::WatchPolicy policy;
  std::vector<std::string> datasets;
};

/// A watchdog as a host finds it when it starts.
struct StoredWatch {
  explicit StoredWatch(libp2p::PeerId by) : owner(std::move(by)) {}
  WatchId id{};
  libp2p::PeerId owner;
  std::string capability;
  Bytes key;
  Bytes definition;
  std::optional<Bytes> progress;
  std::optional<Bytes> log;
  std::uint64_t next_event = 0;
  std::vector<std::uint32_t> event_bytes;  ///< Lengths of the records of the events that are kept: the last ones.
  /// What the capability allows now; none: nothing, and the watchdog stays suspended.
  std::optional<WatchAuthorization> allowed;
};

/// Where it is kept. Calls may run at the same time; each awaits the disk.
class WatchStorage {
 public:
  virtual ~WatchStorage() = default;
  /// Durable when it returns. Errors: of the storage; then nothing was stored.
  virtual async::Awaitable<Result<void>> write(std::vector<WatchWrite> writes) = 0;
  /// Events from a sequence number on, in order: at most `count_max`, and no more than `bytes_max` after the first.
  virtual async::Awaitable<Result<std::vector<StoredEvent>>> events(WatchId id,
                                                                    std::uint64_t from,
                                                                    std::uint32_t count_max,
                                                                    std::uint64_t bytes_max) = 0;
  /// Errors: nmp::Errc::not_found.
  virtual async::Awaitable<Result<Bytes>> module(WatchId id) = 0;
};

}  // namespace nmp::sandbox
