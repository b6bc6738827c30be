/// Datasets as a filter sees them: folders under /data, read as a stream of lines in bounded memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wasi/api.h>

namespace files {

inline bool is_folder(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}
inline bool is_file(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

/// The names in a folder, sorted, so that a run's answer does not depend on their order on disk.
inline std::vector<std::string> list(const std::string& folder) {
  std::vector<std::string> names;
  DIR* stream = ::opendir(folder.c_str());
  if (stream == nullptr) return names;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(stream);
  std::sort(names.begin(), names.end());
  return names;
}

/// Every regular file beneath `folder`, in sorted order.
template <class F>
void walk(const std::string& folder, F&& each, int depth = 0) {
  if (depth > 32) return;
  for (const auto& name : list(folder)) {
    const std::string path = folder + "/" + name;
    if (is_folder(path)) {
      walk(path, each, depth + 1);
    } else if (is_file(path)) {
      each(path);
    }
  }
}

/// A line is cut at this size: the rest of it is read past.
inline constexpr std::size_t kLineBytesMax = 64 * 1024;

/// Reads lines through one fixed buffer.
class Lines {
 public:
  explicit Lines(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY)), buffer_(256 * 1024) {}
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;
  ~Lines() {
    if (fd_ >= 0) ::close(fd_);
  }
  bool opened() const { return fd_ >= 0; }
  std::uint64_t bytes() const { return bytes_; }
  /// Continues at `offset`.
  bool seek(std::uint64_t offset) { return ::lseek(fd_, static_cast<off_t>(offset), SEEK_SET) >= 0; }

  /// The next line without its end ("\n" or "\r\n"); valid until the next call. False at the end of the file.
  bool next(std::string_view& line) {
    joined_.clear();
    bool joining = false;
    while (true) {
      const char* begin = buffer_.data() + at_;
      const auto* end = static_cast<const char*>(std::memchr(begin, '\n', size_ - at_));
      const std::size_t taken = end != nullptr ? static_cast<std::size_t>(end - begin) : size_ - at_;
      complete_ = end != nullptr;
      if (end != nullptr && !joining) {
        at_ += taken + 1;
        ended_ = bytes_ - (size_ - at_);
        line = trimmed({begin, std::min(taken, kLineBytesMax)});
        return true;
      }
      joined_.append(begin, std::min(taken, kLineBytesMax - std::min(kLineBytesMax, joined_.size())));
      joining = joining || taken > 0;
      at_ += taken;
      if (end != nullptr) {
        ++at_;
        ended_ = bytes_ - (size_ - at_);
        break;
      }
      if (!fill()) {
        if (!joining) return false;
        break;
      }
    }
    line = trimmed(joined_);
    return true;
  }
  /// Whether the last line ended in a newline (the end of a file that is being written may not).
  bool complete() const { return complete_; }
  /// Where the last complete line ends, if reading began at `start`.
  std::uint64_t complete_up_to(std::uint64_t start) const { return start + ended_; }

 private:
  static std::string_view trimmed(std::string_view line) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
  }
  bool fill() {
    const ssize_t got = fd_ < 0 ? 0 : ::read(fd_, buffer_.data(), buffer_.size());
    at_ = 0;
    size_ = got > 0 ? static_cast<std::size_t>(got) : 0;
    bytes_ += size_;
    return got > 0;
  }

  int fd_;
  std::vector<char> buffer_;
  std::size_t at_ = 0;
  std::size_t size_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t ended_ = 0;
  bool complete_ = false;
  std::string joined_;
};

/// Datasets of the run, as paths. Each is a preopen; there is no folder /data that lists them.
inline std::vector<std::string> datasets() {
  std::vector<std::string> found;
  __wasi_prestat_t status;
  for (__wasi_fd_t fd = 3; __wasi_fd_prestat_get(fd, &status) == __WASI_ERRNO_SUCCESS; ++fd) {
    std::string path(status.u.dir.pr_name_len, '\0');
    if (__wasi_fd_prestat_dir_name(fd, reinterpret_cast<std::uint8_t*>(path.data()), path.size()) !=
        __WASI_ERRNO_SUCCESS)
      break;
    while (!path.empty() && path.back() == '\0') path.pop_back();
    found.push_back(path);
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// `name` itself, if it is a path; else the file of that name in any dataset. Empty if there is none.
inline std::string find(const std::string& name) {
  if (name.starts_with('/')) return is_file(name) ? name : std::string();
  for (const auto& dataset : datasets()) {
    if (is_file(dataset + "/" + name)) return dataset + "/" + name;
  }
  return {};
}

}  // namespace files
