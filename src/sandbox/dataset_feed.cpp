#include "sandbox/dataset_feed.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/async/awaitable.hpp"
#include "sandbox/errors.hpp"
#include "sandbox/limits.hpp"

namespace nmp::sandbox {

namespace {

constexpr std::uint32_t kChanges = IN_CREATE | IN_DELETE | IN_MODIFY | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF |
                                   IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK;

Instant now() { return async::system_clock().now(); }

bool same(const Snapshot& a, const Snapshot& b) {
  return std::ranges::equal(a.entries(), b.entries(), [](const SnapshotEntry& x, const SnapshotEntry& y) {
    return x.path == y.path && x.directory == y.directory && x.size == y.size && x.mtime_ns == y.mtime_ns &&
           x.device == y.device && x.inode == y.inode;
  });
}

}  // namespace

class DatasetFeed::Impl {
 public:
  Impl(std::vector<Dataset> datasets, std::function<void()> changed)
      : datasets_(std::move(datasets)),
        changed_(std::move(changed)),
        inotify_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)),
        wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~Impl() {
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    nudge();
    if (thread_.joinable()) thread_.join();
  }

  Result<LiveDatasetPtr> open(const std::string& name) {
    const auto it = std::ranges::find(datasets_, name, &Dataset::name);
    if (it == datasets_.end()) return fail(Errc::dataset_unavailable, name);
    const std::scoped_lock lock(mutex_);
    if (const auto known = watched_.find(name); known != watched_.end()) return known->second.live;
    // Directories are watched before they are read: what changes in between is a change.
    NMP_TRY(auto first, Snapshot::take(name, it->path));
    Watched watched;
    watched.path = it->path;
    watched.live = std::make_shared<LiveDataset>(first);
    watched.walk_at = now() + kFeedWalk;
    watched.due = now();  // once more, with the watches in place
    const auto added = watched_.emplace(name, std::move(watched)).first;
    watch_directories(name, added->second, *first);
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    nudge();
    return added->second.live;
  }

 private:
  struct Watched {
    std::filesystem::path path;
    LiveDatasetPtr live;
    std::map<std::string, int> directories;  ///< Relative path -> inotify's descriptor.
    Instant due = kNever;                    ///< When to take a snapshot.
    Instant walk_at;
    Instant taken{};
  };

  void nudge() const {
    const std::uint64_t one = 1;
    if (wake_) (void)!::write(wake_.get(), &one, sizeof one);
  }

  void watch_directories(const std::string& name, Watched& watched, const Snapshot& snapshot) {
    if (!inotify_) return;
    std::map<std::string, int> there;
    auto watch = [&](const std::string& relative) {
      if (owners_.size() >= kFeedDirectoriesMax && !watched.directories.contains(relative)) return;
      const auto path = relative.empty() ? watched.path : watched.path / relative;
      const int descriptor = ::inotify_add_watch(inotify_.get(), path.c_str(), kChanges);
      if (descriptor < 0) return;  // no room, or gone: the walk finds it
      there.emplace(relative, descriptor);
      owners_[descriptor] = name;
    };
    watch("");
    for (const auto& entry : snapshot.entries())
      if (entry.directory) watch(entry.path);
    std::set<int> kept;
    for (const auto& [relative, descriptor] : there) kept.insert(descriptor);
    for (const auto& [relative, descriptor] : watched.directories) {
      if (kept.contains(descriptor)) continue;
      ::inotify_rm_watch(inotify_.get(), descriptor);
      owners_.erase(descriptor);
    }
    watched.directories = std::move(there);
  }

  /// Which datasets the waiting events are about.
  void read_events() {
    alignas(inotify_event) std::array<char, 16 * 1024> buffer{};
    for (;;) {
      const auto size = ::read(inotify_.get(), buffer.data(), buffer.size());
      if (size <= 0) return;
      for (std::size_t at = 0; at + sizeof(inotify_event) <= static_cast<std::size_t>(size);) {
        inotify_event event{};
        std::copy_n(buffer.data() + at, sizeof event, reinterpret_cast<char*>(&event));
        at += sizeof event + event.len;
        const std::scoped_lock lock(mutex_);
        if ((event.mask & IN_Q_OVERFLOW) != 0) {
          for (auto& [name, watched] : watched_) mark(watched);
        } else if (const auto owner = owners_.find(event.wd); owner != owners_.end()) {
          if (const auto it = watched_.find(owner->second); it != watched_.end()) mark(it->second);
          if ((event.mask & IN_IGNORED) != 0) owners_.erase(owner);
        }
      }
    }
  }

  static void mark(Watched& watched) {
    watched.due = std::min(watched.due, std::max(now() + kFeedDelay, watched.taken + kFeedPause));
  }

  /// Takes what is due; answers when the next is.
  Instant take_due() {
    Instant next = kNever;
    bool published = false;
    std::vector<std::string> names;
    {
      const std::scoped_lock lock(mutex_);
      for (const auto& [name, watched] : watched_) names.push_back(name);
    }
    for (const auto& name : names) {
      std::filesystem::path path;
      LiveDatasetPtr live;
      {
        const std::scoped_lock lock(mutex_);
        auto& watched = watched_.at(name);
        const auto at = std::min(watched.due, watched.walk_at);
        if (at > now()) {
          next = std::min(next, at);
          continue;
        }
        watched.due = kNever;
        path = watched.path;
        live = watched.live;
      }
      auto snapshot = Snapshot::take(name, path);  // a folder that is away keeps its last snapshot
      const std::scoped_lock lock(mutex_);
      auto& watched = watched_.at(name);
      watched.taken = now();
      watched.walk_at = watched.taken + kFeedWalk;
      next = std::min({next, watched.walk_at, watched.due});
      if (!snapshot || same(**snapshot, *live->now().snapshot)) continue;
      watch_directories(name, watched, **snapshot);
      live->publish(*std::move(snapshot));
      published = true;
    }
    if (published) changed_();
    return next;
  }

  void run() {
    for (;;) {
      {
        const std::scoped_lock lock(mutex_);
        if (stopping_) return;
      }
      const auto next = take_due();
      int timeout_ms = -1;
      if (next != kNever)
        timeout_ms = static_cast<int>(
            std::clamp<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(next - now()).count(), 0, 60'000));
      std::array<pollfd, 2> waits{pollfd{wake_.get(), POLLIN, 0}, pollfd{inotify_.get(), POLLIN, 0}};
      (void)::poll(waits.data(), waits.size(), timeout_ms);
      std::uint64_t count = 0;
      if ((waits[0].revents & POLLIN) != 0) (void)!::read(wake_.get(), &count, sizeof count);
      if ((waits[1].revents & POLLIN) != 0) read_events();
    }
  }

  std::vector<Dataset> datasets_;
  std::function<void()> changed_;
  FileDescriptor inotify_;
  FileDescriptor wake_;
  std::mutex mutex_;
  bool stopping_ = false;
  std::map<std::string, Watched> watched_;
  std::map<int, std::string> owners_;  ///< inotify's descriptor -> dataset
  std::thread thread_;
};

DatasetFeed::DatasetFeed(std::vector<Dataset> datasets, std::function<void()> changed)
    : impl_(std::make_unique<Impl>(std::move(datasets), std::move(changed))) {}
DatasetFeed::~DatasetFeed() = default;

Result<LiveDatasetPtr> DatasetFeed::open(const std::string& name) { return impl_->open(name); }

}  // namespace nmp::sandbox
