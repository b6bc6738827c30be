#include "sandbox/watchdogs.hpp"

#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/codec.hpp"
#include "sandbox/at_rest.hpp"
#include "sandbox/watch_testing.hpp"

namespace nmp::sandbox {
namespace {

libp2p::PeerId somebody() {
  return libp2p::PeerId::of(crypto::Ed25519KeyPair::generate(crypto::system_random()).public_key());
}

/// A filter whose `_start` is `body`; locals $i, $j; memory of one page.
Bytes filter(std::string_view body) {
  return wat(fmt::format(R"((module
    (import "nmp" "state_get" (func $get (param i32 i32) (result i32)))
    (import "nmp" "state_put" (func $put (param i32 i32) (result i32)))
    (import "nmp" "push_event" (func $push (param i32 i32)))
    (import "nmp" "wait" (func $wait (param i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
      (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 100) "a.txt") (data (i32.const 200) "hello\n* spoof\n")
    (func (export "_start") (local $i i32) (local $j i32) {})))",
                         body));
}
/// Counts: its state is how often it has looked, and each look is an event.
Bytes counter(int wait_ms = 1) {
  return filter(fmt::format(R"(
    (drop (call $get (i32.const 0) (i32.const 4)))
    (loop $l
      (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
      (call $push (i32.const 0) (i32.const 4))
      (drop (call $put (i32.const 0) (i32.const 4)))
      (drop (call $wait (i64.const {}) (i32.const 1)))
      (br $l)))",
                            wait_ms * 1'000'000));
}
std::uint32_t number_in(ByteView data) {
  std::uint32_t out = 0;
  for (std::size_t i = 0; i < 4; ++i) out |= std::to_integer<std::uint32_t>(data[i]) << (8 * i);
  return out;
}

struct WatchdogsTest : testing::Test {
  WatchdogsTest() {
    folder =
        std::filesystem::temp_directory_path() / ("nmp_watchdogs_" + std::to_string(crypto::system_random().u64()));
    std::filesystem::create_directories(folder);
    crypto::system_random().fill(key.mutable_view());
    start();
  }
  ~WatchdogsTest() override {
    close();
    std::filesystem::remove_all(folder);
  }
  void close() {
    if (!dogs) return;
    (void)async::run_until_done(context, close_all(dogs.get()));
    dogs.reset();
  }
  static async::Awaitable<int> close_all(Watchdogs* dogs) {
    co_await dogs->close();
    co_return 0;
  }
  /// Another life of the node, with what is in the storage.
  void start() {
    WatchdogsOptions options;
    options.storage_key = key.copy();
    options.watchdogs_max = 8;
    options.per_owner_max = 3;
    options.memory_bytes_max = 8 << 20;
    options.day_bytes_max = 8 << 20;
    options.clock = &async::system_clock();
    options.random = &crypto::system_random();
    options.runner.memory_bytes_max = 1 << 20;
    options.datasets = {{.name = "logs", .path = folder}};
    options.runner.code_cache = code;
    auto made = Watchdogs::make(context.get_executor(), std::move(options));
    NMP_ASSERT(made.has_value());
    dogs = *std::move(made);
    dogs->attach(storage);
    for (auto& watch : stored(storage.table, allowed)) restored.push_back(dogs->restore(std::move(watch)));
    dogs->start();
  }
  void restart() {
    close();
    restored.clear();
    start();
  }

  Result<WatchId> deploy(Bytes module, const std::optional<WatchAuthorization>& with = std::nullopt) {
    WatchDefinition definition(owner);
    definition.capability = "log-scan";
    definition.module_hash = crypto::sha256(module);
    definition.allowed = with.value_or(watch_allowance());
    definition.created = async::system_clock().unix_now();
    definition.expires = definition.created + static_cast<UnixSeconds>(definition.allowed.policy.life_seconds);
    return async::run_until_done(context, dogs->deploy(std::move(definition), std::move(module)));
  }
  Result<std::vector<WatchEvent>> events(const WatchId& id, std::uint64_t from) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    std::function<bool()> late = [end] { return std::chrono::steady_clock::now() > end; };
    return async::run_until_done(context, dogs->events(owner, id, from, std::move(late)));
  }
  /// Exactly the first `count` from `from` on.
  std::vector<WatchEvent> collect(const WatchId& id, std::uint64_t from, std::size_t count) {
    std::vector<WatchEvent> out;
    while (out.size() < count) {
      auto more = events(id, from + out.size());
      if (!more) return out;
      for (auto& event : *more) out.push_back(std::move(event));
    }
    out.resize(count);
    return out;
  }
  core::WatchStatus status(const WatchId& id) {
    for (const auto& item : dogs->list(owner))
      if (item.id == id) return item;
    return {};
  }
  bool wait_for(const std::function<bool()>& done, std::chrono::milliseconds patience = std::chrono::seconds(30)) {
    context.restart();
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!done() && std::chrono::steady_clock::now() < end) context.run_one_for(std::chrono::milliseconds(10));
    return done();
  }
  bool reaches(const WatchId& id, core::WatchPhase phase) {
    return wait_for([&] { return status(id).phase == phase; });
  }

