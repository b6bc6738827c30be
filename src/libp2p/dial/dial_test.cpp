#include <gtest/gtest.h>

#include "base/random.hpp"
#include "libp2p/dial/backoff.hpp"
#include "libp2p/dial/black_holes.hpp"
#include "libp2p/dial/limits.hpp"
#include "libp2p/dial/ranking.hpp"
#include "libp2p/dial/resolution.hpp"

namespace nmp::libp2p::dial {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

Multiaddr at(std::string_view text) { return Multiaddr::parse(text).value(); }
PeerId peer(int number) {
  SeededRandom random(static_cast<std::uint64_t>(number));
  return PeerId::from_bytes(concat({ByteView(ByteArray<2>{std::byte{0x12}, std::byte{0x20}}), random.bytes<32>()}))
      .value();
}

// --- ranking

using Plan = std::vector<std::pair<int, std::string>>;
Plan plan(std::initializer_list<const char*> addresses) {
  std::vector<Multiaddr> list;
  for (const auto* address : addresses) list.push_back(at(address));
  Plan out;
  for (const auto& attempt : rank(list))
    out.emplace_back(static_cast<int>(attempt.delay / milliseconds(1)), attempt.address.to_text());
  return out;
}

TEST(Ranking, QuicThenTcpThenOthersEachBeginningWithBothFamilies) {
  EXPECT_EQ(plan({"/ip4/1.2.3.4/tcp/7", "/ip4/1.2.3.4/udp/9/quic-v1", "/ip6/2001:db9::1/udp/9/quic-v1",
                  "/ip6/2001:db9::1/udp/5/quic-v1", "/ip6/2001:db9::1/tcp/7", "/ip4/1.2.3.4/udp/8/quic-v1",
                  "/ip4/1.2.3.4/tcp/8/ws", "/ip4/1.2.3.4/tcp/6"}),
            (Plan{{0, "/ip6/2001:db9::1/udp/5/quic-v1"},
                  {250, "/ip4/1.2.3.4/udp/8/quic-v1"},
                  {500, "/ip6/2001:db9::1/udp/9/quic-v1"},
                  {500, "/ip4/1.2.3.4/udp/9/quic-v1"},
                  {750, "/ip6/2001:db9::1/tcp/7"},
                  {1000, "/ip4/1.2.3.4/tcp/6"},
                  {1250, "/ip4/1.2.3.4/tcp/7"},
                  {2500, "/ip4/1.2.3.4/tcp/8/ws"}}));
}

TEST(Ranking, NothingWaitsForWhatIsNotThere) {
  EXPECT_EQ(plan({}), Plan{});
  EXPECT_EQ(plan({"/ip4/1.2.3.4/tcp/7"}), (Plan{{0, "/ip4/1.2.3.4/tcp/7"}}));
  EXPECT_EQ(plan({"/ip4/1.2.3.4/tcp/7/ws"}), (Plan{{0, "/ip4/1.2.3.4/tcp/7/ws"}}));
  EXPECT_EQ(plan({"/ip4/1.2.3.4/udp/9/quic-v1", "/ip4/1.2.3.4/udp/8/quic-v1"}),
            (Plan{{0, "/ip4/1.2.3.4/udp/8/quic-v1"}, {250, "/ip4/1.2.3.4/udp/9/quic-v1"}}));
}

TEST(Ranking, PrivateBesidePublicAndFaster) {
  EXPECT_EQ(plan({"/ip4/1.2.3.4/tcp/7", "/ip4/10.0.0.1/tcp/7", "/ip4/1.2.3.4/udp/7/quic-v1",
                  "/ip4/10.0.0.1/udp/7/quic-v1", "/ip4/127.0.0.1/tcp/7"}),
            (Plan{{0, "/ip4/10.0.0.1/udp/7/quic-v1"},
                  {0, "/ip4/1.2.3.4/udp/7/quic-v1"},
                  {30, "/ip4/10.0.0.1/tcp/7"},
                  {60, "/ip4/127.0.0.1/tcp/7"},
                  {250, "/ip4/1.2.3.4/tcp/7"}}));
}

TEST(Ranking, RelaysWaitForDirectAddresses) {
  const auto relay = "/ip4/1.2.3.4/udp/7/quic-v1/p2p/" + peer(1).to_text() + "/p2p-circuit";
  EXPECT_EQ(plan({relay.c_str(), "/ip4/5.6.7.8/tcp/7"}), (Plan{{0, "/ip4/5.6.7.8/tcp/7"}, {500, relay}}));
  EXPECT_EQ(plan({relay.c_str()}), (Plan{{0, relay}}));
}

TEST(Ranking, ManyOfOneKindLeaveRoomForOthers) {
  std::vector<Multiaddr> all;
  for (int port = 1; port <= 10; ++port) all.push_back(at("/ip4/1.2.3.4/udp/" + std::to_string(port) + "/quic-v1"));
  EXPECT_EQ(choose(all, 10), all);
  all.push_back(at("/ip4/1.2.3.4/tcp/1"));
  all.push_back(at("/ip4/1.2.3.4/tcp/2/ws"));
  const auto chosen = choose(all, 4);
  EXPECT_EQ(chosen, (std::vector<Multiaddr>{all[0], all[10], all[11], all[1]}));
  EXPECT_EQ(choose(all, 12).size(), 12U);
  EXPECT_TRUE(choose(all, 0).empty());
}

// --- backoff

TEST(Backoff, GrowsWithTheSquareOfFailuresUpToFiveMinutes) {
  Backoff backoff;
  auto now = Instant(seconds(1000));
  const auto address = at("/ip4/1.2.3.4/tcp/7");
  EXPECT_FALSE(backoff.holds(peer(1), address, now));
  for (const int wait : {6, 9, 14, 21, 30, 41, 54, 69, 86, 105, 126, 149, 174, 201, 230, 261, 294, 300, 300}) {
    backoff.failed(peer(1), address, now);
    EXPECT_TRUE(backoff.holds(peer(1), address, now + seconds(wait) - milliseconds(1))) << wait;
    EXPECT_FALSE(backoff.holds(peer(1), address, now + seconds(wait))) << wait;
    EXPECT_FALSE(backoff.holds(peer(2), address, now));
    EXPECT_FALSE(backoff.holds(peer(1), at("/ip4/1.2.3.4/tcp/8"), now));
    now += seconds(wait);
  }
  // Five minutes of peace, and it begins again.
  now += minutes(5) + seconds(1);
  backoff.failed(peer(1), address, now);
  EXPECT_FALSE(backoff.holds(peer(1), address, now + seconds(6)));
}

TEST(Backoff, IsForgottenWhenThePeerIsThere) {
  Backoff backoff;
  const auto now = Instant(seconds(1000));
  for (int number : {1, 2, 3})
    for (const auto* address : {"/ip4/1.2.3.4/tcp/7", "/ip6/::1/tcp/7", "/ip4/1.2.3.4/udp/1/quic-v1"})
      backoff.failed(peer(number), at(address), now);
  EXPECT_EQ(backoff.size(), 9U);
  backoff.forget(peer(2));
  EXPECT_EQ(backoff.size(), 6U);
  EXPECT_FALSE(backoff.holds(peer(2), at("/ip6/::1/tcp/7"), now));
  EXPECT_TRUE(backoff.holds(peer(1), at("/ip6/::1/tcp/7"), now));
  EXPECT_TRUE(backoff.holds(peer(3), at("/ip4/1.2.3.4/tcp/7"), now));
}

TEST(Backoff, IsBounded) {
  Backoff backoff;
  const auto now = Instant(seconds(1000));
  const auto address = at("/ip4/1.2.3.4/tcp/7");
  for (std::size_t i = 0; i < kBackoffEntriesMax + 100; ++i)
    backoff.failed(peer(static_cast<int>(i)), address, now + milliseconds(i));
  EXPECT_EQ(backoff.size(), kBackoffEntriesMax);
  EXPECT_FALSE(backoff.holds(peer(99), address, now + seconds(1)));
  EXPECT_TRUE(backoff.holds(peer(100), address, now + seconds(1)));
  // What is over goes first.
  backoff.failed(peer(-1), address, now + minutes(1));
  EXPECT_EQ(backoff.size(), 1U);
}

// --- black holes

TEST(BlackHole, ShutsAfterAHundredDialsAndOpensWithASuccess) {
  BlackHole hole;
  for (std::size_t i = 0; i < kHoleSuccessesMin - 1; ++i) hole.record(true);
  for (std::size_t i = 0; i < kHoleWindow - kHoleSuccessesMin; ++i) {
    hole.record(false);
    EXPECT_TRUE(hole.allows());
  }
  hole.record(false);
  EXPECT_TRUE(hole.blocked());
  std::size_t allowed = 0;
  for (std::size_t i = 0; i < 10 * kHoleProbeEvery; ++i) allowed += hole.allows() ? 1 : 0;
  EXPECT_EQ(allowed, 10U);
  hole.record(true);
  EXPECT_FALSE(hole.blocked());
  // It needs a full window to shut again.
  for (std::size_t i = 0; i < kHoleWindow - 2; ++i) hole.record(false);
  EXPECT_FALSE(hole.blocked());
  hole.record(false);
  EXPECT_TRUE(hole.blocked());
}

TEST(BlackHole, FiveOfAHundredAreEnough) {
  BlackHole hole;
  for (int i = 0; i < 1000; ++i) {
    hole.record(i % 20 == 0);
    EXPECT_FALSE(hole.blocked());
  }
}

TEST(BlackHoles, SkipWhatIsSwallowedUnlessNothingElseIsLeft) {
  BlackHoles holes;
  const auto quic4 = at("/ip4/1.2.3.4/udp/7/quic-v1");
  const auto quic6 = at("/ip6/2001:db9::1/udp/7/quic-v1");
  const auto tcp4 = at("/ip4/1.2.3.4/tcp/7");
  const auto tcp6 = at("/ip6/2001:db9::1/tcp/7");
  const auto lan = at("/ip4/10.0.0.1/udp/7/quic-v1");
  using List = std::vector<Multiaddr>;
  const List all = {quic4, quic6, tcp4, tcp6, lan};
  for (std::size_t i = 0; i < 2 * kHoleWindow; ++i) {
    holes.record(lan, false);
    holes.record(tcp4, false);
  }
  EXPECT_EQ(holes.keep(all), all);  // neither is judged
  for (std::size_t i = 0; i < kHoleWindow; ++i) holes.record(quic4, false);
  EXPECT_TRUE(holes.udp().blocked());
  EXPECT_FALSE(holes.ip6().blocked());
  EXPECT_EQ(holes.keep(all), (List{tcp4, tcp6, lan}));
  EXPECT_EQ(holes.keep({quic4, quic6}), (List{quic4, quic6}));
  for (std::size_t i = 0; i < kHoleWindow; ++i) holes.record(tcp6, false);
  EXPECT_EQ(holes.keep(all), (List{tcp4, lan}));
  holes.record(quic4, true);
  EXPECT_EQ(holes.keep(all), (List{quic4, tcp4, lan}));
  holes.record(quic6, true);
  EXPECT_EQ(holes.keep(all), all);
}

// --- resolution

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

/// Answers from a zone written down; questions that it does not know go unanswered by name.
struct Zone {
  std::map<std::string, std::vector<std::string>> texts;
  std::map<std::string, std::vector<IpAddress>> ips;
  std::vector<std::string> asked;

