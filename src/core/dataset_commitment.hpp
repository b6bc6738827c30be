#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/hash.hpp"

/// The salted Merkle commitment of a dataset's snapshot (security.md, "Commitments hide").
namespace nmp::core {

inline constexpr std::size_t kLeafBytes = 1024;
/// K: random, one per dataset version, never shown.
using DatasetKey = SecretBytes<32>;

/// salt_i = HMAC-SHA-256(K, path || u64 i). Shown to open that one leaf.
[[nodiscard]] crypto::Digest leaf_salt(const DatasetKey& key, std::string_view path, std::uint64_t index);
/// H(0x00 || salt_i || u64 i || chunk), chunk of 1 to 1024 bytes.
[[nodiscard]] crypto::Digest leaf_hash(const crypto::Digest& salt, std::uint64_t index, ByteView chunk);
/// H(0x01 || l || r).
[[nodiscard]] crypto::Digest node_hash(const crypto::Digest& left, const crypto::Digest& right);

/// Hashes that arrive left to right become a root in the shape of RFC 9162 section 2.1.1 (split at the largest power of
/// two below the count; none: H("")). Holds at most 64 hashes.
class MerkleRoot {
 public:
  void add(const crypto::Digest& leaf);
  [[nodiscard]] crypto::Digest value() const;
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  std::array<crypto::Digest, 64> stack_{};  ///< One root per set bit of count_, largest tree first.
  std::size_t depth_ = 0;
  std::uint64_t count_ = 0;
};

/// One file's tree, fed in pieces of any size. `key` must outlive it.
class FileTree {
 public:
  FileTree(const DatasetKey& key, std::string path);
  FileTree& update(ByteView bytes);
  /// H(CBOR["nmp/v1/file", path, size, root over the leaves]). Once.
  [[nodiscard]] crypto::Digest finish();
  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  void leaf(ByteView chunk);
  const DatasetKey& key_;
  std::string path_;
  MerkleRoot root_;
  Bytes pending_;
  std::uint64_t size_ = 0;
};

struct FileRoot {
  std::string path;  ///< Relative, `/`-separated, as in /data/<dataset>/PATH.
  crypto::Digest root{};
};
/// H(CBOR["nmp/v1/dataset", name, version, file count, root]), root over the file roots in bytewise order of path, as
/// in MerkleRoot. Errors: nmp::Errc::already_exists if a path comes twice; bad_name.
Result<crypto::Digest> commit_dataset(std::string_view name, std::uint64_t version, std::vector<FileRoot> files);

}  // namespace nmp::core
