#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libp2p/quic/testing.hpp"
#include "tests/security/child_node.hpp"
#include "tests/security/effort.hpp"
#include "tests/security/quic_agent.hpp"

/// Handshakes that never complete, from ports by the thousand: an agent is served meanwhile, what they hold is bounded
/// and goes, and what they are sent is little.
namespace nmp::security {
namespace {

namespace quic = libp2p::quic;

constexpr std::uint8_t kAgent = 1;
constexpr std::uint8_t kNode = 42;
constexpr std::size_t kHalfOpen = kSanitized ? 2'000 : 10'000;
/// Ports at a time.
constexpr std::size_t kStrangers = 1'000;
/// Tens of milliseconds when nothing is in an agent's way; a hello that has to be repeated takes a second and more.
constexpr Duration kServedWithin = kSanitized ? 20s : 3s;
/// Half-open and lingering connections of about 100 KiB, and their fragments. A sanitizer keeps what is freed.
constexpr std::size_t kGrowthMax = kSanitized ? 512UZ << 20 : 48UZ << 20;

SocketAddress loopback(std::uint16_t port) {
  SocketAddress address;
  address.ip = {std::byte{127}, std::byte{0}, std::byte{0}, std::byte{1}};
  address.port = port;
  return address;
}

/// A port that nobody knows, and what went through it.
class Stranger {
 public:
  explicit Stranger(std::uint16_t node) : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    NMP_ASSERT(fd_ >= 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(node);
    NMP_ASSERT(::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
    sockaddr_in own{};
    socklen_t size = sizeof own;
    NMP_ASSERT(::getsockname(fd_, reinterpret_cast<sockaddr*>(&own), &size) == 0);
    address_ = loopback(ntohs(own.sin_port));
  }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;
  ~Stranger() { ::close(fd_); }

  void send(ByteView datagram) {
    if (!datagram.empty() && ::send(fd_, datagram.data(), datagram.size(), 0) > 0) sent_ += datagram.size();
  }
  /// The last that has come; empty if nothing has.
  Bytes receive() {
    Bytes last;
    Bytes buffer(2048);
    for (;;) {
      const auto got = ::recv(fd_, buffer.data(), buffer.size(), 0);
      if (got <= 0) return last;
      last = to_bytes(ByteView(buffer).first(static_cast<std::size_t>(got)));
      received_ += last.size();
    }
  }
  [[nodiscard]] const SocketAddress& address() const { return address_; }
  [[nodiscard]] std::size_t sent() const { return sent_; }
  [[nodiscard]] std::size_t received() const { return received_; }

 private:
  int fd_;
  SocketAddress address_;
  std::size_t sent_ = 0;
  std::size_t received_ = 0;
};

/// A thousand strangers at a time, each of which sends one datagram, and a second one if it answers Retry.
class Flood {
 public:
  Flood(std::uint16_t node, std::uint64_t with)
      : node_(loopback(node)), random_(with), ghost_(7, clock_), lines_(kStrangers) {}

  bool answers_retry = false;
  std::size_t begun = 0;
  std::size_t answered = 0;  ///< Strangers that heard anything.
  std::size_t proven = 0;    ///< Retries answered.
  double worst = 0;          ///< Bytes received for each one sent, of any port that never proved its address.

  /// `count` of them: hellos only, or among noise, forged tokens and unknown versions.
  Awaitable<void> run(std::size_t count, bool mixed) {
    for (std::size_t i = 0; i < count; ++i) {
      auto& stranger = lines_[i % lines_.size()];
      hear(stranger);
      stranger = std::make_unique<Stranger>(node_.port);
      stranger->send(mixed ? any(*stranger, i) : hello(*stranger));
      ++begun;
      if (answers_retry) {
        // Its turn to say something, then an answer to what it said.
        (void)co_await async::sleep_until(in(1ms));
        if (auto retry = stranger->receive(); !retry.empty()) {
          stranger->send(ghost_.answer(stranger->address(), node_, retry));
          stranger->receive();
          ++proven;
        }
      } else if (i % 8 == 7) {
        (void)co_await async::sleep_until(in(1ms));
      }
      ghost_.vanish();
    }
  }
  void end() {
    for (auto& stranger : lines_) hear(stranger);
    lines_.clear();
  }

 private:
  Bytes hello(const Stranger& stranger) { return ghost_.hello(stranger.address(), node_); }
  Bytes any(const Stranger& stranger, std::size_t i) {
    switch (i % 5) {
      case 0: return quic::testing::noise_initial(random_);
      case 1: return quic::testing::noise_initial(random_, quic::testing::forged_token(random_));
      case 2: return quic::testing::unknown_version(random_);
      case 3: return quic::testing::unknown_connection(random_);
      default: return hello(stranger);
    }
  }
  void hear(const std::unique_ptr<Stranger>& stranger) {
    if (!stranger) return;
    stranger->receive();
    if (stranger->received() > 0) ++answered;
    // The kernel gives a port again: what the node still repeats for its last user is for both.
    auto& [sent, received] = by_port_[stranger->address().port];
    sent += stranger->sent();
    received += stranger->received();
    if (!answers_retry) worst = std::max(worst, static_cast<double>(received) / static_cast<double>(sent));
  }

