#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "core/capability.hpp"
#include "core/did.hpp"
#include "core/errors.hpp"
#include "core/testing.hpp"
#include "core/trust.hpp"
#include "crypto/errors.hpp"

namespace nmp::core {
namespace {
using namespace testing;

// did:key test vector of the W3C CCG specification (Ed25519, "did:key:z6MkhaXg..."), and a round trip.
TEST(Did, HasOneSpelling) {
  const std::string text = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";
  auto key = parse_did(text);
  ASSERT_TRUE(key);
  EXPECT_EQ(did_of(*key), text);
  EXPECT_EQ(hex_encode(key->bytes()), "2e6fcce36701dc791488e0d0b1745cc1e33a4c1c9fcc41c63bd343dbbe0970e6");
  EXPECT_EQ(*peer_of_did(text), peer_of(*key));
  EXPECT_EQ(*did_of(peer_of(*key)), text);
}

TEST(Did, RefusesAllElse) {
  const auto good = did_of(agent_key().public_key());
  for (const auto& text : {std::string(), std::string("did:key:z"), good.substr(0, good.size() - 1), good + "1",
                           "did:key:z1" + good.substr(9), "DID:KEY:" + good.substr(8), good + "#x", " " + good,
                           std::string("did:web:example.org"), std::string(5000, 'z'),
                           std::string("did:key:u") + base64url_encode(agent_key().public_key().bytes())}) {
    EXPECT_FALSE(parse_did(text)) << text;
  }
  // All-zero and identity points are of small order: one signature fits every message.
  for (const auto first : {std::byte{0}, std::byte{1}}) {
    Bytes bytes(34);
    bytes[0] = std::byte{0xed};
    bytes[1] = std::byte{0x01};
    bytes[2] = first;
    EXPECT_FALSE(parse_did("did:key:z" + base58_encode(bytes)));
  }
  // secp256k1-pub (0xe7) in the same shape.
  Bytes other = to_bytes(agent_key().public_key().bytes());
  other.insert(other.begin(), {std::byte{0xe7}, std::byte{0x01}});
  EXPECT_FALSE(parse_did("did:key:z" + base58_encode(other)));
}

TEST(Capability, Names) {
  for (const auto* good : {"a", "0", "log-scan", "a.b_c-d", "x2"}) EXPECT_TRUE(is_name(good)) << good;
  for (const auto* bad : {"", "-a", ".a", "_a", "A", "a b", "a/b", "ä", "a\n"}) EXPECT_FALSE(is_name(bad)) << bad;
  EXPECT_TRUE(is_name(std::string(63, 'a')));
  EXPECT_FALSE(is_name(std::string(64, 'a')));
  EXPECT_FALSE(is_name(std::string_view("a\0b", 3)));
}

TEST(Capability, HashIsTheCidOfThePath) {
  // Independent: printf /nmp/capability/log-scan | sha256sum, then 01 55 12 20 before it, base32.
  const auto digest = crypto::sha256(bytes_of("/nmp/capability/log-scan"));
  Bytes cid{std::byte{1}, std::byte{0x55}, std::byte{0x12}, std::byte{0x20}};
  append(cid, digest);
  EXPECT_EQ(capability_hash("log-scan"), "b" + base32_encode(cid));
  EXPECT_EQ(capability_key("log-scan"), Bytes(cid.begin() + 2, cid.end()));
  EXPECT_TRUE(names_capability(capability_hash("log-scan"), "log-scan"));
  EXPECT_TRUE(names_capability("log-scan", "log-scan"));
  EXPECT_FALSE(names_capability(capability_hash("log-scam"), "log-scan"));
  EXPECT_FALSE(names_capability("", "log-scan"));
}

TEST(SessionToken, IsStrict) {
  SeededRandom random(1);
  const auto token = SessionToken::generate(random);
  const auto text = token.to_text();
  ASSERT_EQ(text.size(), 43U);
  EXPECT_EQ(SessionToken::parse(text)->hash(), token.hash());
  EXPECT_FALSE(SessionToken::parse(text + "="));
  EXPECT_FALSE(SessionToken::parse(text.substr(1)));
  auto spare = std::string(42, 'A') + "B";  // 'B' leaves a spare bit set
  EXPECT_FALSE(SessionToken::parse(spare));
  EXPECT_TRUE(SessionToken::parse(std::string(43, 'A')));
}

TEST(Authorization, MinimumNeverRaises) {
  Authorization asked{.memory_bytes = 10, .fuel = 7};
  const auto both = minimum(asked, full_limits());
  EXPECT_EQ(both.memory_bytes, 10U);
  EXPECT_EQ(both.fuel, 7U);
  EXPECT_EQ(both.events, full_limits().events);
  EXPECT_TRUE(within(both, asked) && within(both, full_limits()));
  EXPECT_FALSE(within(full_limits(), asked));
  EXPECT_TRUE(both.is_complete());
  EXPECT_FALSE(asked.is_complete());
  EXPECT_EQ(*authorization_from_cbor(to_cbor(asked)), asked);
  EXPECT_EQ(Authorization{}.wall_time(), std::chrono::milliseconds::max());
}

TEST(Authorization, RefusesUnknownAndNegative) {
  EXPECT_FALSE(authorization_from_cbor(cbor::Map{{9, 1}}));
  EXPECT_FALSE(authorization_from_cbor(cbor::Map{{1, -1}}));
  EXPECT_FALSE(authorization_from_cbor(cbor::Map{{1, "x"}}));
  EXPECT_FALSE(authorization_from_cbor(cbor::Map{{1, kNoCeiling}}));
  EXPECT_FALSE(authorization_from_cbor(cbor::Map{{"memory", 1}}));
  EXPECT_FALSE(authorization_from_cbor(cbor::Array{}));
}

TEST(Errors, EveryCodeHasARow) {
  for (int i = 1; i <= static_cast<int>(Errc::bad_trust_file); ++i) {
    EXPECT_NE(reason_of(make_error_code(static_cast<Errc>(i))).reason, "internal") << i;
    EXPECT_EQ(make_error_code(static_cast<Errc>(i)).message().find("unknown"), std::string::npos);
  }
  EXPECT_EQ(reason_of(nmp::Errc::too_large).reason, "too_large");
  EXPECT_EQ(reason_of(crypto::Errc::not_canonical).reason, "bad_request");
  EXPECT_EQ(reason_of(std::make_error_code(std::errc::io_error)).reason, "internal");
  EXPECT_EQ(find_reason("no such"), nullptr);
  for (const auto& row : reasons()) EXPECT_TRUE(is_name(row.reason)) << row.reason;
}

TEST(Errors, DocumentIsTheTable) {
  std::ifstream in(std::string(NMP_SOURCE_DIR) + "/docs/errors.md");
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_EQ(text.str(), errors_markdown()) << "write errors_markdown() to docs/errors.md";
}

TEST(TrustFile, PinsPeers) {
  const auto node = peer_of_key(node_key());
  const auto agent = peer_of_key(agent_key());
  auto file = TrustFile::parse("# ours\n\n" + node.to_text() + "  hospital A # main\n" + *did_of(agent) + "\r\n");
  ASSERT_TRUE(file);
  ASSERT_NE(file->find(node), nullptr);
  EXPECT_EQ(file->find(node)->name, "hospital A");
  EXPECT_NE(file->find(agent), nullptr);
  EXPECT_EQ(file->find(peer_of_key(key_of(3))), nullptr);
  EXPECT_EQ(TrustFile::parse("x\n").error().code, Errc::bad_trust_file);
  EXPECT_EQ(TrustFile::parse(node.to_text() + "\n" + node.to_text()).error().code, Errc::bad_trust_file);
  EXPECT_TRUE(TrustFile::parse(""));
}

}  // namespace
}  // namespace nmp::core
