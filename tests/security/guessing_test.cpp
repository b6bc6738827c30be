#include <set>

#include "base/codec.hpp"
#include "core/dataset_commitment.hpp"
#include "core/receipt.hpp"
#include "crypto/cbor.hpp"
#include "tests/security/raw_agent.hpp"

/// Small secrets behind hashes: whoever sees intents, answers, receipts and opened paths, and tries every value, learns
/// none. Each attack is also made where the salts are missing or known, and there it finds all.
namespace nmp::security {
namespace {

constexpr std::uint8_t kAgent = 1;
constexpr std::size_t kRows = 1000;
constexpr std::size_t kPins = 10'000;
constexpr std::string_view kPin = "4711";

std::string pin(std::size_t number) {
  auto digits = std::to_string(number);
  return std::string(4 - digits.size(), '0') + digits;
}
/// A row fills a leaf, and is one of two values.
std::string row(bool value) { return std::string(core::kLeafBytes - 4, '.') + (value ? "yes\n" : "no.\n"); }
std::vector<bool> random_rows() {
  std::vector<bool> out;
  for (std::size_t i = 0; i < kRows; ++i) out.push_back(crypto::system_random().below(2) == 1);
  return out;
}
std::string file_of(const std::vector<bool>& rows) {
  std::string out;
  for (const bool value : rows) out += row(value);
  return out;
}

/// One who has seen some bytes, and takes whatever 32 of them stand together for a hash, and whatever is encoded as 32
/// bytes for a salt.
class Guesser {
 public:
  explicit Guesser(const std::vector<Bytes>& seen) {
    salts_.insert(crypto::Digest{});
    for (const auto& bytes : seen) {
      for (std::size_t i = 0; i + 32 <= bytes.size(); ++i) {
        crypto::Digest window;
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(i), 32, window.begin());
        windows_.insert(window);
        const bool encoded = i >= 2 && bytes[i - 2] == std::byte{0x58} && bytes[i - 1] == std::byte{32};
        if (encoded || bytes.size() == 32) salts_.insert(window);
      }
    }
  }
  [[nodiscard]] std::size_t salts() const { return salts_.size(); }

  [[nodiscard]] std::set<std::string> inputs() const {
    return pins([this](const std::string& guess) {
      core::Inputs inputs;
      inputs["secret"] = to_bytes(std::string_view(guess));
      cbor::Map map;
      map.add("secret", inputs["secret"]);
      return saw(crypto::sha256(cbor::encode(map))) ||
             saw(crypto::sha256(cbor::encode(cbor::Array{"nmp/v1/inputs", map}))) ||
             saw(crypto::sha256(bytes_of(guess))) ||
             salted([&](const core::Salt& salt) { return core::commit_inputs(salt, inputs); });
    });
  }
  [[nodiscard]] std::set<std::string> evidence() const {
    return pins([this](const std::string& guess) {
      const auto bytes = bytes_of(guess);
      return saw(crypto::sha256(bytes)) || saw(crypto::sha256(cbor::encode(cbor::Array{"nmp/v1/evidence", bytes}))) ||
             salted([&](const core::Salt& salt) { return core::commit_evidence(salt, bytes); });
    });
  }
  /// The event that was pushed, if there was but one.
  [[nodiscard]] std::set<std::string> event(const crypto::Digest& answer_hash) const {
    return pins([&](const std::string& guess) {
      return salted([&](const core::Salt& salt) {
        core::EventChain chain(salt, answer_hash);
        chain.add(bytes_of(guess));
        return chain.value();
      });
    });
  }
  /// The value of the row at `index`.
  [[nodiscard]] std::optional<bool> leaf(std::uint64_t index) const {
    for (const bool value : {false, true}) {
      const auto chunk = row(value);
      const auto unsalted = Writer().u8(0).u64be(index).text(chunk).take();
      if (saw(crypto::sha256(unsalted)) || saw(crypto::sha256(bytes_of(chunk))) ||
          salted([&](const crypto::Digest& salt) { return core::leaf_hash(salt, index, bytes_of(chunk)); }))
        return value;
    }
    return std::nullopt;
  }
  /// The value of one row, when all others are known: from the dataset's commitment.
  [[nodiscard]] std::optional<bool> last_row(std::vector<bool> rows,
                                             std::size_t unknown,
                                             const std::string& other) const {
    for (const bool value : {false, true}) {
      rows[unknown] = value;
      const auto text = file_of(rows);
      for (const auto& candidate : salts_) {
        const core::DatasetKey key(candidate);
        std::vector<core::FileRoot> files;
        for (const auto& [path, content] :
             {std::pair<std::string, std::string_view>{"a.txt", other}, {"rows.txt", text}}) {
          core::FileTree tree(key, path);
          tree.update(bytes_of(content));
          files.push_back({path, tree.finish()});
        }
        auto commitment = core::commit_dataset("logs", 1, std::move(files));
        if (commitment && saw(*commitment)) return value;
      }
    }
    return std::nullopt;
  }

