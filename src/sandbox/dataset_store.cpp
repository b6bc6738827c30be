#include "sandbox/dataset_store.hpp"

#include "base/codec.hpp"
#include "sandbox/errors.hpp"

namespace nmp::sandbox {

namespace {

constexpr std::size_t kReadBytes = 256 * 1024;

crypto::Digest fingerprint(const Snapshot& snapshot) {
  crypto::Sha256 hash;
  for (const auto& entry : snapshot.entries()) {
    Writer line;
    line.uvarint(entry.path.size())
        .text(entry.path)
        .u64be(entry.size)
        .u64be(static_cast<std::uint64_t>(entry.mtime_ns));
    hash.update(line.u64be(entry.inode).u8(entry.directory ? 1 : 0).view());
  }
  return hash.finish();
}

Result<crypto::Digest> commit_files(const Snapshot& snapshot, std::uint64_t version, const core::DatasetKey& key) {
  std::vector<core::FileRoot> roots;
  Bytes buffer(kReadBytes);
  for (const auto& entry : snapshot.entries()) {
    if (entry.directory) continue;
    NMP_TRY(const auto file, snapshot.open(entry));
    core::FileTree tree(key, entry.path);
    for (std::uint64_t offset = 0; offset < entry.size;) {
      NMP_TRY(const auto got, Snapshot::read_at(file, entry, offset, buffer));
      if (got == 0) return fail(Errc::dataset_unavailable, "a file shrank while it was read");
      tree.update(ByteView(buffer).first(got));
      offset += got;
    }
    roots.push_back({entry.path, tree.finish()});
  }
  return core::commit_dataset(snapshot.name(), version, std::move(roots));
}

}  // namespace

Result<DatasetStore::Taken> DatasetStore::take(const std::string& name,
                                               const std::filesystem::path& folder,
                                               bool commit,
                                               Random& random) {
  NMP_TRY(auto snapshot, Snapshot::take(name, folder));
  Taken out{.snapshot = snapshot, .commitment = std::nullopt};
  if (!commit) return out;
  const auto print = fingerprint(*snapshot);
  auto& kept = kept_[name];
  if (kept.version == 0 || kept.fingerprint != print) {
    core::DatasetKey key;
    random.fill(key.mutable_view());
    auto commitment = commit_files(*snapshot, kept.version + 1, key);
    if (!commitment) return fail(Errc::dataset_unavailable, commitment.error().message());
    kept = {.fingerprint = print, .version = kept.version + 1, .commitment = *commitment};
  }
  out.commitment = kept.commitment;
  return out;
}

}  // namespace nmp::sandbox
