#include "sandbox/code_cache.hpp"

#include <atomic>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/async/testing.hpp"
#include "crypto/random.hpp"
#include "sandbox/runner.hpp"
#include "sandbox/testing.hpp"
#include "sandbox/wasmtime_engine.hpp"

namespace nmp::sandbox {
namespace {

namespace fs = std::filesystem;

CodeKey key_of(std::uint8_t module, std::uint8_t engine = 1, std::string_view account = "somebody") {
  CodeKey key;
  key.module.fill(std::byte{module});
  key.engine.fill(std::byte{engine});
  key.account = to_bytes(account);
  return key;
}

Bytes code_of(std::uint8_t fill, std::size_t size = 10'000) { return Bytes(size, std::byte{fill}); }

struct CodeCacheTest : testing::Test {
  CodeCacheTest() : folder(fs::temp_directory_path() / fmt::format("nmp_code_{}", crypto::system_random().u64())) {
    crypto::system_random().fill(storage_key.mutable_view());
  }
  ~CodeCacheTest() override { fs::remove_all(folder); }

  [[nodiscard]] std::shared_ptr<CodeCache> open(std::uint64_t bytes_max = 1 << 20) const {
    CodeCacheOptions options;
    options.folder = folder;
    options.bytes_max = bytes_max;
    options.storage_key = storage_key.copy();
    options.random = &crypto::system_random();
    auto made = CodeCache::open(std::move(options));
    EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().message());
    return made.value_or(nullptr);
  }
  [[nodiscard]] std::vector<fs::path> files() const {
    std::vector<fs::path> out;
    for (const auto& item : fs::directory_iterator(folder)) out.push_back(item.path());
    std::ranges::sort(out);
    return out;
  }
  static std::string read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void write(const fs::path& path, const std::string& content) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  }
  /// Stores one entry, lets `spoil` change its file, and expects that it is refused once, gone, and stored again.
  void expect_refused(const std::function<void(const fs::path&)>& spoil) {
    const auto cache = open();
    cache->store(key_of(1), code_of(1));
    ASSERT_EQ(files().size(), 1U);
    const auto file = files().front();
    spoil(file);
    EXPECT_FALSE(cache->load(key_of(1)).has_value());
    EXPECT_EQ(cache->stats().refused, 1U);
    EXPECT_FALSE(cache->load(key_of(1)).has_value());
    EXPECT_EQ(cache->stats().misses, 1U) << "what is refused is removed";
    cache->store(key_of(1), code_of(1));
    EXPECT_EQ(cache->load(key_of(1)), code_of(1));
    cache->erase(key_of(1));
  }

