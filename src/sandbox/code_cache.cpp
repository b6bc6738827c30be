#include "sandbox/code_cache.hpp"

#include <algorithm>
#include <cerrno>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encoding.hpp"
#include "base/owned.hpp"
#include "crypto/cbor.hpp"
#include "sandbox/limits.hpp"
#include "sandbox/runner.hpp"

namespace nmp::sandbox {

namespace {

constexpr std::string_view kRecord = "code";
constexpr std::string_view kNewPrefix = ".new-";
constexpr std::size_t kNameSize = 64;
/// What an entry takes of the disk: whole blocks.
constexpr std::uint64_t kBlock = 4096;

using Directory = Owned<DIR, &::closedir>;

Bytes identity_of(const CodeKey& key) {
  return cbor::encode(
      cbor::Array{"nmp/v1/aot", Runner::profile(), ByteView(key.module), ByteView(key.engine), ByteView(key.account)});
}

bool is_name(std::string_view name) {
  return name.size() == kNameSize && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::uint64_t on_disk(std::uint64_t bytes) { return (bytes + kBlock - 1) / kBlock * kBlock; }

std::unexpected<Error> io_error(std::string_view call, const std::filesystem::path& path) {
  return fail(nmp::Errc::io, fmt::format("{} {}: {}", call, path.string(), std::generic_category().message(errno)));
}

}  // namespace

CodeCache::CodeCache(CodeCacheOptions options)
    : options_(std::move(options)), key_(AtRestKey::derive(options_.storage_key, "nmp/v1/aot")) {
  name_key_ = crypto::hkdf_expand<32>(options_.storage_key, bytes_of("nmp/v1/aot/name"));
  options_.storage_key.erase();
}

Result<std::shared_ptr<CodeCache>> CodeCache::open(CodeCacheOptions options) {
  NMP_ASSERT(options.random != nullptr);
  std::shared_ptr<CodeCache> out(new CodeCache(std::move(options)));
  const auto& path = out->options_.folder;
  if (::mkdir(path.c_str(), S_IRWXU) != 0 && errno != EEXIST) return io_error("mkdir", path);
  out->folder_ = FileDescriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!out->folder_) return io_error("open", path);
  NMP_CHECK(out->scan());
  return out;
}

/// Takes over what an earlier life left: the newest first, as their times of change tell.
Result<void> CodeCache::scan() {
  const int copy = ::openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  Directory directory(copy < 0 ? nullptr : ::fdopendir(copy));
  if (directory == nullptr) return io_error("open", options_.folder);
  struct Found {
    std::string name;
    std::uint64_t bytes;
    timespec time;
  };
  std::vector<Found> found;
  while (const auto* item = ::readdir(directory.get())) {
    const std::string name = item->d_name;
    if (name.starts_with(kNewPrefix)) ::unlinkat(folder_.get(), name.c_str(), 0);  // of a process that was killed
    struct stat status{};
    if (!is_name(name) || ::fstatat(folder_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (S_ISREG(status.st_mode)) found.push_back({name, static_cast<std::uint64_t>(status.st_size), status.st_mtim});
  }
  std::ranges::sort(found, [](const Found& a, const Found& b) {
    return std::pair(a.time.tv_sec, a.time.tv_nsec) < std::pair(b.time.tv_sec, b.time.tv_nsec);
  });
  const std::lock_guard lock(mutex_);
  for (const auto& entry : found) note_locked(entry.name, entry.bytes);
  evict_locked();
  return {};
}

std::string CodeCache::name_of(ByteView identity) const {
  return hex_encode(crypto::hmac_sha256(name_key_.view(), identity));
}

/// `there` tells whether something of that name was there to be read.
std::optional<Bytes> CodeCache::read(const std::string& name, bool& there) const {
  // A FIFO or device in place of a file does not block us.
  const FileDescriptor file(
      ::openat(folder_.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  there = static_cast<bool>(file) || errno != ENOENT;
  struct stat status{};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size < kAtRestOverhead || size > kCodeEntryBytesMax + kAtRestOverhead) return std::nullopt;
  Bytes record(static_cast<std::size_t>(size));
  for (std::size_t at = 0; at < record.size();) {
    const auto got = ::read(file.get(), record.data() + at, record.size() - at);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;  // shorter than it was
    at += static_cast<std::size_t>(got);
  }
  (void)::futimens(file.get(), nullptr);  // used just now, also to the next life
  return record;
}

bool CodeCache::write(const std::string& name, ByteView record) const {
  const FileDescriptor file(
      ::openat(folder_.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  if (!file) return false;
  while (!record.empty()) {
    const auto put = ::write(file.get(), record.data(), record.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    record = record.subspan(static_cast<std::size_t>(put));
  }
  return true;
}

std::optional<Bytes> CodeCache::load(const CodeKey& key) {
  const auto identity = identity_of(key);
  const auto name = name_of(identity);
  bool there = false;
  const auto record = read(name, there);
  auto code = record ? key_.open(kRecord, identity, *record) : Result<Bytes>(fail(nmp::Errc::malformed));
  if (!code && there) drop(name);
  const std::lock_guard lock(mutex_);
  if (!record || !code) {
    forget_locked(name);
    ++(there ? stats_.refused : stats_.misses);
    return std::nullopt;
  }
  note_locked(name, record->size());
  ++stats_.hits;
  return *std::move(code);
}

void CodeCache::store(const CodeKey& key, ByteView code) {
  if (code.size() > kCodeEntryBytesMax || on_disk(code.size() + kAtRestOverhead) > options_.bytes_max) return;
  const auto identity = identity_of(key);
  const auto name = name_of(identity);
  Bytes record;
  std::string temporary(kNewPrefix);
  {
    // Sealing is a few milliseconds of a thread that has just compiled for many more.
    const std::lock_guard lock(mutex_);
    record = key_.seal(kRecord, identity, code, *options_.random);
    temporary += hex_encode(options_.random->bytes<16>());
  }
  const bool written = write(temporary, record);
  const std::lock_guard lock(mutex_);
  if (!written || ::renameat(folder_.get(), temporary.c_str(), folder_.get(), name.c_str()) != 0) {
    ::unlinkat(folder_.get(), temporary.c_str(), 0);
    ++stats_.write_failures;
    return;
  }
  note_locked(name, record.size());
  ++stats_.stored;
  evict_locked();
}

void CodeCache::erase(const CodeKey& key) {
  const auto name = name_of(identity_of(key));
  {
    const FileDescriptor file(
        ::openat(folder_.get(), name.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
    const ByteArray<kAtRestOverhead> zeros{};
    if (file && ::pwrite(file.get(), zeros.data(), zeros.size(), 0) > 0) ::fdatasync(file.get());
  }
  drop(name);
}

void CodeCache::refuse(const CodeKey& key) {
  drop(name_of(identity_of(key)));
  const std::lock_guard lock(mutex_);
  ++stats_.refused;
}

void CodeCache::drop(const std::string& name) {
  ::unlinkat(folder_.get(), name.c_str(), 0);
  const std::lock_guard lock(mutex_);
  forget_locked(name);
}

void CodeCache::note_locked(const std::string& name, std::uint64_t bytes) {
  forget_locked(name);
  order_.push_front(name);
  entries_[name] = {.bytes = on_disk(bytes), .place = order_.begin()};
  stats_.bytes += on_disk(bytes);
}

void CodeCache::forget_locked(const std::string& name) {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return;
  stats_.bytes -= it->second.bytes;
  order_.erase(it->second.place);
  entries_.erase(it);
}

void CodeCache::evict_locked() {
  while (!order_.empty() && (stats_.bytes > options_.bytes_max || order_.size() > kCodeEntriesMax)) {
    const auto oldest = order_.back();
    ::unlinkat(folder_.get(), oldest.c_str(), 0);
    forget_locked(oldest);
    ++stats_.evicted;
  }
}

CodeCache::Stats CodeCache::stats() const {
  const std::lock_guard lock(mutex_);
  auto out = stats_;
  out.entries = entries_.size();
  return out;
}

}  // namespace nmp::sandbox