  SocketAddress node_;
  SeededRandom random_;
  quic::testing::FixedClock clock_;
  quic::testing::Ghost ghost_;
  std::vector<std::unique_ptr<Stranger>> lines_;
  std::map<std::uint16_t, std::pair<std::size_t, std::size_t>> by_port_;
};

/// An agent that nobody knows yet connects, negotiates and runs.
Awaitable<std::string> honest_run(async::Executor executor, std::uint16_t port) {
  QuicAgent agent(executor, kAgent);
  auto channel = co_await agent.dial(peer_of(kNode), port);
  std::string out;
  if (channel) {
    Draft draft(key_of(kAgent), peer_of(kNode), good_filter());
    out = co_await run_once(*channel, draft);
    co_await (*channel)->close();
  } else {
    out = "no stream: " + channel.error().message();
  }
  co_await agent.close();
  co_return out;
}

/// A node in its own process, floods of one kind, and agents meanwhile.
void floods_node(bool mixed, bool answers_retry, std::size_t count) {
  TemporaryFolder folder;
  boost::asio::io_context context(1);
  auto node = ChildNode::start(folder.path(), kNode);
  ASSERT_NE(node, nullptr);
  auto body = [](async::Executor executor, ChildNode& child, bool mix, bool retry,
                 std::size_t strangers) -> Awaitable<bool> {
    auto first = co_await honest_run(executor, child.quic_port());
    EXPECT_EQ(first, "evidence");
    const auto before = child.resident_peak();
    Flood flood(child.quic_port(), seed(1));
    flood.answers_retry = retry;
    async::TaskGroup tasks(executor);
    tasks.spawn(flood.run(strangers, mix));
    std::size_t served = 0;
    Duration slowest{};
    while (tasks.size() > 0) {
      const auto started = async::system_clock().now();
      auto evidence = co_await honest_run(executor, child.quic_port());
      EXPECT_EQ(evidence, "evidence") << "while they come";
      slowest = std::max(slowest, async::system_clock().now() - started);
      ++served;
    }
    co_await tasks.close();
    flood.end();
    EXPECT_EQ(flood.begun, strangers);
    EXPECT_GE(served, 2U);
    EXPECT_LT(slowest, kServedWithin);
    EXPECT_GT(flood.answered, 0U);
    EXPECT_LE(flood.worst, 3.0);
    if (retry) {
      EXPECT_GT(flood.proven, 2 * libp2p::kHandshakesMax);
    }
    EXPECT_LT(child.resident_peak(), before + kGrowthMax);
    std::cout << flood.begun << " begun, " << flood.proven << " proven, " << served
              << " agents served meanwhile, slowest "
              << std::chrono::duration_cast<std::chrono::milliseconds>(slowest).count() << " ms, peak grew by "
              << (child.resident_peak() - before) / 1024 << " KiB, at most " << flood.worst << " bytes for one\n";
    co_return true;
  };
  EXPECT_TRUE(async::run_until_done(context, body(context.get_executor(), *node, mixed, answers_retry, count), 200s));
  EXPECT_TRUE(node->stop());
}

TEST(Exhaustion, HellosThatNeverGoOn) { floods_node(/*mixed=*/false, /*answers_retry=*/false, kHalfOpen); }
TEST(Exhaustion, NoiseForgedTokensAndBait) { floods_node(/*mixed=*/true, /*answers_retry=*/false, 2 * kHalfOpen); }
/// They show that their addresses are theirs, and then say no more.
TEST(Exhaustion, ProvenAddressesThatNeverGoOn) { floods_node(/*mixed=*/false, /*answers_retry=*/true, kHalfOpen / 4); }

/// The same from inside: how many are under way, and that none is when their time is over.
TEST(Exhaustion, HalfOpenHandshakesAreBoundedAndGo) {
  boost::asio::io_context context(1);
  auto body = [](async::Executor executor) -> Awaitable<bool> {
    libp2p::HostOptions options(key_of(kNode));
    options.listen.push_back(*libp2p::Multiaddr::parse("/ip4/127.0.0.1/udp/0/quic-v1"));
    auto host = libp2p::Host::make(executor, std::move(options));
    NMP_ASSERT(host.has_value());
    const auto port = (*host)->listen_addresses().front().udp_endpoint()->port;
    Flood unproven(port, seed(2));
    Flood proven(port, seed(3));
    proven.answers_retry = true;
    async::TaskGroup tasks(executor);
    std::size_t peak = 0;
    tasks.spawn(unproven.run(kStrangers, false));
    while (tasks.size() > 0) {
      peak = std::max(peak, (*host)->stats().half_open);
      (void)co_await async::sleep_until(in(1ms));
    }
    EXPECT_EQ(peak, libp2p::kRetryThreshold);
    (void)co_await async::sleep_until(in(4s));  // time to repeat its part of the handshakes
    unproven.end();
    EXPECT_GT(unproven.worst, 2.0);
    EXPECT_LE(unproven.worst, 3.0);
    tasks.spawn(proven.run(500, false));
    while (tasks.size() > 0) {
      peak = std::max(peak, (*host)->stats().half_open);
      (void)co_await async::sleep_until(in(1ms));
    }
    EXPECT_LE(peak, libp2p::kHandshakesMax);
    auto gone = co_await World::until([&] { return (*host)->stats().half_open == 0; }, 15s);
    EXPECT_TRUE(gone) << (*host)->stats().half_open << " are still there";
    EXPECT_TRUE((*host)->peers().empty());
    std::cout << "at most " << peak << " under way, " << unproven.worst << " bytes for one\n";
    co_await tasks.close();
    co_await (*host)->close();
    co_return true;
  };
  EXPECT_TRUE(async::run_until_done(context, body(context.get_executor()), 100s));
}

}  // namespace
}  // namespace nmp::security
