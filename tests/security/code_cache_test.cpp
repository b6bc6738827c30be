#include <filesystem>
#include <fstream>
#include <map>

#include "tests/security/child_node.hpp"
#include "tests/security/raw_agent.hpp"

/// Security case S15, caches: whoever can write to the node's disk, but has not its storage key, runs no code in it.
namespace nmp::security {
namespace {

namespace fs = std::filesystem;

constexpr std::uint8_t kAgent = 1;
constexpr std::uint8_t kNode = 42;

Awaitable<std::string> run(async::Executor executor, std::uint16_t port, Bytes module) {
  auto channel = co_await dial(executor, port);
  Draft draft(key_of(kAgent), peer_of(kNode), std::move(module));
  auto evidence = co_await run_once(channel, draft);
  co_await channel->close();
  co_return evidence;
}

std::string read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct CodeOnDisk : testing::Test {
  /// One life of the node: both filters run, and what its disk has afterwards, by name.
  std::map<std::string, std::string> live() {
    boost::asio::io_context context(1);
    auto node = ChildNode::start(folder.path(), kNode);
    NMP_ASSERT(node != nullptr);
    EXPECT_EQ(async::run_until_done(context, run(context.get_executor(), node->port(), good_filter()), 100s),
              "evidence");
    EXPECT_EQ(async::run_until_done(context, run(context.get_executor(), node->port(), other_filter()), 100s),
              std::string("secret\0\0", 8));
    node->kill();
    std::map<std::string, std::string> out;
    for (const auto& item : fs::directory_iterator(code())) out.emplace(item.path().filename(), read(item.path()));
    return out;
  }
  static Bytes other_filter() {
    return filter(R"((i32.store (i32.const 8) (i32.const 300))
      (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0))))");
  }
  [[nodiscard]] fs::path code() const { return folder.path() / "state" / "code.runs"; }
  void put(const std::string& name, const std::string& content) const {
    std::ofstream(code() / name, std::ios::binary | std::ios::trunc) << content;
  }
  TemporaryFolder folder;
};

TEST_F(CodeOnDisk, IsUsedByTheNextLifeAsItIs) {
  const auto first = live();
  ASSERT_EQ(first.size(), 2U);
  EXPECT_EQ(live(), first) << "each entry has fresh salt: what was written anew would differ";
}

TEST_F(CodeOnDisk, IsRefusedAndMadeAnewWhenAByteIsFlipped) {
  auto entries = live();
  for (auto& [name, content] : entries) {
    content.at(content.size() / 2) = static_cast<char>(content.at(content.size() / 2) ^ 1);
    put(name, content);
  }
  const auto after = live();
  ASSERT_EQ(after.size(), 2U);
  for (const auto& [name, content] : after) EXPECT_NE(content, entries.at(name));
  EXPECT_EQ(live(), after);
}

TEST_F(CodeOnDisk, IsRefusedUnderAnothersName) {
  const auto entries = live();
  ASSERT_EQ(entries.size(), 2U);
  const auto& [one, one_content] = *entries.begin();
  const auto& [two, two_content] = *entries.rbegin();
  put(one, two_content);
  put(two, one_content);
  const auto after = live();  // each filter answered as itself
  EXPECT_NE(after.at(one), two_content);
  EXPECT_NE(after.at(two), one_content);
}

TEST_F(CodeOnDisk, IsRefusedFromAnotherNode) {
  const auto entries = live();
  fs::remove(folder.path() / "state" / "storage.key");  // the next life has a key of its own
  const auto after = live();
  // Another key gives other names, too: put what it had under the names that it has now.
  std::vector<std::string> ours;
  for (const auto& [name, content] : after)
    if (!entries.contains(name)) ours.push_back(name);
  ASSERT_EQ(ours.size(), 2U);
  for (const auto& name : ours) put(name, entries.begin()->second);
  const auto last = live();
  for (const auto& name : ours) EXPECT_NE(last.at(name), entries.begin()->second);
}

}  // namespace
}  // namespace nmp::security
