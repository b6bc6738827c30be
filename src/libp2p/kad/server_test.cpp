#include "libp2p/kad/server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libp2p/kad/testing.hpp"

namespace nmp::libp2p::kad {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::Each;
using testing::Not;

class KadServer : public testing::Test {
 protected:
  KadServer() {
    for (std::uint64_t i = 1; i <= 60; ++i) table_.insert(peer_info(i), now_.instant);
  }
  static Message request(MessageType type, std::string_view key) {
    Message message;
    message.type = type;
    message.key = to_bytes(key);
    return message;
  }
  static Message put(std::string_view key, std::string_view value) {
    auto message = request(MessageType::put_value, key);
    message.record = Record{message.key, to_bytes(value), "believe me"};
    return message;
  }
  Message ask(const Message& message, std::uint64_t from = 1000) {
    return server_.answer(message, peer(from), now_).value().value();
  }
  std::error_code refusal(const Message& message, std::uint64_t from = 1000) {
    auto answer = server_.answer(message, peer(from), now_);
    return answer ? std::error_code() : answer.error().code;
  }
  void provide(std::string_view key, PeerInfo provider, std::uint64_t from) {
    auto message = request(MessageType::add_provider, key);
    message.provider_peers.push_back(std::move(provider));
    EXPECT_EQ(server_.answer(message, peer(from), now_).value(), std::nullopt);
  }

