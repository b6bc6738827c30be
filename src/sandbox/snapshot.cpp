#include "sandbox/snapshot.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/errors.hpp"
#include "sandbox/limits.hpp"

namespace nmp::sandbox {

namespace {

std::string os_error(std::string_view call) {
  return fmt::format("{}: {}", call, std::generic_category().message(errno));
}

/// openat2(2): the kernel resolves, and never outside `directory`, through magic links or (with `flags`) other links.
FileDescriptor open_beneath(int directory, const char* path, int flags, std::uint64_t resolve) {
  open_how how{};
  // Never a controlling terminal, and a FIFO or device put in place of a file does not block us.
  how.flags = static_cast<std::uint64_t>(flags | O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | resolve;
  for (int attempt = 0; attempt < 3; ++attempt) {  // EAGAIN: a rename raced the resolution
    const auto fd = ::syscall(SYS_openat2, directory, path, &how, sizeof how);
    if (fd >= 0) return FileDescriptor(static_cast<int>(fd));
    if (errno != EAGAIN) break;
  }
  return {};
}

std::int64_t nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::shared_ptr<const Snapshot>> Snapshot::take(std::string name, const std::filesystem::path& folder) {
  std::shared_ptr<Snapshot> out(new Snapshot);
  out->name_ = std::move(name);
  // The owner's own path may hold links; what lies beneath may not lead out.
  out->root_ = FileDescriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!out->root_) return fail(Errc::dataset_unavailable, fmt::format("{}: {}", out->name_, os_error("open")));
  auto walked = out->walk(out->root_.get(), "", 0);
  if (!walked) return fail(Errc::dataset_unavailable, fmt::format("{}: {}", out->name_, walked.error().message()));
  std::ranges::sort(out->entries_, {}, &SnapshotEntry::path);
  return std::shared_ptr<const Snapshot>(std::move(out));
}

Result<void> Snapshot::walk(int directory, const std::string& prefix, std::size_t depth) {
  if (depth > kSnapshotDepthMax) return fail(nmp::Errc::exhausted, "folders nest too deep");
  const int copy = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return fail(nmp::Errc::io, os_error("openat"));
  std::unique_ptr<DIR, CloseDirectory> stream(::fdopendir(copy));
  if (!stream) {
    ::close(copy);
    return fail(nmp::Errc::io, os_error("fdopendir"));
  }
  for (;;) {
    errno = 0;
    const dirent* item = ::readdir(stream.get());
    if (item == nullptr) {
      if (errno != 0) return fail(nmp::Errc::io, os_error("readdir"));
      return {};
    }
    const std::string_view leaf(item->d_name);
    if (leaf == "." || leaf == "..") continue;
    const auto path = prefix.empty() ? std::string(leaf) : prefix + "/" + std::string(leaf);
    if (path.size() > kPathBytesMax) return fail(nmp::Errc::too_large, "path");
    struct stat status{};
    if (::fstatat(directory, item->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;  // gone meanwhile
    if (S_ISLNK(status.st_mode)) {
      auto target = open_beneath(root_.get(), path.c_str(), 0, 0);
      if (!target || ::fstat(target.get(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    }
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) continue;
    if (entries_.size() >= kSnapshotFilesMax) return fail(nmp::Errc::exhausted, "too many files");
    SnapshotEntry entry;
    entry.path = path;
    entry.directory = S_ISDIR(status.st_mode);
    entry.mtime_ns = nanoseconds(status.st_mtim);
    entry.device = status.st_dev;
    entry.inode = status.st_ino;
    if (!entry.directory) {
      entry.size = static_cast<std::uint64_t>(status.st_size);
      bytes_ += entry.size;
    }
    entries_.push_back(entry);
    if (entry.directory) {
      auto below = open_beneath(directory, item->d_name, O_DIRECTORY, RESOLVE_NO_SYMLINKS);
      if (!below) {
        if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) continue;
        return fail(nmp::Errc::io, fmt::format("{}: {}", path, os_error("openat2")));
      }
      NMP_CHECK(walk(below.get(), path, depth + 1));
    }
  }
}

const SnapshotEntry* Snapshot::find(std::string_view path) const {
  static const SnapshotEntry root{.path = "", .directory = true};
  if (path.empty()) return &root;
  const auto it = std::ranges::lower_bound(entries_, path, {}, &SnapshotEntry::path);
  return it != entries_.end() && it->path == path ? &*it : nullptr;
}

std::vector<const SnapshotEntry*> Snapshot::list(std::string_view directory) const {
  std::vector<const SnapshotEntry*> out;
  const auto prefix = directory.empty() ? std::string() : std::string(directory) + "/";
  auto it = std::ranges::lower_bound(entries_, prefix, {}, &SnapshotEntry::path);
  for (; it != entries_.end() && it->path.starts_with(prefix); ++it) {
    const auto leaf = std::string_view(it->path).substr(prefix.size());
    if (!leaf.empty() && !leaf.contains('/')) out.push_back(&*it);
  }
  return out;
}

std::uint64_t Snapshot::number(const SnapshotEntry& entry) const {
  if (entry.path.empty()) return 1;
  return 2 + static_cast<std::uint64_t>(&entry - entries_.data());
}

Result<FileDescriptor> Snapshot::open(const SnapshotEntry& entry) const {
  auto file = open_beneath(root_.get(), entry.path.c_str(), 0, 0);
  if (!file) {
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EXDEV) return fail(nmp::Errc::not_found);
    return fail(nmp::Errc::io, os_error("openat2"));
  }
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return fail(nmp::Errc::io, os_error("fstat"));
  if (!S_ISREG(status.st_mode) || status.st_dev != entry.device || status.st_ino != entry.inode)
    return fail(nmp::Errc::not_found, "replaced since the run's start");
  return file;
}

Result<std::size_t> Snapshot::read_at(const FileDescriptor& file,
                                      const SnapshotEntry& entry,
                                      std::uint64_t offset,
                                      std::span<std::byte> out) {
  if (offset >= entry.size || out.empty()) return 0UZ;
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), entry.size - offset));
  for (;;) {
    const auto got = ::pread(file.get(), out.data(), size, static_cast<off_t>(offset));
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return fail(nmp::Errc::io, os_error("pread"));
  }
}

Result<std::string> resolve_guest_path(std::string_view directory, std::string_view path) {
  if (path.size() > kPathBytesMax) return fail(nmp::Errc::too_large, "path");
  if (path.contains('\0')) return fail(nmp::Errc::malformed, "path");
  if (path.starts_with('/')) return fail(nmp::Errc::unsupported, "absolute path");
  std::string out(directory);
  while (!path.empty()) {
    const auto end = std::min(path.find('/'), path.size());
    const auto part = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (out.empty()) return fail(nmp::Errc::unsupported, "path leaves the dataset");
      const auto slash = out.rfind('/');
      out.resize(slash == std::string::npos ? 0 : slash);
      continue;
    }
    if (!out.empty()) out.push_back('/');
    out += part;
  }
  return out;
}

}  // namespace nmp::sandbox
