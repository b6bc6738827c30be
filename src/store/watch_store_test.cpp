#include "store/watch_store.hpp"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "crypto/ed25519.hpp"
#include "crypto/random.hpp"

namespace nmp::store {
namespace {

using Batch = WatchStore::Batch;

libp2p::PeerId somebody() {
  return libp2p::PeerId::of(crypto::Ed25519KeyPair::generate(crypto::system_random()).public_key());
}

WatchStore::Row row_for(std::uint8_t number) {
  WatchStore::Row row(somebody());
  row.id[0] = std::byte{number};
  row.capability = "log-scan";
  row.key = to_bytes(std::string_view("a key that must go"));
  row.definition = to_bytes(std::string_view("definition"));
  return row;
}

Result<void> create(WatchStore& store, const WatchStore::Row& row) {
  return store.write([&](Batch& batch) { return batch.create(row, bytes_of("module")); });
}

struct WatchStoreTest : testing::Test {
  void SetUp() override {
    folder =
        std::filesystem::temp_directory_path() / ("nmp_watch_store_" + std::to_string(crypto::system_random().u64()));
    std::filesystem::create_directories(folder);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::unique_ptr<WatchStore> open() {
    auto store = WatchStore::open(folder / "watchdogs.db");
    EXPECT_TRUE(store.has_value());
    return *std::move(store);
  }
  std::string files() {
    std::ostringstream all;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) all << std::ifstream(entry.path()).rdbuf();
    return all.str();
  }
  std::filesystem::path folder;
};

TEST_F(WatchStoreTest, WhatWasWrittenIsThereAfterAnotherStart) {
  const auto row = row_for(1);
  {
    auto store = open();
    ASSERT_TRUE(create(*store, row));
    ASSERT_TRUE(store->write([&](Batch& batch) -> Result<void> {
      NMP_CHECK(batch.put_progress(row.id, bytes_of("progress")));
      NMP_CHECK(batch.put_event(row.id, 0, bytes_of("zero")));
      NMP_CHECK(batch.put_event(row.id, 1, bytes_of("one")));
      NMP_CHECK(batch.put_log(row.id, bytes_of("log")));
      return batch.forget_events(row.id, 0);
    }));
  }
  auto store = open();
  const auto rows = *store->all();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].id, row.id);
  EXPECT_EQ(rows[0].owner, row.owner);
  EXPECT_EQ(rows[0].capability, "log-scan");
  EXPECT_EQ(rows[0].key, row.key);
  EXPECT_EQ(rows[0].definition, row.definition);
  EXPECT_EQ(string_of(rows[0].progress.value()), "progress");
  EXPECT_EQ(string_of(rows[0].log.value()), "log");
  EXPECT_EQ(rows[0].next_event, 2U);
  EXPECT_EQ(rows[0].event_bytes, (std::vector<std::uint32_t>{3}));
  EXPECT_EQ(string_of(*store->module(row.id)), "module");
  const auto events = *store->events(row.id, 0, 10, 1000);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].sequence, 1U);
  EXPECT_EQ(string_of(events[0].record), "one");
}

TEST_F(WatchStoreTest, AFailedBatchLeavesNothing) {
  auto store = open();
  const auto row = row_for(1);
  ASSERT_TRUE(create(*store, row));
  const auto failed = store->write([&](Batch& batch) -> Result<void> {
    NMP_CHECK(batch.put_event(row.id, 0, bytes_of("zero")));
    return batch.create(row, bytes_of("again"));
  });
  EXPECT_EQ(failed.error().code, Errc::database);
  EXPECT_TRUE(store->events(row.id, 0, 10, 1000)->empty());
  EXPECT_EQ(store->all()->at(0).next_event, 0U);
}

TEST_F(WatchStoreTest, ReadsAreBounded) {
  auto store = open();
  const auto row = row_for(1);
  ASSERT_TRUE(create(*store, row));
  ASSERT_TRUE(store->write([&](Batch& batch) -> Result<void> {
    for (std::uint64_t i = 0; i < 20; ++i) NMP_CHECK(batch.put_event(row.id, i, Bytes(100)));
    return {};
  }));
  EXPECT_EQ(store->events(row.id, 0, 5, 100'000)->size(), 5U);
  EXPECT_EQ(store->events(row.id, 0, 100, 250)->size(), 3U);
  EXPECT_EQ(store->events(row.id, 18, 100, 100'000)->size(), 2U);
}

TEST_F(WatchStoreTest, WhatIsErasedLeavesNoTraceAndNobodyElseIsTouched) {
  auto store = open();
  const auto row = row_for(1);
  auto other = row_for(2);
  other.key = to_bytes(std::string_view("another key stays"));
  ASSERT_TRUE(create(*store, row));
  ASSERT_TRUE(create(*store, other));
  ASSERT_TRUE(store->write([&](Batch& batch) { return batch.put_event(row.id, 0, bytes_of("an event of it")); }));
  EXPECT_NE(files().find("a key that must go"), std::string::npos);  // or the check below could not fail
  ASSERT_TRUE(store->write([&](Batch& batch) { return batch.erase(row.id); }));
  EXPECT_EQ(files().find("a key that must go"), std::string::npos);
  EXPECT_EQ(files().find("an event of it"), std::string::npos);
  EXPECT_EQ(store->module(row.id).error().code, nmp::Errc::not_found);
  ASSERT_EQ(store->all()->size(), 1U);
  EXPECT_EQ(store->all()->at(0).id, other.id);
}

TEST_F(WatchStoreTest, WhatComesForNobodyIsLeftOut) {
  auto store = open();
  const auto row = row_for(1);
  ASSERT_TRUE(store->write([&](Batch& batch) -> Result<void> {
    NMP_CHECK(batch.put_event(row.id, 0, bytes_of("late")));
    NMP_CHECK(batch.put_progress(row.id, bytes_of("late")));
    return batch.erase(row.id);
  }));
  EXPECT_TRUE(store->all()->empty());
  EXPECT_TRUE(store->events(row.id, 0, 10, 1000)->empty());
}

}  // namespace
}  // namespace nmp::store
