#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace nmp::sandbox {

/// A descriptor that closes itself.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor();
  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// One file or directory as it was at the run's start.
struct SnapshotEntry {
  std::string path;  ///< Relative to the dataset, `/` between parts, no `.` or `..`.
  bool directory = false;
  std::uint64_t size = 0;     ///< Later bytes are not seen. 0 for directories.
  std::int64_t mtime_ns = 0;  ///< For caches of ours; guests see zero.
  std::uint64_t device = 0;   ///< With `inode`: a file replaced since is not opened.
  std::uint64_t inode = 0;
};

/// What a run sees of a dataset: regular files and directories, sorted by path bytes. Symbolic links to regular files
/// that lie beneath the dataset count as those files; all other links, devices, sockets and FIFOs do not exist.
/// Immutable, so any thread may read it.
class Snapshot {
 public:
  /// Walks the folder: call it off the network thread. Errors: dataset_unavailable.
  static Result<std::shared_ptr<const Snapshot>> take(std::string name, const std::filesystem::path& folder);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::vector<SnapshotEntry>& entries() const { return entries_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  /// The entry at a normal path ("" is the dataset itself), or null.
  [[nodiscard]] const SnapshotEntry* find(std::string_view path) const;
  /// Entries directly in a directory, sorted; empty if there are none.
  [[nodiscard]] std::vector<const SnapshotEntry*> list(std::string_view directory) const;
  /// A stable number of an entry, from its place in the order: what guests see as its inode. Never 0.
  [[nodiscard]] std::uint64_t number(const SnapshotEntry& entry) const;
  /// Opens a file of the snapshot for reading. Errors: not_found (gone or replaced since), io.
  Result<FileDescriptor> open(const SnapshotEntry& entry) const;
  /// Reads at `offset`, never past the snapshot's size. 0 at the end. Errors: io.
  static Result<std::size_t> read_at(const FileDescriptor& file,
                                     const SnapshotEntry& entry,
                                     std::uint64_t offset,
                                     std::span<std::byte> out);

 private:
  Snapshot() = default;
  Result<void> walk(int directory, const std::string& prefix, std::size_t depth);

  std::string name_;
  FileDescriptor root_;
  std::vector<SnapshotEntry> entries_;
  std::uint64_t bytes_ = 0;
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

/// Resolves a guest's path lexically against a directory of the snapshot: the normal path. Directory links are not
/// followed, so lexical and real agree. Errors: nmp::Errc::unsupported for a path that is absolute or leaves the
/// dataset, malformed for NUL bytes, too_large.
Result<std::string> resolve_guest_path(std::string_view directory, std::string_view path);

}  // namespace nmp::sandbox
