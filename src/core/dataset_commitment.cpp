#include "core/dataset_commitment.hpp"

#include <algorithm>

#include "base/codec.hpp"
#include "core/capability.hpp"
#include "crypto/cbor.hpp"

namespace nmp::core {

crypto::Digest leaf_salt(const DatasetKey& key, std::string_view path, std::uint64_t index) {
  Writer message;
  message.text(path).u64be(index);
  return crypto::hmac_sha256(key.view(), message.view());
}

crypto::Digest leaf_hash(const crypto::Digest& salt, std::uint64_t index, ByteView chunk) {
  Writer head;
  head.u8(0x00).bytes(salt).u64be(index);
  crypto::Sha256 hash;
  hash.update(head.view()).update(chunk);
  return hash.finish();
}

crypto::Digest node_hash(const crypto::Digest& left, const crypto::Digest& right) {
  Writer node;
  node.u8(0x01).bytes(left).bytes(right);
  return crypto::sha256(node.view());
}

void MerkleRoot::add(const crypto::Digest& leaf) {
  auto hash = leaf;
  // Every trailing one bit of the count is a complete tree as large as the one in `hash`.
  for (auto bits = count_++; (bits & 1) != 0; bits >>= 1) hash = node_hash(stack_[--depth_], hash);
  stack_[depth_++] = hash;
}

crypto::Digest MerkleRoot::value() const {
  if (depth_ == 0) return crypto::sha256({});
  auto hash = stack_[depth_ - 1];
  for (auto i = depth_ - 1; i > 0; --i) hash = node_hash(stack_[i - 1], hash);
  return hash;
}

FileTree::FileTree(const DatasetKey& key, std::string path) : key_(key), path_(std::move(path)) {
  pending_.reserve(kLeafBytes);
}

void FileTree::leaf(ByteView chunk) {
  const auto index = root_.count();
  root_.add(leaf_hash(leaf_salt(key_, path_, index), index, chunk));
}

FileTree& FileTree::update(ByteView bytes) {
  size_ += bytes.size();
  if (!pending_.empty()) {
    const auto more = std::min(bytes.size(), kLeafBytes - pending_.size());
    append(pending_, bytes.first(more));
    bytes = bytes.subspan(more);
    if (pending_.size() < kLeafBytes) return *this;
    leaf(pending_);
    pending_.clear();
  }
  for (; bytes.size() >= kLeafBytes; bytes = bytes.subspan(kLeafBytes)) leaf(bytes.first(kLeafBytes));
  append(pending_, bytes);
  return *this;
}

crypto::Digest FileTree::finish() {
  if (!pending_.empty()) leaf(pending_);
  pending_.clear();
  // A file name need not be UTF-8, so it goes in as bytes.
  return crypto::sha256(cbor::encode(cbor::Array{"nmp/v1/file", bytes_of(path_), size_, root_.value()}));
}

Result<crypto::Digest> commit_dataset(std::string_view name, std::uint64_t version, std::vector<FileRoot> files) {
  NMP_CHECK(check_name(name, "dataset"));
  std::ranges::sort(files, {}, &FileRoot::path);
  MerkleRoot root;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (i > 0 && files[i].path == files[i - 1].path) return fail(nmp::Errc::already_exists, files[i].path);
    root.add(files[i].root);
  }
  return crypto::sha256(cbor::encode(cbor::Array{"nmp/v1/dataset", name, version, files.size(), root.value()}));
}

}  // namespace nmp::core
