#include <gtest/gtest.h>

#include "core/dataset_commitment.hpp"
#include "core/testing.hpp"
#include "crypto/random.hpp"

namespace nmp::core {
namespace {
using namespace testing;

Bytes pattern(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(i * 7 + i / 251);
  return out;
}

DatasetKey sample_key() {
  DatasetKey key;
  for (std::size_t i = 0; i < 32; ++i) key.mutable_view()[i] = static_cast<std::byte>(i);
  return key;
}

// tests/vectors/core_formulas.py: computed by Python, apart from this code.
TEST(DatasetCommitment, MatchesThePythonVectors) {
  auto v = vectors("core_formulas.txt");
  const auto key = sample_key();
  for (const std::size_t size : {0UZ, 1UZ, 1023UZ, 1024UZ, 1025UZ, 2048UZ, 3072UZ, 5000UZ, 7169UZ, 100000UZ}) {
    const auto data = pattern(size);
    for (const std::size_t step : {std::size_t{1}, std::size_t{700}, std::size_t{1024}, std::size_t{4097}, size + 1}) {
      FileTree tree(key, "dir/file.csv");
      for (std::size_t at = 0; at < size; at += step)
        tree.update(ByteView(data).subspan(at, std::min(step, size - at)));
      EXPECT_TRUE(equal(tree.finish(), v["file." + std::to_string(size)])) << size << " by " << step;
    }
  }
  for (const std::size_t count : {0UZ, 1UZ, 2UZ, 3UZ, 5UZ, 8UZ, 13UZ}) {
    std::vector<FileRoot> files;
    for (std::size_t i = count; i-- > 0;) {
      FileTree tree(key, "f" + std::to_string(i));
      tree.update(pattern(i * 700));
      files.push_back({.path = tree.path(), .root = tree.finish()});
    }
    EXPECT_TRUE(equal(*commit_dataset("logs", 3, files), v["dataset." + std::to_string(count)])) << count;
  }
}

TEST(DatasetCommitment, BindsNamePathAndSize) {
  const auto key = sample_key();
  const auto root = [&](std::string path, std::size_t size) {
    FileTree tree(key, std::move(path));
    tree.update(pattern(size));
    return tree.finish();
  };
  EXPECT_NE(root("a", 5), root("b", 5));
  EXPECT_NE(root("a", 5), root("a", 6));
  const FileRoot file{.path = "a", .root = root("a", 5)};
  EXPECT_NE(*commit_dataset("x", 1, {file}), *commit_dataset("y", 1, {file}));
  EXPECT_NE(*commit_dataset("x", 1, {file}), *commit_dataset("x", 2, {file}));
  EXPECT_FALSE(commit_dataset("x", 1, {file, file}));
  EXPECT_FALSE(commit_dataset("X", 1, {file}));
}

TEST(Commitments, MatchThePythonVectors) {
  auto v = vectors("core_formulas.txt");
  Salt salt;
  salt.fill(std::byte{0xa5});
  const Inputs inputs{{"pin", to_bytes("1234")}, {"a-name", {}}, {"level", to_bytes("error")}};
  EXPECT_TRUE(equal(commit_inputs(salt, inputs), v["inputs"]));
  EXPECT_TRUE(equal(commit_evidence(salt, pattern(300)), v["evidence"]));
  EventChain chain(salt, crypto::sha256(bytes_of("answer")));
  EXPECT_TRUE(equal(chain.value(), v["events.0"]));
  chain.add(bytes_of("one"));
  EXPECT_TRUE(equal(chain.value(), v["events.1"]));
  chain.add({});
  chain.add(pattern(2000));
  EXPECT_TRUE(equal(chain.value(), v["events.3"]));
  EXPECT_EQ(chain.count(), 3U);
}

// S12: a stranger sees the commitments, guesses the small data, and learns nothing without the salts.
TEST(Guessing, SaltedCommitmentsHideSmallData) {
  auto& random = crypto::system_random();
  const auto salt = random.bytes<32>();
  const auto pin = [](int n) { return Inputs{{"pin", to_bytes(std::to_string(10000 + n).substr(1))}}; };
  const auto seen = commit_inputs(salt, pin(4711));
  const auto unsalted = commit_inputs(Salt{}, pin(4711));
  int found = 0;
  int control = 0;
  for (int guess = 0; guess < 10000; ++guess) {
    const auto commitment = commit_inputs(Salt{}, pin(guess));
    found += commitment == seen ? 1 : 0;
    control += commitment == unsalted ? 1 : 0;
  }
  EXPECT_EQ(found, 0);
  EXPECT_EQ(control, 1);
}

TEST(Guessing, OneOpenedLeafShowsNothingOfItsSiblings) {
  // 1,000 leaves, each of two values; the stranger has all leaf hashes, one leaf's salt, and guesses both values of
  // each.
  DatasetKey key;
  crypto::system_random().fill(key.mutable_view());
  const auto row = [](std::uint64_t value) { return Bytes(kLeafBytes, static_cast<std::byte>('0' + value)); };
  std::vector<crypto::Digest> salted;
  std::vector<crypto::Digest> control;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const auto value = (i * 2654435761U >> 7) & 1;
    salted.push_back(leaf_hash(leaf_salt(key, "rows", i), i, row(value)));
    control.push_back(leaf_hash({}, i, row(value)));
  }
  const auto opened = leaf_salt(key, "rows", 500);
  std::size_t found = 0;
  std::size_t found_control = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    for (std::uint64_t value = 0; value < 2; ++value) {
      if (i != 500) found += leaf_hash(opened, i, row(value)) == salted[i] ? 1U : 0U;
      found += leaf_hash({}, i, row(value)) == salted[i] ? 1U : 0U;
      found_control += leaf_hash({}, i, row(value)) == control[i] ? 1U : 0U;
    }
  }
  EXPECT_EQ(found, 0U);
  EXPECT_EQ(found_control, 1000U);
}

TEST(Receipt, RoundTrips) {
  auto receipt = sample_receipt();
  receipt.run = 4294967295U;
  receipt.log_id = crypto::Digest{};
  receipt.log_index = 7;
  receipt.via = Via{.via = "mcp", .principal = {}};
  receipt.used.fuel = 12;
  const auto cose = sign_receipt(receipt, node_key());
  ASSERT_TRUE(cose);
  const auto got = parse_receipt(*cose);
  ASSERT_TRUE(got && verify_receipt(*got));
  EXPECT_EQ(got->receipt.run, receipt.run);
  EXPECT_EQ(got->receipt.datasets, receipt.datasets);
  EXPECT_EQ(got->receipt.exit, receipt.exit);
  EXPECT_EQ(got->receipt.used, receipt.used);
  EXPECT_EQ(got->receipt.log_index, receipt.log_index);
  EXPECT_EQ(*sign_receipt(got->receipt, node_key()), *cose);
  receipt.log_index.reset();
  EXPECT_FALSE(sign_receipt(receipt, node_key()));
  EXPECT_FALSE(sign_receipt(sample_receipt(), agent_key()));
}

TEST(Receipt, ProofRoundTrips) {
  const Proof proof{.receipt = to_bytes("r"), .sth = to_bytes("s"), .path = std::vector<crypto::Digest>(3)};
  const auto again = decode_proof(encode_proof(proof));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->sth, proof.sth);
  EXPECT_EQ(again->path, proof.path);
  EXPECT_FALSE(decode_proof(encode_proof({.receipt = {}, .sth = {}, .path = std::vector<crypto::Digest>(65)})));
}

}  // namespace
}  // namespace nmp::core
