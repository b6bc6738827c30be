#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "core/dataset_commitment.hpp"
#include "sandbox/snapshot.hpp"

namespace nmp::sandbox {

/// Snapshots of datasets and their commitments. The commitment of an unchanged snapshot (paths, sizes, times) is kept;
/// a changed one is a new version with a new key. One thread at a time: the engine's file thread.
class DatasetStore {
 public:
  struct Taken {
    SnapshotPtr snapshot;
    std::optional<crypto::Digest> commitment;
  };
  /// Reads every file if a commitment is asked for and none is kept. Errors: dataset_unavailable.
  Result<Taken> take(const std::string& name, const std::filesystem::path& folder, bool commit, Random& random);

 private:
  struct Kept {
    crypto::Digest fingerprint{};
    std::uint64_t version = 0;
    crypto::Digest commitment{};
  };
  std::map<std::string, Kept> kept_;
};

}  // namespace nmp::sandbox
