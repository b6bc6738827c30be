#include "server/sessions.hpp"

#include <gtest/gtest.h>

#include "base/random.hpp"
#include "crypto/ed25519.hpp"

namespace nmp::server {
namespace {

using namespace std::chrono_literals;

class Sessions : public testing::Test {
 protected:
  SeededRandom random{7};
  Instant now = Instant{} + 100s;
  SessionTable table;

  libp2p::PeerId peer() { return libp2p::PeerId::of(crypto::Ed25519KeyPair::generate(random).public_key()); }
  Session session(const libp2p::PeerId& agent) {
    Session s(agent);
    s.id = random.bytes<16>();
    s.token_hash = random.bytes<32>();
    s.expires = now + kSessionLife;
    return s;
  }
};

TEST_F(Sessions, AnotherPeersTokenIsAsUnknownAsARandomOneAndStaysUsable) {
  auto owner = peer();
  auto thief = peer();
  auto s = session(owner);
  ASSERT_TRUE(table.add(s, now));
  auto stolen = table.find(s.token_hash, thief, now);
  auto random_token = table.find(random.bytes<32>(), thief, now);
  ASSERT_FALSE(stolen);
  ASSERT_FALSE(random_token);
  EXPECT_EQ(stolen.error().code, random_token.error().code);
  EXPECT_EQ(stolen.error().context, random_token.error().context);
  EXPECT_FALSE(table.find(s.token_hash, std::nullopt, now))
      << "a libp2p session does not move to the loopback listener";
  EXPECT_TRUE(table.find(s.token_hash, owner, now));
}

TEST_F(Sessions, IsSpentByItsLastRunAndGoneWhenExpired) {
  auto owner = peer();
  auto s = session(owner);
  s.runs_left = 2;
  ASSERT_TRUE(table.add(s, now));
  table.opened(s.id);
  EXPECT_TRUE(table.find(s.token_hash, owner, now));
  table.opened(s.id);
  EXPECT_FALSE(table.find(s.token_hash, owner, now));
  auto late = session(owner);
  ASSERT_TRUE(table.add(late, now));
  EXPECT_FALSE(table.find(late.token_hash, owner, now + kSessionLife));
  EXPECT_EQ(table.expire(now + kSessionLife), std::vector<SessionId>{late.id});
  EXPECT_EQ(table.size(), 0U);
}

TEST_F(Sessions, ThreeFailedOpensEraseIt) {
  auto owner = peer();
  auto s = session(owner);
  ASSERT_TRUE(table.add(s, now));
  EXPECT_FALSE(table.open_failed(s.id));
  EXPECT_FALSE(table.open_failed(s.id));
  EXPECT_TRUE(table.find(s.token_hash, owner, now));
  EXPECT_TRUE(table.open_failed(s.id));
  EXPECT_FALSE(table.find(s.token_hash, owner, now));
}

TEST_F(Sessions, NoPeerEvictsAnothersAndGrantHoldersKeepAQuarter) {
  auto greedy = peer();
  for (std::size_t i = 0; i < kSessionsPerCallerMax; ++i) ASSERT_TRUE(table.add(session(greedy), now));
  EXPECT_EQ(table.add(session(greedy), now).error().code, Errc::exhausted);
  while (table.size() < kSessionsMax - kSessionsKeptForGrants) ASSERT_TRUE(table.add(session(peer()), now));
  EXPECT_EQ(table.add(session(peer()), now).error().code, Errc::exhausted);
  auto granted = session(peer());
  granted.has_grant = true;
  EXPECT_TRUE(table.add(granted, now));
}

}  // namespace
}  // namespace nmp::server
