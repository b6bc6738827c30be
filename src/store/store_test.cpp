#include "store/store.hpp"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <thread>

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/testing.hpp"
#include "store/limits.hpp"

namespace nmp::store {
namespace {
using namespace core::testing;

ByteArray<32> nonce_of(std::uint64_t number) {
  ByteArray<32> out{};
  for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<std::byte>(number >> (8 * i));
  return out;
}
const libp2p::PeerId& agent() {
  static const auto peer = peer_of_key(agent_key());
  return peer;
}

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "nmp-store-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~StoreTest() override { std::filesystem::remove_all(folder_); }
  [[nodiscard]] std::filesystem::path path() const { return folder_ / "state.db"; }
  std::filesystem::path folder_;
};

TEST_F(StoreTest, AnIntentIsAcceptedOnce) {
  auto store = *Store::open(path());
  EXPECT_TRUE(store->accept_intent(agent(), nonce_of(1), kNow + 60, kNow));
  EXPECT_EQ(store->accept_intent(agent(), nonce_of(1), kNow + 60, kNow).error().code, Errc::replayed);
  EXPECT_TRUE(store->accept_intent(agent(), nonce_of(2), kNow + 60, kNow));
  EXPECT_TRUE(store->accept_intent(peer_of_key(node_key()), nonce_of(1), kNow + 60, kNow));
  EXPECT_EQ(*store->live_intents(agent(), kNow), 2U);
  // Until expiry + 60 s, that second included.
  EXPECT_EQ(store->accept_intent(agent(), nonce_of(1), kNow + 60, kNow + 120).error().code, Errc::replayed);
  EXPECT_EQ(*store->live_intents(agent(), kNow + 121), 0U);
  struct stat status{};
  ASSERT_EQ(::stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(StoreTest, SurvivesReopening) {
  {
    auto store = *Store::open(path());
    ASSERT_TRUE(store->accept_intent(agent(), nonce_of(1), kNow + 60, kNow));
  }
  auto store = *Store::open(path());
  EXPECT_EQ(store->accept_intent(agent(), nonce_of(1), kNow + 60, kNow).error().code, Errc::replayed);
  EXPECT_EQ(*store->now(kNow - 10), kNow) << "the greatest time is stored";
}

TEST_F(StoreTest, SurvivesKill9) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const auto child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto store = Store::open(path());
    for (std::uint64_t i = 0; store; ++i) {
      if (!(*store)->accept_intent(agent(), nonce_of(i), kNow + 60, kNow)) break;
      // What the parent reads here was accepted before the kill.
      if (::write(ready[1], &i, sizeof i) != sizeof i) break;
    }
    ::_exit(1);
  }
  ::close(ready[1]);
  std::uint64_t last = 0;
  while (last < 20 && ::read(ready[0], &last, sizeof last) == sizeof last) {
  }
  ::kill(child, SIGKILL);
  while (::read(ready[0], &last, sizeof last) == sizeof last) {
  }
  ::close(ready[0]);
  ::waitpid(child, nullptr, 0);
  ASSERT_GE(last, 20U);
  auto store = *Store::open(path());
  for (std::uint64_t i = 0; i <= last; ++i) {
    EXPECT_EQ(store->accept_intent(agent(), nonce_of(i), kNow + 60, kNow).error().code, Errc::replayed) << i;
  }
}

TEST_F(StoreTest, AClockSetBackRevivesNothing) {
  auto store = *Store::open(path());
  EXPECT_EQ(*store->now(kNow), kNow);
  for (const int minutes : {1, 4, 5}) EXPECT_EQ(*store->now(kNow - minutes * 60), kNow) << minutes;
  EXPECT_EQ(store->now(kNow - 301).error().code, Errc::clock_behind);
  EXPECT_EQ(store->now(kNow - 600).error().code, Errc::clock_behind);
  EXPECT_EQ(*store->now(kNow + 5), kNow + 5);
}

TEST_F(StoreTest, AFullAgentIsRefusedAlone) {
  auto store = *Store::open({});
  for (std::uint64_t i = 0; i < kLiveIntentsPerAgentMax; ++i) {
    ASSERT_TRUE(store->accept_intent(agent(), nonce_of(i), kNow + 60, kNow));
  }
  EXPECT_EQ(store->accept_intent(agent(), nonce_of(1'000'000), kNow + 60, kNow).error().code, Errc::agent_full);
  EXPECT_EQ(store->accept_intent(agent(), nonce_of(0), kNow + 60, kNow).error().code, Errc::replayed)
      << "nothing live is evicted";
  EXPECT_TRUE(store->accept_intent(peer_of_key(node_key()), nonce_of(0), kNow + 60, kNow));
  EXPECT_TRUE(store->accept_intent(agent(), nonce_of(1'000'000), kNow + 200, kNow + 121));
}

TEST_F(StoreTest, WhatGoesAlongIsOneTransaction) {
  auto store = *Store::open(path());
  const auto refuse = [](Store&) -> Result<void> { return fail(nmp::Errc::io, "audit"); };
  EXPECT_EQ(store->accept_intent(agent(), nonce_of(1), kNow + 60, kNow, refuse).error().code, nmp::Errc::io);
  EXPECT_EQ(*store->live_intents(agent(), kNow), 0U);
  EXPECT_TRUE(store->accept_intent(agent(), nonce_of(1), kNow + 60, kNow, [](Store&) -> Result<void> { return {}; }));
}

TEST_F(StoreTest, OfManyAtOnceOneWins) {
  auto store = *Store::open(path());
  std::atomic<int> accepted = 0;
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { accepted += store->accept_intent(agent(), nonce_of(1), kNow + 60, kNow) ? 1 : 0; });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(accepted, 1);
}

