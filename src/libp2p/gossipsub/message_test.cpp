#include "libp2p/gossipsub/message.hpp"

#include <gtest/gtest.h>

#include "base/codec.hpp"
#include "base/encoding.hpp"
#include "libp2p/gossipsub/testing.hpp"

namespace nmp::libp2p::gossipsub {
namespace {

/// libp2p.md, B.7: the message "hello" on "topic" by the key of seed 01 repeated, seqno 1; written there by an encoder
/// of its own.
constexpr std::string_view kSigningBuffer =
    "6c69627032702d7075627375623a0a260024080112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c120568"
    "656c6c6f1a0800000000000000012205746f706963";
constexpr std::string_view kPublishRpc =
    "1282010a260024080112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c120568656c6c6f1a080000000000"
    "0000012205746f7069632a408687850cb5a1d8e9dbe41b34eb3487cfd5e59fb70275f727841471c0070895fef2b61c85fa8f9cee59ea193167"
    "6a40c3e3d89dbdc9a9ae97b1367cb9468c2907";
constexpr std::string_view kSubscribeRpc = "0a0908011205746f706963";

KeyPair seed01() {
  ByteArray<32> seed;
  seed.fill(std::byte{1});
  return KeyPair::from_seed(SecretBytes<32>(std::span<const std::byte, 32>(seed)));
}

Bytes delimited(std::string_view hex) {
  Writer out;
  out.length_prefixed(hex_decode(hex).value());
  return out.take();
}

TEST(Message, MakesTheVectors) {
  const auto message = seal(seed01(), "topic", to_bytes("hello"), 1);
  EXPECT_EQ(hex_encode(signing_buffer(message)), kSigningBuffer);
  EXPECT_EQ(encode_delimited(Rpc{.publish = {message}}), delimited(kPublishRpc));
  EXPECT_EQ(encode_delimited(Rpc{.subscriptions = {{true, "topic"}}}), delimited(kSubscribeRpc));
}

TEST(Message, ReadsTheVectors) {
  const auto rpc = decode(hex_decode(kPublishRpc).value()).value();
  ASSERT_EQ(rpc.publish.size(), 1U);
  EXPECT_EQ(string_of(rpc.publish[0].data.value()), "hello");
  EXPECT_EQ(verify(rpc.publish[0]).value(), PeerId::of(seed01().public_key()));
  const auto subscription = decode(hex_decode(kSubscribeRpc).value()).value();
  ASSERT_EQ(subscription.subscriptions.size(), 1U);
  EXPECT_TRUE(subscription.subscriptions[0].subscribe);
  EXPECT_EQ(subscription.subscriptions[0].topic, "topic");
}

TEST(Message, AnyChangedBitIsNoSignature) {
  const auto good = seal(seed01(), "topic", to_bytes("hello"), 1);
  ASSERT_TRUE(verify(good));
  const auto flipped = [](Bytes bytes, std::size_t bit) {
    bytes[bit / 8] ^= std::byte(1U << (bit % 8));
    return bytes;
  };
  for (std::size_t bit = 0; bit < good.signature->size() * 8; ++bit) {
    auto bad = good;
    bad.signature = flipped(*good.signature, bit);
    EXPECT_FALSE(verify(bad));
  }
  for (std::size_t bit = 0; bit < 40; ++bit) {
    auto bad = good;
    bad.data = flipped(*good.data, bit);
    EXPECT_FALSE(verify(bad));
    bad = good;
    bad.seqno = flipped(*good.seqno, bit);
    EXPECT_FALSE(verify(bad));
    bad = good;
    bad.topic[bit / 8] = static_cast<char>(bad.topic[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(verify(bad));
  }
  auto other = good;
  other.from = to_bytes(PeerId::of(testing::key_of(5).public_key()).bytes());
  EXPECT_FALSE(verify(other));
  other = good;
  other.key = testing::key_of(5).public_key().bytes();
  EXPECT_FALSE(verify(other));
  other.key = seed01().public_key().bytes();
  EXPECT_TRUE(verify(other));
}

TEST(Message, StrictSignWantsEveryField) {
  const auto good = seal(seed01(), "topic", to_bytes("hello"), 1);
  for (auto Message::* field : {&Message::from, &Message::seqno, &Message::signature}) {
    auto bad = good;
    (bad.*field).reset();
    EXPECT_FALSE(verify(bad));
  }
  auto bad = good;
  bad.seqno = Bytes(7);
  EXPECT_FALSE(verify(bad));
}

Rpc everything() {
  Rpc rpc;
  rpc.subscriptions = {{true, "a"}, {false, "b"}};
  rpc.publish = {seal(seed01(), "a", to_bytes("x"), 7), seal(seed01(), "", Bytes(), 8)};
  rpc.ihave = {{"a", {Bytes(10), Bytes(12)}}, {"b", {}}};
  rpc.iwant = {{Bytes(3)}, {}};
  rpc.graft = {"a", ""};
  rpc.prune = {{"a", 60}, {"b", std::nullopt}};
  rpc.idontwant = {{Bytes(44)}};
  return rpc;
}

TEST(Message, WhatIsWrittenIsRead) {
  Splitter splitter;
  const auto bytes = encode_delimited(everything());
  for (auto byte : bytes) {
    EXPECT_FALSE(*splitter.next());
    splitter.feed(ByteView(&byte, 1));
  }
  const auto body = *splitter.next();
  ASSERT_TRUE(body);
  EXPECT_EQ(decode(*body).value(), everything());
  for (std::size_t size = 0; size < body->size(); ++size) {
    const auto part = decode(ByteView(*body).first(size));  // any answer but a crash
    EXPECT_TRUE(!part || *part != everything());
  }
}

TEST(Message, ListsAndFieldsAreBounded) {
  const auto refused = [](const Rpc& rpc) {
    Splitter splitter;
    splitter.feed(encode_delimited(rpc));
    const auto body = splitter.next();
    return !body || decode(**body).error().code == Errc::too_large;
  };
  Rpc rpc;
  rpc.subscriptions.assign(kSubscriptionsPerRpcMax + 1, {true, ""});
  EXPECT_TRUE(refused(rpc));
  rpc = {};
  rpc.graft.assign(kControlsPerRpcMax + 1, "");
  EXPECT_TRUE(refused(rpc));
  rpc = {};
  rpc.iwant.push_back(std::vector<MessageId>(kIdsPerRpcMax + 1));
  EXPECT_TRUE(refused(rpc));
  rpc = {};
  rpc.publish.assign(kMessagesPerRpcMax + 1, Message());
  EXPECT_TRUE(refused(rpc));
  rpc = {};
  rpc.graft = {std::string(kTopicBytesMax + 1, 'a')};
  EXPECT_TRUE(refused(rpc));
  rpc = {};
  rpc.idontwant = {{Bytes(kMessageIdBytesMax + 1)}};
  EXPECT_TRUE(refused(rpc));
  Splitter splitter;
  Writer length;
  length.uvarint(kRpcBytesMax + 1);
  splitter.feed(length.view());
  EXPECT_EQ(splitter.next().error().code, Errc::too_large);
}

}  // namespace
}  // namespace nmp::libp2p::gossipsub
