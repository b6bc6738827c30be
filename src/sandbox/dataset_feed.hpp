#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "sandbox/watch_guest.hpp"

namespace nmp::sandbox {

/// Keeps snapshots of folders fresh: a thread of its own hears of changes by inotify(7) and takes a new snapshot soon
/// after, at most one per kFeedPause and dataset. Where inotify reports nothing (network file systems) or has no room
/// for more directories (fs.inotify.max_user_watches, kFeedDirectoriesMax), a walk every kFeedWalk finds the change.
class DatasetFeed {
 public:
  struct Dataset {
    std::string name;
    std::filesystem::path path;
  };
  /// `changed` is called on the feed's thread after each publication.
  DatasetFeed(std::vector<Dataset> datasets, std::function<void()> changed);
  DatasetFeed(const DatasetFeed&) = delete;
  DatasetFeed& operator=(const DatasetFeed&) = delete;
  /// Joins the thread.
  ~DatasetFeed();

  /// The live dataset of that name, watched from now on; its first snapshot is taken here, so call it off the network
  /// thread. Any thread. Errors: dataset_unavailable.
  Result<LiveDatasetPtr> open(const std::string& name);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nmp::sandbox