  std::vector<std::string> resolve(std::initializer_list<std::string> addresses, const PeerId& wanted = peer(1)) {
    std::vector<Multiaddr> list;
    for (const auto& address : addresses) list.push_back(at(address));
    Resolution resolution(list, wanted);
    std::vector<std::string> found;
    while (!resolution.done()) {
      for (const auto& [id, kind, name] : resolution.take_questions()) {
        asked.push_back((kind == Resolution::Kind::text  ? "TXT "
                         : kind == Resolution::Kind::ip4 ? "A "
                                                         : "AAAA ") +
                        name);
        if (kind == Resolution::Kind::text) {
          resolution.on_texts(id, texts[name]);
        } else {
          resolution.on_addresses(id, ips[name]);
        }
      }
      for (const auto& address : resolution.take_addresses()) found.push_back(address.to_text());
    }
    for (const auto& address : resolution.take_addresses()) found.push_back(address.to_text());
    return found;
  }
};
using Texts = std::vector<std::string>;

TEST(Resolution, NamesOfAllKinds) {
  Zone zone;
  zone.ips["a.example"] = {ip("1.2.3.4"), ip("2001:db9::1"), ip("5.6.7.8")};
  const auto id = peer(1).to_text();
  EXPECT_EQ(
      zone.resolve({"/dns4/a.example/tcp/7", "/dns6/a.example/udp/7/quic-v1/p2p/" + id, "/ip4/9.9.9.9/tcp/1"}),
      (Texts{"/ip4/9.9.9.9/tcp/1", "/ip4/1.2.3.4/tcp/7", "/ip4/5.6.7.8/tcp/7", "/ip6/2001:db9::1/udp/7/quic-v1"}));
  EXPECT_EQ(zone.resolve({"/dns/a.example/tcp/7/ws"}),
            (Texts{"/ip6/2001:db9::1/tcp/7/ws", "/ip4/1.2.3.4/tcp/7/ws", "/ip4/5.6.7.8/tcp/7/ws"}));
  EXPECT_EQ(zone.resolve({"/dns/unknown.example/tcp/7"}), Texts{});
  // An address that names somebody else is not asked for.
  zone.asked.clear();
  EXPECT_EQ(zone.resolve({"/dns4/a.example/tcp/7/p2p/" + peer(2).to_text()}), Texts{});
  EXPECT_TRUE(zone.asked.empty());
}

TEST(Resolution, DnsaddrKeepsWhatEndsAsItWasAsked) {
  Zone zone;
  const auto id = "/p2p/" + peer(1).to_text();
  zone.texts["_dnsaddr.example.com"] = {
      "dnsaddr=/ip4/1.2.3.4/tcp/7" + id,
      "dnsaddr=/ip4/1.2.3.4/udp/7/quic-v1" + id,
      "dnsaddr=/ip4/1.2.3.4/tcp/7/p2p/" + peer(2).to_text(),
      "dnsaddr=/ip4/1.2.3.4/tcp/8",
      "dnsaddr=/dns4/a.example/tcp/7" + id,
      "dnsaddr=/dnsaddr/more.example" + id,
      "dnsaddr=rubbish",
      "v=spf1 -all",
      "",
  };
  zone.texts["_dnsaddr.more.example"] = {"dnsaddr=/ip6/2001:db9::1/tcp/7" + id, "dnsaddr=/ip4/1.2.3.4/tcp/7" + id};
  zone.ips["a.example"] = {ip("5.6.7.8")};
  const Texts all = {"/ip4/1.2.3.4/tcp/7", "/ip4/1.2.3.4/udp/7/quic-v1", "/ip4/5.6.7.8/tcp/7",
                     "/ip6/2001:db9::1/tcp/7"};
  EXPECT_EQ(zone.resolve({"/dnsaddr/example.com" + id}), all);
  EXPECT_EQ(zone.resolve({"/dnsaddr/example.com"}), all);
  EXPECT_EQ(zone.resolve({"/dnsaddr/example.com/tcp/7" + id}), (Texts{"/ip4/1.2.3.4/tcp/7", "/ip4/5.6.7.8/tcp/7"}));
  EXPECT_EQ(zone.resolve({"/dnsaddr/example.com"}, peer(3)), Texts{});
}

TEST(Resolution, LoopsAndChainsEnd) {
  Zone zone;
  const auto id = "/p2p/" + peer(1).to_text();
  zone.texts["_dnsaddr.loop.example"] = {"dnsaddr=/dnsaddr/loop.example" + id};
  EXPECT_EQ(zone.resolve({"/dnsaddr/loop.example"}), Texts{});
  EXPECT_EQ(zone.asked.size(), 1U);
  for (int i = 0; i < 10; ++i) {
    zone.texts["_dnsaddr." + std::to_string(i)] = {"dnsaddr=/dnsaddr/" + std::to_string(i + 1) + id,
                                                   "dnsaddr=/ip4/1.2.3.4/tcp/" + std::to_string(i + 1) + id};
  }
  zone.asked.clear();
  EXPECT_EQ(zone.resolve({"/dnsaddr/0"}).size(), kNameDepthMax);
  EXPECT_EQ(zone.asked.size(), kNameDepthMax);
}

TEST(Resolution, AStrangersRecordsAreBounded) {
  Zone zone;
  const auto id = "/p2p/" + peer(1).to_text();
  auto& wide = zone.texts["_dnsaddr.wide"];
  for (int i = 0; i < 1000; ++i) wide.push_back("dnsaddr=/dnsaddr/wide" + std::to_string(i) + id);
  EXPECT_EQ(zone.resolve({"/dnsaddr/wide"}), Texts{});
  EXPECT_EQ(zone.asked.size(), kQuestionsMax);
  auto& many = zone.texts["_dnsaddr.many"];
  for (int i = 0; i < 1000; ++i) many.push_back("dnsaddr=/ip4/1.2.3.4/tcp/" + std::to_string(i) + id);
  EXPECT_EQ(zone.resolve({"/dnsaddr/many"}).size(), kResolvedMax);
  for (int i = 0; i < 100; ++i) zone.ips["crowd"].push_back(ip("1.2.3." + std::to_string(i)));
  EXPECT_EQ(zone.resolve({"/dns4/crowd/tcp/1"}).size(), kAddressesPerNameMax);
}

TEST(Resolution, AnswersToWhatWasNotAskedChangeNothing) {
  Resolution resolution({at("/dns4/a.example/tcp/7")}, peer(1));
  const auto question = resolution.take_questions().at(0);
  const std::array answer = {ip("1.2.3.4")};
  resolution.on_addresses(question.id + 1, answer);
  EXPECT_FALSE(resolution.done());
  resolution.on_addresses(question.id, answer);
  EXPECT_TRUE(resolution.done());
  resolution.on_addresses(question.id, answer);
  EXPECT_EQ(resolution.take_addresses().size(), 1U);
}

}  // namespace
}  // namespace nmp::libp2p::dial