  boost::asio::io_context context;
  std::filesystem::path folder;
  SecretBytes<32> key;
  MemoryStorage storage;
  std::shared_ptr<CodeCache> code;  ///< The next life's.
  std::optional<WatchAuthorization> allowed = watch_allowance();
  libp2p::PeerId owner = somebody();
  std::unique_ptr<Watchdogs> dogs;
  std::vector<Result<void>> restored;
};

TEST_F(WatchdogsTest, EventsHaveNumbersAndComeAgainUntilTheyAreAcknowledged) {
  const auto id = *deploy(counter());
  auto first = collect(id, 0, 5);
  ASSERT_EQ(first.size(), 5U);
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i].sequence, i);
    EXPECT_EQ(number_in(first[i].data), i + 1);
  }
  EXPECT_EQ(collect(id, 2, 3).front().sequence, 2U);
  ASSERT_TRUE(async::run_until_done(context, dogs->acknowledge(owner, id, 2)));
  EXPECT_EQ(collect(id, 0, 1).front().sequence, 3U);
  EXPECT_EQ(status(id).first_event, 3U);
  // What nobody can have seen stays, whatever number is acknowledged.
  ASSERT_TRUE(async::run_until_done(context, dogs->acknowledge(owner, id, 1'000'000'000)));
  const auto later = collect(id, 0, 1).front().sequence;
  EXPECT_GE(later, 5U);
}

TEST_F(WatchdogsTest, ItGoesOnAfterTheNodeStartsAgain) {
  const auto id = *deploy(counter());
  ASSERT_EQ(collect(id, 0, 20).size(), 20U);
  restart();
  ASSERT_TRUE(restored.at(0));
  const auto seen = status(id).next_event;
  const auto all = collect(id, 0, seen + 20);
  // Each event once or twice, none left out: its state is never ahead of its events.
  std::uint32_t last = 0;
  for (const auto& event : all) {
    const auto number = number_in(event.data);
    EXPECT_LE(number, last + 1);
    last = std::max(last, number);
  }
  EXPECT_GT(last, 20U);
  EXPECT_GE(status(id).starts, 2U);
}

TEST_F(WatchdogsTest, WhatIsStoredIsABeginningOfWhatItDid) {
  const auto id = *deploy(counter(/*wait_ms=*/0));
  ASSERT_EQ(collect(id, 0, 200).size(), 200U);
  close();
  // A crash after any write: the state that the next start gets knows of no event that is not there.
  const auto storage_key = AtRestKey::derive(key, "nmp/v1/at-rest");
  MemoryTable table;
  std::uint32_t checked = 0;
  for (const auto& write : storage.history) {
    apply(table, write);
    const auto& watch = table.at(id);
    if (!std::holds_alternative<PutProgress>(write)) continue;
    const auto opened = AtRestKey::unwrap(storage_key, id, watch.key);
    const auto record = decode_record(*opened->open("progress", id, *watch.progress));
    if (record->state.empty()) continue;
    EXPECT_EQ(number_in(record->state), watch.next_event);
    ++checked;
  }
  EXPECT_GE(checked, 100U);
}

TEST_F(WatchdogsTest, NobodyElseLearnsOfIt) {
  const auto id = *deploy(counter());
  const auto other = somebody();
  std::function<bool()> never = [] { return false; };
  EXPECT_TRUE(dogs->list(other).empty());
  EXPECT_EQ(async::run_until_done(context, dogs->events(other, id, 0, never)).error().code, nmp::Errc::not_found);
  EXPECT_EQ(async::run_until_done(context, dogs->acknowledge(other, id, 0)).error().code, nmp::Errc::not_found);
  EXPECT_EQ(dogs->logs(other, id).error().code, nmp::Errc::not_found);
  EXPECT_EQ(async::run_until_done(context, dogs->stop(other, id)).error().code, nmp::Errc::not_found);
  EXPECT_EQ(dogs->list(owner).size(), 1U);
}

TEST_F(WatchdogsTest, StopErasesIt) {
  const auto id = *deploy(counter());
  ASSERT_EQ(collect(id, 0, 3).size(), 3U);
  ASSERT_TRUE(async::run_until_done(context, dogs->stop(owner, id)));
  EXPECT_TRUE(storage.table.empty());
  EXPECT_EQ(events(id, 0).error().code, nmp::Errc::not_found);
  EXPECT_EQ(async::run_until_done(context, dogs->stop(owner, id)).error().code, nmp::Errc::not_found);
  // Writes that were under way bring nothing back.
  EXPECT_FALSE(wait_for([&] { return !storage.table.empty(); }, std::chrono::milliseconds(300)));
  restart();
  EXPECT_TRUE(dogs->list(owner).empty());
}

TEST_F(WatchdogsTest, WithAnotherStorageKeyNothingOpens) {
  ASSERT_TRUE(deploy(counter()));
  key.mutable_view()[0] ^= std::byte{1};
  restart();
  EXPECT_FALSE(restored.at(0));
  EXPECT_EQ(dogs->size(), 0U);
  EXPECT_EQ(storage.table.size(), 1U);  // left for a node that has it
}

TEST_F(WatchdogsTest, OneThatFailsIsStartedAgainAndSaysWhy) {
  const auto id = *deploy(filter(R"(
    (i32.store (i32.const 0) (i32.const 200)) (i32.store (i32.const 4) (i32.const 14))
    (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
    unreachable)"));
  ASSERT_TRUE(wait_for([&] { return status(id).starts >= 2; }));
  ASSERT_TRUE(reaches(id, core::WatchPhase::backing_off));
  EXPECT_EQ(status(id).reason, "unreachable");
  const auto log = *dogs->logs(owner, id);
  EXPECT_NE(log.find("| hello\n| * spoof\n"), std::string::npos) << log;  // its words never look like ours
  EXPECT_NE(log.find("again in 1 s"), std::string::npos) << log;
  EXPECT_NE(log.find("again in 2 s"), std::string::npos) << log;
}

TEST_F(WatchdogsTest, OneThatReturnsHasEndedAndStaysSo) {
  const auto id = *deploy(filter("(call $push (i32.const 200) (i32.const 5))"));
  ASSERT_TRUE(reaches(id, core::WatchPhase::ended));
  EXPECT_EQ(string_of(collect(id, 0, 1).front().data), "hello");
  restart();
  EXPECT_EQ(status(id).phase, core::WatchPhase::ended);
  EXPECT_EQ(status(id).starts, 1U);
  EXPECT_EQ(string_of(collect(id, 0, 1).front().data), "hello");
}

TEST_F(WatchdogsTest, AFullOneIsHeldUntilSomebodyAcknowledges) {
  auto with = watch_allowance();
  with.limits.events = 4;
  const auto id = *deploy(counter(), with);
  ASSERT_EQ(collect(id, 0, 4).size(), 4U);
  EXPECT_FALSE(wait_for([&] { return status(id).next_event > 4; }, std::chrono::milliseconds(300)));
  ASSERT_TRUE(async::run_until_done(context, dogs->acknowledge(owner, id, 1)));
  ASSERT_TRUE(wait_for([&] { return status(id).next_event == 6; }));
  EXPECT_EQ(status(id).dropped, 0U);
  EXPECT_EQ(number_in(collect(id, 5, 1).front().data), 6U);  // held, not lost
}

TEST_F(WatchdogsTest, OrTheOldestAreForgottenAndCounted) {
  auto with = watch_allowance();
  with.limits.events = 4;
  with.policy.when_full = core::WhenFull::drop_oldest;
  const auto id = *deploy(counter(), with);
  ASSERT_TRUE(wait_for([&] { return status(id).next_event >= 20; }));
  const auto now = status(id);
  EXPECT_EQ(now.next_event - now.first_event, 4U);
  EXPECT_EQ(now.dropped, now.first_event);
  const auto kept = collect(id, 0, 1);
  EXPECT_GE(kept.front().sequence, now.first_event);
  EXPECT_EQ(number_in(kept.front().data), kept.front().sequence + 1);
}

TEST_F(WatchdogsTest, FuelIsPerWakeUp) {
  // About 40,000 instructions between sleeps, ten times the fuel of one wake-up in all.
  const std::string work = R"(
    (loop $l
      (local.set $i (i32.const 10000))
      (loop $w (br_if $w (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
      (call $push (i32.const 0) (i32.const 4))
      (drop (call $wait (i64.const 1000000) (i32.const 1)))
      (br $l)))";
  auto with = watch_allowance();
  with.limits.fuel = 100'000;
  const auto id = *deploy(filter(work), with);
  ASSERT_EQ(collect(id, 0, 25).size(), 25U);
  EXPECT_EQ(status(id).starts, 1U);
  EXPECT_GE(status(id).fuel_today, 25U * 30'000);
  EXPECT_GE(status(id).wake_ups, 24U);
  with.limits.fuel = 20'000;
  const auto hungry = *deploy(filter(work), with);
  ASSERT_TRUE(reaches(hungry, core::WatchPhase::backing_off));
  EXPECT_EQ(status(hungry).reason, "fuel_exhausted");
}

TEST_F(WatchdogsTest, WhoeverHasUsedUpItsDayRests) {
  auto with = watch_allowance();
  with.policy.fuel_per_day = 3000;
  const auto id = *deploy(counter(), with);
  ASSERT_TRUE(reaches(id, core::WatchPhase::resting));
  EXPECT_LE(status(id).fuel_today, 3000U);
  const auto events = status(id).next_event;
  restart();  // a new start gives nothing back
  ASSERT_TRUE(reaches(id, core::WatchPhase::resting));
  EXPECT_LE(status(id).fuel_today, 3000U + 150);
  EXPECT_LE(status(id).next_event, events + 3);
}

TEST_F(WatchdogsTest, WallTimeIsPerWakeUpAndSleepTakesNone) {
  auto with = watch_allowance();
  with.limits.wall_time_ms = 100;
  const auto sleeper = *deploy(counter(/*wait_ms=*/150), with);
  ASSERT_EQ(collect(sleeper, 0, 4).size(), 4U);
  EXPECT_EQ(status(sleeper).starts, 1U);
  with.limits.fuel = 1ULL << 50;
  with.policy.fuel_per_day = 1ULL << 50;
  const auto id = *deploy(filter("(loop $l (br $l))"), with);
  ASSERT_TRUE(reaches(id, core::WatchPhase::backing_off));
  EXPECT_EQ(status(id).reason, "wall_time");
}

TEST_F(WatchdogsTest, AChangedFileWakesIt) {
  std::ofstream(folder / "a.txt") << "one";
  auto with = watch_allowance();
  with.datasets = {"logs"};
  // Reads the file whenever it has changed, and tells.
  const auto id = *deploy(filter(R"(
    (loop $l
      (if (i32.eqz (call $open (i32.const 3) (i32.const 0) (i32.const 100) (i32.const 5) (i32.const 0)
                               (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 300)))
        (then
          (i32.store (i32.const 0) (i32.const 400)) (i32.store (i32.const 4) (i32.const 64))
          (drop (call $read (i32.load (i32.const 300)) (i32.const 0) (i32.const 1) (i32.const 8)))
          (drop (call $close (i32.load (i32.const 300))))
          (call $push (i32.const 400) (i32.load (i32.const 8)))))
      (drop (call $wait (i64.const 0) (i32.const 2)))
      (br $l)))"),
                          with);
  EXPECT_EQ(string_of(collect(id, 0, 1).front().data), "one");
  std::ofstream(folder / "a.txt", std::ios::app) << " two";
  const auto saw = [&](std::string_view text) {
    return wait_for([&] {
      auto more = collect(id, 0, status(id).next_event);
      return !more.empty() && string_of(more.back().data) == text;
    });
  };
  EXPECT_TRUE(saw("one two"));
  // In a directory that is new, too.
  std::filesystem::remove(folder / "a.txt");
  std::ofstream(folder / "a.txt") << "other";
  EXPECT_TRUE(saw("other"));
}

TEST_F(WatchdogsTest, QuotasAndRefusals) {
  ASSERT_TRUE(deploy(counter(1000)));
  ASSERT_TRUE(deploy(counter(1001)));
  ASSERT_TRUE(deploy(counter(1002)));
  EXPECT_EQ(deploy(counter(1003)).error().code, Errc::too_many_watchdogs);
  owner = somebody();
  auto large = watch_allowance();
  large.limits.memory_bytes = 7 << 20;  // of 8 MiB, three are granted
  EXPECT_EQ(deploy(counter(1003), large).error().code, Errc::too_many_watchdogs);
  EXPECT_EQ(deploy(Bytes(kWatchModuleBytesMax + 1)).error().code, Errc::inputs_invalid);
  EXPECT_FALSE(deploy(to_bytes(std::string_view("not wasm"))));
  storage.failures = 1;
  EXPECT_EQ(deploy(counter(1000)).error().code, Errc::storage_failed);
  EXPECT_TRUE(dogs->list(owner).empty());
  EXPECT_TRUE(deploy(counter(1000)));
}

TEST_F(WatchdogsTest, AFullDiskLosesNothing) {
  const auto id = *deploy(counter());
  ASSERT_EQ(collect(id, 0, 5).size(), 5U);
  storage.failures = 2;
  const auto before = status(id).next_event;
  const auto all = collect(id, 0, before + 20);
  ASSERT_EQ(all.size(), before + 20);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(number_in(all[i].data), i + 1);
}

TEST_F(WatchdogsTest, WhatIsNoMoreAllowedIsSuspended) {
  const auto id = *deploy(counter());
  ASSERT_EQ(collect(id, 0, 3).size(), 3U);
  allowed.reset();
  restart();
  EXPECT_EQ(status(id).phase, core::WatchPhase::suspended);
  const auto events = status(id).next_event;
  allowed = watch_allowance();
  allowed->limits.fuel = 1000;
  restart();
  ASSERT_TRUE(wait_for([&] { return status(id).next_event > events; }));
  EXPECT_EQ(status(id).limits.fuel, 1000U);  // the stricter of then and now
}

TEST_F(WatchdogsTest, WhoeverSaysTooMuchInADayIsHeld) {
  auto with = watch_allowance();
  with.policy.when_full = core::WhenFull::drop_oldest;
  with.limits.events = 16;
  with.limits.fuel = 1ULL << 40;
  with.policy.fuel_per_day = 1ULL << 40;
  with.limits.wall_time_ms = 60'000;
  // 64 KiB of words for a dozen instructions.
  const auto id = *deploy(filter(R"(
    (i32.store (i32.const 0) (i32.const 0)) (i32.store (i32.const 4) (i32.const 65536))
    (loop $l (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))) (br $l)))"),
                          with);
  ASSERT_TRUE(reaches(id, core::WatchPhase::resting));
  EXPECT_LE(dogs->logs(owner, id)->size(), kWatchLogBytesMax);
}

TEST_F(WatchdogsTest, AStartAfterTheFirstCompilesNothing) {
  const auto code_folder = folder.string() + ".code";
  const auto open_code = [&] {
    CodeCacheOptions options;
    options.folder = code_folder;
    options.bytes_max = 16 << 20;
    options.storage_key = key.copy();
    options.random = &crypto::system_random();
    code = *CodeCache::open(std::move(options));
  };
  const auto files = [&] { return std::distance(std::filesystem::directory_iterator(code_folder), {}); };
  open_code();
  restart();
  std::vector<WatchId> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(*deploy(counter(i < 2 ? 20 : 30)));  // two are of one module
  EXPECT_EQ(code->stats().stored, 2U);
  open_code();
  restart();
  for (const auto& id : ids) {
    const auto before = status(id).next_event;
    ASSERT_TRUE(wait_for([&] { return status(id).next_event > before + 2; }));
  }
  EXPECT_EQ(code->stats().hits, 2U);
  EXPECT_EQ(code->stats().misses, 0U);
  // The code goes with the last watchdog that it is of.
  ASSERT_TRUE(async::run_until_done(context, dogs->stop(owner, ids[0])));
  EXPECT_EQ(files(), 2);
  ASSERT_TRUE(async::run_until_done(context, dogs->stop(owner, ids[1])));
  EXPECT_EQ(files(), 1);
  // And is there again with the next.
  EXPECT_TRUE(deploy(counter(20)));
  EXPECT_EQ(files(), 2);
  close();
  std::filesystem::remove_all(code_folder);
}

TEST_F(WatchdogsTest, ItsLifeEnds) {
  auto with = watch_allowance();
  with.policy.life_seconds = 1;
  const auto id = *deploy(filter("(drop (call $wait (i64.const 60000000000) (i32.const 1)))"), with);
  ASSERT_TRUE(reaches(id, core::WatchPhase::ended));
  EXPECT_EQ(status(id).reason, "expired");
}

}  // namespace
}  // namespace nmp::sandbox
