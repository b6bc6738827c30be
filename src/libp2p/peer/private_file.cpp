#include "libp2p/peer/private_file.hpp"

#include <cerrno>
#include <string>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encoding.hpp"
#include "libp2p/peer/errors.hpp"

namespace nmp::libp2p {
namespace {

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }

 private:
  int fd_;
};

std::unexpected<Error> io_error(const char* call, const std::filesystem::path& path) {
  auto reason = std::error_code(errno, std::generic_category()).message();
  return fail(Errc::io, std::string(call) + " " + path.string() + ": " + reason);
}

/// Reads up to `out.size()` bytes; fewer at the end of the file.
Result<std::size_t> read_all(const File& file, std::span<std::byte> out, const std::filesystem::path& path) {
  std::size_t done = 0;
  while (done < out.size()) {
    auto count = ::read(file.fd(), out.subspan(done).data(), out.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return io_error("read", path);
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

Result<void> write_all(const File& file, ByteView bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    auto count = ::write(file.fd(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return io_error("write", path);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

}  // namespace

Result<std::size_t> read_private_file(const std::filesystem::path& path, std::span<std::byte> out) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.is_open()) {
    if (errno == ENOENT) return fail(Errc::not_found, path.string());
    return io_error("open", path);
  }
  struct stat status{};
  if (::fstat(file.fd(), &status) != 0) return io_error("fstat", path);
  if (!S_ISREG(status.st_mode)) return fail(PeerErrc::key_file_malformed, path.string() + " is not a regular file");
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return fail(PeerErrc::key_file_permissions,
                path.string() + " may be used by others than its owner; run: chmod 600 " + path.string());
  }
  return read_all(file, out, path);
}

Result<void> create_private_file(const std::filesystem::path& path, ByteView content, Random& random) {
  auto temporary = path;
  temporary += ".new-" + hex_encode(random.bytes<8>());
  File file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  if (!file.is_open()) return io_error("create", temporary);
  auto written = write_all(file, content, temporary);
  if (written && ::fsync(file.fd()) != 0) written = io_error("fsync", temporary);
  if (written && ::link(temporary.c_str(), path.c_str()) != 0 && errno != EEXIST) written = io_error("link", path);
  ::unlink(temporary.c_str());
  NMP_CHECK(written);
  auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  File directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.is_open() || ::fsync(directory.fd()) != 0) return io_error("fsync", folder);
  return {};
}

}  // namespace nmp::libp2p