 private:
  [[nodiscard]] bool saw(const crypto::Digest& hash) const { return windows_.contains(hash); }
  template <class Commit>
  [[nodiscard]] bool salted(Commit commit) const {
    return std::ranges::any_of(salts_, [&](const auto& salt) { return saw(commit(salt)); });
  }
  template <class Fits>
  [[nodiscard]] static std::set<std::string> pins(Fits fits) {
    std::set<std::string> out;
    for (std::size_t i = 0; i < kPins; ++i)
      if (auto guess = pin(i); fits(guess)) out.insert(std::move(guess));
    return out;
  }
  std::set<crypto::Digest> windows_;
  std::set<crypto::Digest> salts_;
};

using Found = std::set<std::string>;
const Found kTheOne{std::string(kPin)};

/// An input, an event and evidence of four digits, over a dataset of two-valued rows.
TEST(Guessing, FindsNothingInWhatARunShows) {
  in_world([](World& world) -> Awaitable<void> {
    const auto rows = random_rows();
    std::ofstream(world.own.path() / "data" / "rows.txt") << file_of(rows);
    auto draft = Draft(key_of(kAgent), world.me, telling_filter());
    draft.inputs.inputs["secret"] = to_bytes(kPin);
    draft.intent.input_commitment = core::commit_inputs(draft.inputs.salt, draft.inputs.inputs);
    auto channel = world.connect(peer_of(kAgent));
    auto held = co_await negotiate(channel, draft);
    auto prepared = prepare(held, draft);
    auto ran = co_await execute(channel, prepared.wire());
    auto result = read(prepared.run, ran);
    EXPECT_TRUE(result.whole && result.receipt);
    EXPECT_EQ(result.evidence, kPin);
    EXPECT_EQ(result.events.size(), 1U);
    if (!result.receipt) co_return;
    auto proof = core::decode_proof(result.receipt->proof);
    NMP_ASSERT(proof.has_value());
    auto receipt = core::parse_receipt(proof->receipt);
    EXPECT_TRUE(receipt && receipt->receipt.datasets.contains("logs"));

    std::vector<Bytes> seen{draft.request(), to_bytes(held.response.SerializeAsString()), prepared.wire(),
                            result.receipt->proof};
    const auto answer = held.answer.hash;
    const Guesser outside(seen);
    EXPECT_GE(outside.salts(), 10U) << "hashes, keys, nonces";
    EXPECT_EQ(outside.inputs(), Found());
    EXPECT_EQ(outside.evidence(), Found());
    EXPECT_EQ(outside.event(answer), Found());
    EXPECT_EQ(outside.last_row(rows, 500, "dataset bytes"), std::nullopt);

    // The hashes are there: with the salts, which travel sealed, the same attack finds all.
    seen.push_back(to_bytes(draft.inputs.salt));
    EXPECT_EQ(Guesser(seen).inputs(), kTheOne);
    seen.back() = to_bytes(result.receipt->openings.evidence_salt);
    const Guesser inside(seen);
    EXPECT_EQ(inside.evidence(), kTheOne);
    EXPECT_EQ(inside.event(answer), kTheOne);
  });
}

TEST(Guessing, FindsAllWithoutSalts) {
  core::Inputs inputs;
  inputs["secret"] = to_bytes(kPin);
  cbor::Map map;
  map.add("secret", inputs["secret"]);
  const auto pin_bytes = bytes_of(kPin);
  for (const auto& commitment :
       {core::commit_inputs({}, inputs), crypto::sha256(cbor::encode(cbor::Array{"nmp/v1/inputs", map})),
        crypto::sha256(cbor::encode(map))})
    EXPECT_EQ(Guesser({concat({bytes_of("before"), commitment})}).inputs(), kTheOne);
  for (const auto& commitment :
       {core::commit_evidence({}, pin_bytes), crypto::sha256(cbor::encode(cbor::Array{"nmp/v1/evidence", pin_bytes}))})
    EXPECT_EQ(Guesser({to_bytes(commitment)}).evidence(), kTheOne);

  const auto rows = random_rows();
  const core::DatasetKey known;
  std::vector<core::FileRoot> files;
  core::FileTree first(known, "a.txt");
  core::FileTree second(known, "rows.txt");
  first.update(bytes_of("dataset bytes"));
  second.update(bytes_of(file_of(rows)));
  files.push_back({"a.txt", first.finish()});
  files.push_back({"rows.txt", second.finish()});
  auto commitment = core::commit_dataset("logs", 1, std::move(files));
  ASSERT_TRUE(commitment.has_value());
  EXPECT_EQ(Guesser({to_bytes(*commitment)}).last_row(rows, 500, "dataset bytes"), rows[500]);
}

/// What the opening of a row shows of the rest: its salt, and the hashes beside the way to the root.
TEST(Guessing, OfTheRowsBesideOneThatIsOpened) {
  const auto rows = random_rows();
  core::DatasetKey key;
  crypto::system_random().fill(key.mutable_view());
  std::vector<std::vector<crypto::Digest>> salted(1);
  std::vector<std::vector<crypto::Digest>> unsalted(1);
  for (std::size_t i = 0; i < kRows; ++i) {
    const auto chunk = row(rows[i]);
    salted[0].push_back(core::leaf_hash(core::leaf_salt(key, "rows.txt", i), i, bytes_of(chunk)));
    unsalted[0].push_back(crypto::sha256(Writer().u8(0).u64be(i).text(chunk).take()));
  }
  const auto build = [](std::vector<std::vector<crypto::Digest>>& tree) {
    while (tree.back().size() > 1) {
      const auto& below = tree.back();
      std::vector<crypto::Digest> level;
      for (std::size_t i = 0; i + 1 < below.size(); i += 2) level.push_back(core::node_hash(below[i], below[i + 1]));
      if (below.size() % 2 == 1) level.push_back(below.back());
      tree.push_back(std::move(level));
    }
  };
  build(salted);
  build(unsalted);
  // The tree is the one that files have.
  core::MerkleRoot root;
  for (const auto& leaf : salted[0]) root.add(leaf);
  ASSERT_EQ(salted.back()[0], root.value());

  const auto path = [](const std::vector<std::vector<crypto::Digest>>& tree, std::size_t index) {
    std::vector<Bytes> out;
    for (const auto& level : tree) {
      if ((index ^ 1) < level.size()) out.push_back(to_bytes(level[index ^ 1]));
      index /= 2;
    }
    return out;
  };
  std::size_t found = 0;
  std::size_t found_unsalted = 0;
  std::size_t found_with_salt = 0;
  for (std::size_t i = 0; i < kRows; ++i) {
    const auto beside = i ^ 1;
    auto seen = path(salted, i);
    seen.push_back(to_bytes(core::leaf_salt(key, "rows.txt", i)));
    if (Guesser(seen).leaf(beside)) ++found;
    seen.push_back(to_bytes(core::leaf_salt(key, "rows.txt", beside)));
    if (Guesser(seen).leaf(beside) == rows[beside]) ++found_with_salt;
    if (Guesser(path(unsalted, i)).leaf(beside) == rows[beside]) ++found_unsalted;
  }
  EXPECT_EQ(found, 0U);
  EXPECT_EQ(found_unsalted, kRows);
  EXPECT_EQ(found_with_salt, kRows);
}

}  // namespace
}  // namespace nmp::security
