#include "server/state_file.hpp"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/owned.hpp"

namespace nmp::server {
namespace {

using File = std::unique_ptr<std::FILE, CallDeleter<&std::fclose>>;

std::unexpected<Error> io_error(const char* call, const std::filesystem::path& path) {
  auto reason = std::error_code(errno, std::generic_category()).message();
  return fail(Errc::io, std::string(call) + " " + path.string() + ": " + reason);
}

}  // namespace

Result<Bytes> load_state_file(const std::filesystem::path& path, std::size_t bytes_max) {
  File file(std::fopen(path.c_str(), "rbe"));
  if (file == nullptr) {
    if (errno == ENOENT) return fail(Errc::not_found, path.string());
    return io_error("open", path);
  }
  struct stat status{};
  if (::fstat(::fileno(file.get()), &status) != 0) return io_error("fstat", path);
  if (!S_ISREG(status.st_mode)) return fail(Errc::io, path.string() + " is not a regular file");
  auto size = static_cast<std::size_t>(status.st_size);
  if (size > bytes_max) return fail(Errc::too_large, path.string());
  Bytes content(size);
  content.resize(std::fread(content.data(), 1, content.size(), file.get()));
  if (std::ferror(file.get()) != 0) return io_error("read", path);
  return content;
}

Result<void> replace_state_file(const std::filesystem::path& path, ByteView content) {
  auto temporary = path;
  temporary += ".new";
  ::unlink(temporary.c_str());  // of a process that was killed
  int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
  File file(fd >= 0 ? ::fdopen(fd, "wb") : nullptr);
  if (file == nullptr) return io_error("create", temporary);
  bool written = std::fwrite(content.data(), 1, content.size(), file.get()) == content.size();
  written = std::fflush(file.get()) == 0 && written;
  if (!written || ::rename(temporary.c_str(), path.c_str()) != 0) {
    auto error = io_error(written ? "rename" : "write", temporary);
    ::unlink(temporary.c_str());
    return error;
  }
  return {};
}

}  // namespace nmp::server