  fs::path folder;
  SecretBytes<32> storage_key;
};

TEST_F(CodeCacheTest, GivesBackWhatItKeptAlsoInTheNextLife) {
  {
    const auto cache = open();
    EXPECT_FALSE(cache->load(key_of(1)).has_value());
    cache->store(key_of(1), code_of(1));
    cache->store(key_of(2), code_of(2));
    EXPECT_EQ(cache->load(key_of(1)), code_of(1));
  }
  const auto cache = open();
  EXPECT_EQ(cache->stats().entries, 2U);
  EXPECT_EQ(cache->load(key_of(1)), code_of(1));
  EXPECT_EQ(cache->load(key_of(2)), code_of(2));
  EXPECT_EQ(cache->stats().hits, 2U);
  EXPECT_EQ(cache->stats().refused, 0U);
}

TEST_F(CodeCacheTest, IsForNoOtherModuleEngineOrAccount) {
  const auto cache = open();
  cache->store(key_of(1, 1, "one"), code_of(1));
  EXPECT_FALSE(cache->load(key_of(2, 1, "one")).has_value());
  EXPECT_FALSE(cache->load(key_of(1, 2, "one")).has_value());
  EXPECT_FALSE(cache->load(key_of(1, 1, "other")).has_value());
  EXPECT_FALSE(cache->load(key_of(1, 1, "")).has_value());
  EXPECT_EQ(cache->stats().misses, 4U);
  EXPECT_EQ(cache->load(key_of(1, 1, "one")), code_of(1));
}

TEST_F(CodeCacheTest, TellsAReaderOfTheDiskNothing) {
  const auto cache = open();
  const std::string secret = "the agent's own words";
  cache->store(key_of(7), to_bytes(secret));
  ASSERT_EQ(files().size(), 1U);
  EXPECT_FALSE(read(files().front()).contains(secret));
  EXPECT_FALSE(files().front().filename().string().contains("0707"));
  struct stat status{};
  ASSERT_EQ(::stat(files().front().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  ASSERT_EQ(::stat(folder.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
}

TEST_F(CodeCacheTest, RefusesAFlippedBitAnywhere) {
  const auto size = code_of(1).size() + kAtRestOverhead;
  for (const auto at : {0UZ, 31UZ, 32UZ, 33UZ, size / 2, size - 17, size - 16, size - 1})
    expect_refused([at](const fs::path& file) {
      auto content = read(file);
      content.at(at) = static_cast<char>(content.at(at) ^ 1);
      write(file, content);
    });
}

TEST_F(CodeCacheTest, RefusesAnotherLength) {
  const auto size = code_of(1).size() + kAtRestOverhead;
  for (const auto length : {0UZ, 1UZ, 47UZ, 48UZ, 49UZ, 4096UZ, size - 1, size + 1, size + 4096})
    expect_refused([length](const fs::path& file) { fs::resize_file(file, length); });
  // Sparse, and larger than any entry may be: not even read.
  expect_refused([](const fs::path& file) { fs::resize_file(file, 1ULL << 40); });
}

TEST_F(CodeCacheTest, RefusesWhatIsNoFileOfItsOwn) {
  expect_refused([](const fs::path& file) {
    fs::remove(file);
    ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  });
  expect_refused([this](const fs::path& file) {
    fs::rename(file, folder / "elsewhere");
    fs::create_symlink("elsewhere", file);
  });
  fs::remove(folder / "elsewhere");
  expect_refused([](const fs::path& file) {
    fs::remove(file);
    fs::create_symlink("/dev/zero", file);
  });
}

TEST_F(CodeCacheTest, RefusesAnEntryUnderAnothersName) {
  // By module, by engine (an older version's), and by account.
  for (const auto& other : {key_of(2), key_of(1, 2), key_of(1, 1, "other")}) {
    const auto cache = open();
    cache->store(other, code_of(2));
    const auto theirs = files().front();
    const auto content = read(theirs);
    cache->erase(other);
    cache->store(key_of(1), code_of(1));
    write(files().front(), content);
    EXPECT_FALSE(cache->load(key_of(1)).has_value());
    EXPECT_EQ(cache->stats().refused, 1U);
    EXPECT_TRUE(files().empty());
  }
}

TEST_F(CodeCacheTest, RefusesAnotherNodesEntry) {
  std::string foreign;
  open()->store(key_of(1), code_of(9));
  foreign = read(files().front());
  fs::remove(files().front());
  crypto::system_random().fill(storage_key.mutable_view());
  const auto cache = open();
  cache->store(key_of(1), code_of(1));
  write(files().front(), foreign);
  EXPECT_FALSE(cache->load(key_of(1)).has_value());
  EXPECT_EQ(cache->stats().refused, 1U);
}

/// Security case S15: what is used is what was checked, whatever happens to the file at the same time.
TEST_F(CodeCacheTest, GivesTheTrueCodeOrNoneWhileTheFileIsSwapped) {
  const auto cache = open(64 << 20);
  const auto code = code_of(1, 300'000);
  cache->store(key_of(1), code);
  const auto file = files().front();
  const auto good = read(file);
  cache->store(key_of(2), code_of(2, 300'000));
  std::string other;
  for (const auto& path : files())
    if (path != file) other = read(path);
  auto bad = good;
  bad[good.size() / 2] = static_cast<char>(bad[good.size() / 2] ^ 1);
  const auto beside = folder / "beside";
  std::atomic<bool> stop = false;
  std::thread swapper([&] {
    for (unsigned turn = 0; !stop; ++turn) {
      const auto& content = turn % 3 == 0 ? bad : turn % 3 == 1 ? other : good;
      if (turn % 2 == 0) {
        write(beside, content);
        std::error_code error;
        fs::rename(beside, file, error);
      } else {
        std::fstream in_place(file, std::ios::binary | std::ios::in | std::ios::out);
        in_place << content;
      }
    }
  });
  for (int i = 0; i < 500; ++i) {
    const auto loaded = cache->load(key_of(1));
    EXPECT_TRUE(!loaded || *loaded == code);
  }
  stop = true;
  swapper.join();
  const auto stats = cache->stats();
  EXPECT_GT(stats.refused, 0U);
  EXPECT_EQ(stats.hits + stats.misses + stats.refused, 500U);
}

TEST_F(CodeCacheTest, EvictsTheLeastRecentlyUsed) {
  constexpr std::uint64_t kRoom = 4 * 12288;  // four entries of 10,048 bytes, in blocks
  {
    const auto cache = open(kRoom);
    for (std::uint8_t i = 1; i <= 4; ++i) cache->store(key_of(i), code_of(i));
    EXPECT_TRUE(cache->load(key_of(1)).has_value());
    cache->store(key_of(5), code_of(5));
    EXPECT_EQ(cache->stats().evicted, 1U);
    EXPECT_EQ(cache->stats().bytes, kRoom);
    EXPECT_FALSE(cache->load(key_of(2)).has_value());
    for (const auto kept : std::initializer_list<std::uint8_t>{3, 4, 5, 1})
      EXPECT_TRUE(cache->load(key_of(kept)).has_value());
  }
  // The next life knows the order, and a smaller bound.
  const auto cache = open(kRoom / 2);
  EXPECT_EQ(files().size(), 2U);
  EXPECT_TRUE(cache->load(key_of(1)).has_value());
  EXPECT_TRUE(cache->load(key_of(5)).has_value());
  cache->store(key_of(6), code_of(6, kRoom));
  EXPECT_EQ(cache->stats().stored, 0U) << "larger than all room";
}

TEST_F(CodeCacheTest, ErasesSoThatNothingCanBeOpened) {
  const auto cache = open();
  cache->store(key_of(1), code_of(1));
  const auto file = files().front();
  fs::create_hard_link(file, folder / "copy");  // the same blocks, as a reader of the disk finds them
  cache->erase(key_of(1));
  EXPECT_FALSE(fs::exists(file));
  EXPECT_EQ(cache->stats().entries, 0U);
  fs::rename(folder / "copy", file);
  EXPECT_FALSE(cache->load(key_of(1)).has_value());
  EXPECT_EQ(cache->stats().refused, 1U);
}

TEST_F(CodeCacheTest, RemovesWhatAKilledProcessLeftHalfWritten) {
  open()->store(key_of(1), code_of(1));
  write(folder / ".new-00112233", "half");
  write(folder / "README", "not ours");
  const auto cache = open();
  EXPECT_FALSE(fs::exists(folder / ".new-00112233"));
  EXPECT_TRUE(fs::exists(folder / "README"));
  EXPECT_EQ(cache->stats().entries, 1U);
}

TEST_F(CodeCacheTest, GoesOnWithoutAFolder) {
  const auto cache = open();
  fs::remove_all(folder);
  cache->store(key_of(1), code_of(1));
  EXPECT_EQ(cache->stats().write_failures, 1U);
  EXPECT_FALSE(cache->load(key_of(1)).has_value());
}

TEST_F(CodeCacheTest, RefusesAFolderThatIsALink) {
  const auto target = folder.string() + ".target";
  fs::create_directory(target);
  fs::create_directory_symlink(target, folder);
  CodeCacheOptions options;
  options.folder = folder;
  options.bytes_max = 1 << 20;
  options.storage_key = storage_key.copy();
  options.random = &crypto::system_random();
  EXPECT_FALSE(CodeCache::open(std::move(options)).has_value());
  fs::remove(folder);
  fs::remove(target);
}

// --- with the engine
// ---------------------------------------------------------------------------------------------------

Result<crypto::Digest> fingerprint(WasmtimeEngine::Options options) {
  NMP_TRY(const auto engine, WasmtimeEngine::make(options));
  return engine->fingerprint();
}

TEST(Fingerprint, IsEqualForEnginesThatRunEachOthersCodeOnly) {
  const WasmtimeEngine::Options runs{.runs_max = 4, .memory_bytes_max = 1 << 20, .many_small = false};
  auto more = runs;
  more.runs_max = 8;
  auto watch = runs;
  watch.many_small = true;
  const auto first = fingerprint(runs);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(*first, *fingerprint(runs));
  EXPECT_EQ(*first, *fingerprint(more)) << "how many run changes no code";
  EXPECT_NE(*first, *fingerprint(watch));
}

Bytes pusher(int number) {
  return wat(fmt::format(R"((module (import "nmp" "push_event" (func $push (param i32 i32)))
    (memory (export "memory") 1) (data (i32.const 0) "event {:04}")
    (func (export "_start") (call $push (i32.const 0) (i32.const 10)))))",
                         number));
}

struct CodeCacheWithRunner : CodeCacheTest {
  std::unique_ptr<Runner> runner(const std::shared_ptr<CodeCache>& cache) {
    RunnerOptions options;
    options.runs_max = 4;
    options.memory_bytes_max = 1 << 20;
    options.code_cache = cache;
    options.random = &crypto::system_random();
    auto made = Runner::make(context.get_executor(), options);
    NMP_ASSERT(made.has_value());
    return *std::move(made);
  }
  Result<ModulePtr> compile(Runner& runner, Bytes wasm, std::optional<Bytes> account) {
    return async::run_until_done(context, runner.compile(std::move(wasm), std::nullopt, std::move(account)));
  }
  static async::Awaitable<std::string> first_event(RunPtr run) {
    std::string event;
    for (;;) {
      auto next = co_await run->next();
      if (!next || !*next) break;
      event = text_of((*next)->bytes);
    }
    EXPECT_FALSE(run->result().error.has_value());
    co_return event;
  }
  std::string run(Runner& runner, ModulePtr module) {
    RunSpec spec;
    spec.module = std::move(module);
    spec.limits.memory_bytes = 1 << 20;
    spec.limits.fuel = 1'000'000;
    spec.limits.wall_time_ms = 10'000;
    spec.limits.event_bytes = 1000;
    spec.limits.events = 10;
    auto started = runner.start(std::move(spec));
    NMP_ASSERT(started.has_value());
    return async::run_until_done(context, first_event(*std::move(started)));
  }

  boost::asio::io_context context;
};

TEST_F(CodeCacheWithRunner, CompilesOnceInTwoLives) {
  const auto account = to_bytes(std::string_view("agent"));
  for (int life = 0; life < 2; ++life) {
    const auto cache = open();
    const auto engine = runner(cache);
    auto module = compile(*engine, pusher(1), account);
    ASSERT_TRUE(module.has_value());
    EXPECT_EQ(run(*engine, *module), "event 0001");
    EXPECT_EQ(cache->stats().hits, life == 0 ? 0U : 1U);
    EXPECT_EQ(cache->stats().stored, life == 0 ? 1U : 0U);
  }
  // Without an account nothing is kept.
  const auto cache = open();
  const auto engine = runner(cache);
  ASSERT_TRUE(compile(*engine, pusher(2), std::nullopt).has_value());
  EXPECT_EQ(cache->stats().misses + cache->stats().stored, 0U);
}

TEST_F(CodeCacheWithRunner, CompilesAnewWhatWasTamperedWith) {
  const auto account = to_bytes(std::string_view("agent"));
  ASSERT_TRUE(compile(*runner(open()), pusher(1), account).has_value());
  ASSERT_TRUE(compile(*runner(open()), pusher(2), account).has_value());
  const auto before = files();
  ASSERT_EQ(before.size(), 2U);
  // Each under the other's name.
  fs::rename(before[0], folder / "x");
  fs::rename(before[1], before[0]);
  fs::rename(folder / "x", before[1]);
  const auto cache = open();
  const auto engine = runner(cache);
  for (int i = 1; i <= 2; ++i) {
    auto module = compile(*engine, pusher(i), account);
    ASSERT_TRUE(module.has_value());
    EXPECT_EQ(run(*engine, *module), fmt::format("event {:04}", i));
  }
  EXPECT_EQ(cache->stats().refused, 2U);
  EXPECT_EQ(cache->stats().stored, 2U);
  EXPECT_EQ(cache->stats().hits, 0U);
}

TEST_F(CodeCacheWithRunner, CompilesAnewWhatTheEngineDoesNotTake) {
  // Authentic, and yet no machine code: only a fingerprint that is not exact could let this happen.
  const auto account = to_bytes(std::string_view("agent"));
  const auto wasm = pusher(1);
  const auto cache = open();
  CodeKey key;
  key.module = crypto::sha256(wasm);
  const auto made = fingerprint({.runs_max = 4, .memory_bytes_max = 1 << 20, .many_small = false});
  ASSERT_TRUE(made.has_value());
  key.engine = *made;
  key.account = account;
  cache->store(key, to_bytes(std::string_view("no machine code at all")));
  const auto engine = runner(cache);
  auto module = compile(*engine, wasm, account);
  ASSERT_TRUE(module.has_value());
  EXPECT_EQ(run(*engine, *module), "event 0001");
  EXPECT_EQ(cache->stats().hits, 1U);
  EXPECT_EQ(cache->stats().refused, 1U);
  EXPECT_EQ(cache->stats().stored, 2U);
}

}  // namespace
}  // namespace nmp::sandbox