  Now now_{Instant{1h}, 10};
  std::optional<PeerInfo> client_;
  RoutingPolicy policy_{std::string(kProtocol), number_validators()};
  RoutingTable table_{peer(0), TableOptions{}, policy_};
  Server server_{table_, policy_,
                 [this](const PeerId& id) { return client_ && client_->id == id ? client_ : std::nullopt; },
                 ServerOptions{.records = {.records_max = 10, .records_per_peer_max = 4},
                               .providers = {.per_key_max = 3, .keys_per_peer_max = 2, .records_max = 8}}};
};

TEST_F(KadServer, FindNodeNamesTheClosestButNeitherItselfNorTheAsker) {
  auto message = request(MessageType::find_node, "anything");
  auto answer = ask(message);
  EXPECT_EQ(answer.closer_peers, table_.closest(Key::of(message.key), 20));
  message.key = to_bytes(peer(0).bytes());
  for (auto& named : ask(message, 7).closer_peers) {
    EXPECT_NE(named.id, peer(0));
    EXPECT_NE(named.id, peer(7));
  }
  message.key = to_bytes(peer(7).bytes());
  answer = ask(message, 7);
  EXPECT_EQ(answer.closer_peers.size(), 20);
  EXPECT_THAT(answer.closer_peers, Not(Contains(peer_info(7))));
  EXPECT_EQ(ask(message, 8).closer_peers.front(), peer_info(7));
}

TEST_F(KadServer, FindNodeKnowsConnectedClients) {
  client_ = peer_info(500);
  auto message = request(MessageType::find_node, text_of(peer(500).bytes()));
  EXPECT_EQ(ask(message).closer_peers.front(), *client_);
  EXPECT_EQ(ask(message).closer_peers.size(), 20);
  EXPECT_THAT(ask(message, 500).closer_peers, Not(Contains(*client_)));
}

TEST_F(KadServer, ValuesAreValidatedStampedSelectedAndExpire) {
  EXPECT_EQ(ask(request(MessageType::get_value, "/test/a")).record, std::nullopt);
  EXPECT_EQ(ask(put("/test/a", "2:x")).record->value, to_bytes("2:x"));
  auto held = ask(request(MessageType::get_value, "/test/a"));
  EXPECT_EQ(held.record->time_received, "1970-01-01T00:00:10Z");
  EXPECT_EQ(held.closer_peers.size(), 20);
  EXPECT_EQ(refusal(put("/test/a", "1:old")), Errc::already_exists);
  EXPECT_EQ(refusal(put("/test/a", "2:x")), std::error_code());
  EXPECT_EQ(refusal(put("/test/a", "3:y")), std::error_code());
  EXPECT_EQ(refusal(put("/test/a", "nonsense")), Errc::malformed);
  EXPECT_EQ(refusal(put("/other/a", "3:y")), Errc::unsupported);
  EXPECT_EQ(refusal(put("test/a", "3:y")), Errc::unsupported);
  auto mismatch = put("/test/a", "4:z");
  mismatch.key = to_bytes("/test/b");
  EXPECT_EQ(refusal(mismatch), Errc::malformed);
  mismatch.record.reset();
  EXPECT_EQ(refusal(mismatch), Errc::malformed);
  EXPECT_EQ(string_of(ask(request(MessageType::get_value, "/test/a")).record->value), "3:y");
  now_.instant += 48h;
  EXPECT_EQ(ask(request(MessageType::get_value, "/test/a")).record, std::nullopt);
  server_.expire(now_.instant);
  EXPECT_EQ(server_.records().size(), 0);
}

TEST_F(KadServer, AValueThatExpiresByItselfIsNotServedAndGivesWay) {
  EXPECT_EQ(refusal(put("/test/a", "9:expires100")), std::error_code());
  now_.unix_seconds = 100;
  EXPECT_EQ(ask(request(MessageType::get_value, "/test/a")).record, std::nullopt);
  EXPECT_EQ(refusal(put("/test/a", "1:fresh")), std::error_code());
}

TEST_F(KadServer, ValueStoreHasCeilingsPerPeerAndInAll) {
  for (int i = 0; i < 4; ++i) EXPECT_EQ(refusal(put("/test/" + std::to_string(i), "1:x"), 1), std::error_code());
  EXPECT_EQ(refusal(put("/test/4", "1:x"), 1), Errc::exhausted);
  EXPECT_EQ(refusal(put("/test/0", "2:x"), 1), std::error_code());
  for (int i = 4; i < 10; ++i)
    EXPECT_EQ(refusal(put("/test/" + std::to_string(i), "1:x"), static_cast<std::uint64_t>(i)), std::error_code());
  EXPECT_EQ(refusal(put("/test/10", "1:x"), 11), Errc::exhausted);
  EXPECT_EQ(refusal(put("/test/0", "3:" + std::string(kValueBytesMax, 'x')), 1), Errc::too_large);
  now_.instant += 49h;
  EXPECT_EQ(refusal(put("/test/10", "1:x"), 11), std::error_code());
  EXPECT_EQ(refusal(put("/test/11", "1:x"), 1), std::error_code());
}

TEST_F(KadServer, OnlyTheSenderMayProvideForItself) {
  provide("key", peer_info(5), 5);
  provide("key", peer_info(6), 7);           // for another
  provide("key", PeerInfo{peer(8), {}}, 8);  // without an address
  auto answer = ask(request(MessageType::get_providers, "key"));
  ASSERT_EQ(answer.provider_peers.size(), 1);
  EXPECT_EQ(answer.provider_peers[0], peer_info(5));
  EXPECT_EQ(answer.closer_peers.size(), 20);
  EXPECT_EQ(refusal(request(MessageType::get_providers, "")), Errc::malformed);
  EXPECT_EQ(refusal(request(MessageType::get_providers, std::string(81, 'k'))), Errc::malformed);
  now_.instant += 48h;
  EXPECT_TRUE(ask(request(MessageType::get_providers, "key")).provider_peers.empty());
}

TEST_F(KadServer, ProviderStoreHasCeilings) {
  for (std::uint64_t i = 1; i <= 5; ++i) provide("key", peer_info(i), i);
  auto providers = ask(request(MessageType::get_providers, "key")).provider_peers;
  EXPECT_EQ(providers.size(), 3);
  provide("key2", peer_info(1), 1);
  provide("key3", peer_info(1), 1);  // a third key of one provider
  EXPECT_TRUE(ask(request(MessageType::get_providers, "key3")).provider_peers.empty());
  for (std::uint64_t i = 10; i < 20; ++i) provide("k" + std::to_string(i), peer_info(i), i);
  EXPECT_EQ(server_.providers().size(), 8);
  // We ourselves always have a place; renewing keeps one.
  ASSERT_TRUE(server_.providers().add(bytes_of("key"), peer_info(0), now_.instant));
  EXPECT_EQ(ask(request(MessageType::get_providers, "key")).provider_peers.front().id, peer(0));
  now_.instant += 40h;
  provide("key", peer_info(2), 2);
  now_.instant += 10h;
  EXPECT_EQ(ask(request(MessageType::get_providers, "key")).provider_peers.size(), 2);
  server_.expire(now_.instant);
  EXPECT_EQ(server_.providers().size(), 2);
  server_.providers().remove(bytes_of("key"), peer(0));
  EXPECT_EQ(server_.providers().size(), 1);
}

TEST_F(KadServer, PingIsEchoedAndEmptyKeysRefused) {
  EXPECT_EQ(ask(request(MessageType::ping, "")).type, MessageType::ping);
  EXPECT_EQ(refusal(request(MessageType::find_node, "")), Errc::malformed);
}

TEST(KadTime, Rfc3339) {
  EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(rfc3339(1792843445), "2026-10-24T12:04:05Z");
}

}  // namespace
}  // namespace nmp::libp2p::kad