TEST_F(StoreTest, RunRecordsAreFoundAndListed) {
  auto store = *Store::open(path());
  for (std::uint64_t i = 0; i < 5; ++i) {
    RunRecord record{.receipt_id = nonce_of(i),
                     .intent_hash = nonce_of(9),
                     .node = agent(),
                     .capability = "log-scan",
                     .time = kNow + static_cast<UnixSeconds>(i),
                     .proof = to_bytes("proof")};
    record.openings.evidence_salt = nonce_of(i + 50);
    ASSERT_TRUE(store->add_run(record));
    ASSERT_TRUE(store->add_run(record)) << "again is harmless";
  }
  const auto found = store->find_run(nonce_of(3));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->openings.evidence_salt, nonce_of(53));
  EXPECT_EQ(found->capability, "log-scan");
  EXPECT_EQ(found->node, agent());
  EXPECT_EQ(store->find_run(nonce_of(77)).error().code, nmp::Errc::not_found);
  const auto recent = *store->recent_runs(2);
  ASSERT_EQ(recent.size(), 2U);
  EXPECT_EQ(recent[0].receipt_id, nonce_of(4));
}

TEST_F(StoreTest, TheOldestRunRecordsGoAboveTheCeiling) {
  auto store = *Store::open(path());
  const auto record = [&](std::uint64_t i) {
    return RunRecord{.receipt_id = nonce_of(i),
                     .intent_hash = nonce_of(9),
                     .node = agent(),
                     .capability = "log-scan",
                     .time = kNow,
                     .proof = to_bytes("proof")};
  };
  for (std::uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(store->add_run(record(i)));
  // As if the last of them had come a whole ceiling later.
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open(path().c_str(), &raw), SQLITE_OK);
  const auto move = "UPDATE run SET rowid = rowid + " + std::to_string(kRunRecordsMax) + " WHERE rowid = 3";
  EXPECT_EQ(sqlite3_exec(raw, move.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(raw);
  ASSERT_TRUE(store->add_run(record(3)));
  for (std::uint64_t i = 0; i < 2; ++i) EXPECT_EQ(store->find_run(nonce_of(i)).error().code, nmp::Errc::not_found);
  for (std::uint64_t i = 2; i < 4; ++i) EXPECT_TRUE(store->find_run(nonce_of(i))) << i;
}

TEST_F(StoreTest, ManifestsNeverGoBack) {
  auto store = *Store::open(path());
  EXPECT_TRUE(store->accept_manifest(agent(), 5, nonce_of(1), kNow));
  EXPECT_TRUE(store->accept_manifest(agent(), 5, nonce_of(1), kNow));
  EXPECT_EQ(store->accept_manifest(agent(), 5, nonce_of(2), kNow).error().code, Errc::stale_sequence);
  EXPECT_EQ(store->accept_manifest(agent(), 4, nonce_of(1), kNow).error().code, Errc::stale_sequence);
  EXPECT_TRUE(store->accept_manifest(agent(), 6, nonce_of(3), kNow));
  EXPECT_EQ(*store->next_manifest_seq(), 1U);
  EXPECT_EQ(*store->next_manifest_seq(), 2U);
  store = *Store::open(path());
  EXPECT_EQ(*store->next_manifest_seq(), 3U);
}

TEST_F(StoreTest, RefusesWhatIsNotItsFile) {
  std::ofstream(path()) << "this is not a database, but long enough to look like something else entirely";
  EXPECT_EQ(Store::open(path()).error().code, Errc::database);
  EXPECT_EQ(Store::open(folder_ / "missing" / "state.db").error().code, nmp::Errc::io);
}

}  // namespace
}  // namespace nmp::store
