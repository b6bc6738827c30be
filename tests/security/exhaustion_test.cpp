#include "core/session_token.hpp"
#include "server/limits.hpp"
#include "tests/security/child_node.hpp"
#include "tests/security/effort.hpp"
#include "tests/security/raw_agent.hpp"
#include "tests/security/raw_h2.hpp"

/// Strangers that send much, or nothing at all, take a bounded part of a node, and an honest agent is served.
namespace nmp::security {
namespace {

constexpr std::uint8_t kAgent = 1;
constexpr std::uint8_t kNode = 42;
/// A sanitizer keeps what is freed for a while.
constexpr std::size_t kGrowthMax = kSanitized ? 512UZ << 20 : 64UZ << 20;

Awaitable<Result<async::ByteStreamPtr>> dial_stream(std::uint16_t port) {
  SocketAddress address;
  address.ip = {std::byte{127}, std::byte{0}, std::byte{0}, std::byte{1}};
  address.port = port;
  co_return co_await async::dial_tcp(address, in(10s));
}

Draft honest() { return Draft(key_of(kAgent), peer_of(kNode), good_filter()); }
Awaitable<std::string> honest_run(async::Executor executor, std::uint16_t port) {
  auto channel = co_await dial(executor, port);
  auto draft = honest();
  auto evidence = co_await run_once(channel, draft);
  co_await channel->close();
  co_return evidence;
}

template <class Body>
void against_child(Body body) {
  TemporaryFolder folder;
  boost::asio::io_context context(1);
  auto node = ChildNode::start(folder.path(), kNode);
  ASSERT_NE(node, nullptr);
  EXPECT_TRUE(async::run_until_done(context, body(context.get_executor(), *node), 200s));
  EXPECT_TRUE(node->stop());
}

/// Four calls on a connection that nobody knows, each a message of 64 MiB of which it sends as much as it is let.
struct Flood {
  std::size_t refused = 0;
  std::size_t other = 0;
  std::size_t calls = 0;
  std::size_t served = 0;  ///< Honest runs meanwhile.
};
/// `rounds` of them, and more (up to twenty times as many) until two honest runs have been served.
Awaitable<void> flood(async::Executor executor, std::uint16_t port, std::size_t rounds, Flood& out) {
  for (std::size_t round = 0; round < rounds || (out.served < 2 && round < 20 * rounds); ++round) {
    auto stream = co_await dial_stream(port);
    if (!stream) continue;
    RawH2 client(executor, std::move(*stream));
    std::vector<h2::StreamId> ids;
    for (int i = 0; i < 4; ++i) {
      auto id = client.call(core::kExecuteLogicMethod);
      nmp::v1::LogicRequest start;
      start.set_session_token(core::SessionToken::generate(crypto::system_random()).to_text());
      start.set_wasm_binary(std::string(1 << 20, 'x'));
      auto bytes = i % 2 == 0 ? to_bytes(start.SerializeAsString()) : Bytes(1 << 20, std::byte{0x12});
      client.send(id, 64 << 20, std::move(bytes));
      ids.push_back(id);
    }
    const auto answered = [&] {
      return client.connection_ended() ||
             std::ranges::all_of(ids, [&](auto id) { return !client.streams[id].reason_header.empty(); });
    };
    auto done = co_await World::until(answered, 30s);
    EXPECT_TRUE(done);
    out.calls += ids.size();
    for (auto id : ids) ++(client.streams[id].reason_header == "16" ? out.refused : out.other);
    co_await client.close();
  }
}

TEST(Exhaustion, AThousandLargeRequestsWithoutASession) {
  against_child([](async::Executor executor, ChildNode& node) -> Awaitable<bool> {
    auto before_flood = co_await honest_run(executor, node.port());
    EXPECT_EQ(before_flood, "evidence");
    const auto before = node.resident_peak();
    constexpr std::size_t kAtOnce = 25;
    constexpr std::size_t kRounds = kSanitized ? 2 : 10;
    Flood seen;
    async::TaskGroup tasks(executor);
    for (std::size_t i = 0; i < kAtOnce; ++i) tasks.spawn(flood(executor, node.port(), kRounds, seen));
    do {
      auto evidence = co_await honest_run(executor, node.port());
      EXPECT_EQ(evidence, "evidence") << "while they come";
      ++seen.served;
    } while (tasks.size() > 0);
    EXPECT_GE(seen.served, 2U);
    EXPECT_GE(seen.refused, kAtOnce * kRounds * 4);
    EXPECT_EQ(seen.refused, seen.calls);
    EXPECT_EQ(seen.other, 0U);
    EXPECT_LT(node.resident_peak(), before + kGrowthMax);
    std::cout << "served " << seen.served << " meanwhile, peak grew by " << (node.resident_peak() - before) / 1024
              << " KiB\n";
    co_await tasks.close();
    // Who has a session may send that much, and then it shows.
    auto channel = co_await dial(executor, node.port());
    auto large = Draft(key_of(kAgent), peer_of(kNode), Bytes(60 << 20));
    auto held = co_await negotiate(channel, large);
    auto prepared = prepare(held, large);
    auto ran = co_await execute(channel, prepared.wire());
    EXPECT_TRUE(ran.status.ok()) << ran.reason();
    EXPECT_GT(node.resident_peak(), before + (60 << 20));
    co_await channel->close();
    co_return true;
  });
}

/// Fits into a request, and would be a thousand times as much.
TEST(Exhaustion, ACompressionBombIsNotUnpacked) {
  against_child([](async::Executor executor, ChildNode& node) -> Awaitable<bool> {
    constexpr std::size_t kUnpacked = 24 << 20;
    constexpr std::size_t kBombs = kSanitized ? 20 : 200;
    const auto bomb = h2::gzip(Bytes(kUnpacked));
    EXPECT_LT(bomb.size(), server::kIntentRequestBytesMax);
    auto first = co_await honest_run(executor, node.port());
    EXPECT_EQ(first, "evidence");
    const auto before = node.resident_peak();
    const auto started = async::system_clock().now();
    std::size_t refused = 0;
    for (std::size_t i = 0; i < kBombs; ++i) {
      auto stream = co_await dial_stream(node.port());
      NMP_ASSERT(stream.has_value());
      RawH2 client(executor, std::move(*stream));
      auto id = client.call(kNegotiate, "gzip");
      client.send(id, bomb.size(), bomb, /*compressed=*/true);
      client.end(id);
      auto done = co_await World::until([&] { return !client.streams[id].reason_header.empty(); });
      EXPECT_TRUE(done);
      if (client.streams[id].reason_header == "8") ++refused;
      co_await client.close();
    }
    const auto took = async::system_clock().now() - started;
    EXPECT_EQ(refused, kBombs) << "RESOURCE_EXHAUSTED";
    // Unpacked whole, one of them alone would take that much.
    EXPECT_LT(node.resident_peak(), before + (kSanitized ? kGrowthMax : kUnpacked / 2));
    EXPECT_LT(took, 20s);
    // An honest intent may be compressed.
    auto channel = co_await dial(executor, node.port());
    auto draft = honest();
    rpc::CallOptions options;
    options.compress = true;
    options.deadline = in(10s);
    auto reply = co_await channel->unary_reply(std::string(kNegotiate), draft.request(), options);
    EXPECT_TRUE(reply.status.ok()) << reply.status.message;
    co_await channel->close();
    co_return true;
  });
}

/// Connections that say nothing: whoever comes new takes the place of the oldest of them, and is served, as is whom the
/// node knows. Those that are left are closed when their probation is over.
TEST(Exhaustion, ConnectionsThatSayNothing) {
  against_child([](async::Executor executor, ChildNode& node) -> Awaitable<bool> {
    auto known = co_await dial(executor, node.port());
    auto draft = honest();
    auto evidence = co_await run_once(known, draft);
    EXPECT_EQ(evidence, "evidence");
    const auto before = node.resident_peak();
    constexpr std::size_t kConnections = 2000;
    std::size_t open = 0;
    std::size_t closed = 0;
    auto silent = [](std::uint16_t port, std::size_t& begun, std::size_t& ended) -> Awaitable<void> {
      auto stream = co_await dial_stream(port);
      ++begun;
      if (stream) {
        Bytes buffer(4096);
        for (;;) {
          auto size = co_await (*stream)->read_some(buffer);  // the node's SETTINGS, and then its end
          if (!size || *size == 0) break;
        }
      }
      ++ended;
    };
    async::TaskGroup tasks(executor);
    for (std::size_t i = 0; i < kConnections; ++i) {
      tasks.spawn(silent(node.port(), open, closed));
      if (i % 50 == 49) {
        auto opened = co_await World::until([&] { return open == i + 1; });
        EXPECT_TRUE(opened);
      }
    }
    auto over = co_await World::until([&] { return closed + server::kTcpConnectionsMax >= kConnections; }, 8s);
    EXPECT_TRUE(over) << closed << " closed: those over the ceiling, at once";
    EXPECT_GT(kConnections - closed, server::kTcpConnectionsMax / 2) << "the others have their time";
    for (int i = 0; i < 3; ++i) {
      auto another = honest();
      auto served = co_await run_once(known, another);
      EXPECT_EQ(served, "evidence") << "whom the node knows is served";
      auto newcomer = co_await honest_run(executor, node.port());
      EXPECT_EQ(newcomer, "evidence") << "and who comes new";
    }
    EXPECT_GT(kConnections - closed, server::kTcpConnectionsMax / 2) << "the listener is still full";
    auto all = co_await World::until([&] { return closed == kConnections; }, 30s);
    EXPECT_TRUE(all) << closed << " of " << kConnections << " closed after their time";
    auto fresh = co_await honest_run(executor, node.port());
    EXPECT_EQ(fresh, "evidence");
    EXPECT_LT(node.resident_peak(), before + kGrowthMax);
    std::cout << "peak grew by " << (node.resident_peak() - before) / 1024 << " KiB\n";
    co_await tasks.close();
    co_await known->close();
    co_return true;
  });
}

}  // namespace
}  // namespace nmp::security
