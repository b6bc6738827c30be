#include "libp2p/kad/message.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libp2p/kad/key.hpp"
#include "libp2p/kad/testing.hpp"
#include "libp2p/peer/multihash.hpp"

namespace nmp::libp2p::kad {
namespace {

const auto kSelf = PeerId::parse("12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq").value();

// js-libp2p packages/kad-dht test fixtures, recorded from go; each ends in the retired field 10.
TEST(KadMessage, ReadsWhatGoSent) {
  auto find = decode(hex("080412082f762f68656c6c6f5000")).value();
  EXPECT_EQ(find.type, MessageType::find_node);
  EXPECT_EQ(string_of(find.key), "/v/hello");

  auto put = decode(hex("080012082f762f68656c6c6f1a350a082f762f68656c6c6f1205776f726c641a22122022b0a34f217fd364680657d8"
                        "2a17fb8468d28f16f60d77f7074a7e8a002c5a765000"))
                 .value();
  EXPECT_EQ(put.type, MessageType::put_value);
  ASSERT_TRUE(put.record);
  EXPECT_EQ(string_of(put.record->key), "/v/hello");
  EXPECT_EQ(string_of(put.record->value), "world");

  EXPECT_EQ(decode(hex("080112082f762f68656c6c6f5000")).value().type, MessageType::get_value);

  auto target = decode(hex("080412221220d18f46f364ebeeec500929c72a4898feb2747730b129d970de15cf80626ebcbc5000")).value();
  EXPECT_EQ(target.key, hex("1220d18f46f364ebeeec500929c72a4898feb2747730b129d970de15cf80626ebcbc"));

  auto provide =
      decode(hex("080212221220d18f46f364ebeeec500929c72a4898feb2747730b129d970de15cf80626ebcbc4a2e0a22122090c962"
                 "0a79a8ba913d9f84394a32488494f98cf0ce4dddbb86cb44519970c4e01208047f00000106e4bb5000"))
          .value();
  EXPECT_EQ(provide.type, MessageType::add_provider);
  ASSERT_EQ(provide.provider_peers.size(), 1);
  EXPECT_EQ(provide.provider_peers[0].id.bytes().size(), 34);
  ASSERT_EQ(provide.provider_peers[0].addresses.size(), 1);
  EXPECT_EQ(provide.provider_peers[0].addresses[0].to_text(), "/ip4/127.0.0.1/tcp/58555");
}

// libp2p.md B.5: hand-written encoders.
TEST(KadMessage, WritesTheComputedVectors) {
  Message find;
  find.key = to_bytes(kSelf.bytes());
  auto find_bytes = hex("080412260024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e");
  EXPECT_EQ(encode(find).value(), find_bytes);

  auto key = to_bytes("nmp:capabilities:test");
  Message put;
  put.type = MessageType::put_value;
  put.key = key;
  put.record = Record{key, to_bytes("{}"), {}};
  EXPECT_EQ(
      encode(put).value(),
      hex("080012156e6d703a6361706162696c69746965733a746573741a1b0a156e6d703a6361706162696c69746965733a746573741202"
          "7b7d"));
  EXPECT_EQ(decode(encode(put).value()).value().record, put.record);

  Message get;
  get.type = MessageType::get_value;
  get.key = key;
  EXPECT_EQ(encode(get).value(), hex("080112156e6d703a6361706162696c69746965733a74657374"));

  Message provide;
  provide.type = MessageType::add_provider;
  provide.key = Multihash::sha2_256(key).bytes();
  provide.provider_peers.push_back(PeerInfo{kSelf, {address("/ip4/1.2.3.4/udp/4001/quic-v1")}});
  EXPECT_EQ(
      encode(provide).value(),
      hex("080212221220a3f258f9103a86c9d8a75a4dd264b2d4c5492b709af59124d818dcc64c574d834a350a260024080112201ed1e8fa"
          "e2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e120b040102030491020fa1cd03"));

  Message providers;
  providers.type = MessageType::get_providers;
  providers.key = provide.key;
  EXPECT_EQ(encode(providers).value(),
            hex("080312221220a3f258f9103a86c9d8a75a4dd264b2d4c5492b709af59124d818dcc64c574d83"));
}

// libp2p.md B.5.
TEST(KadKey, DistancesOfTheComputedVectors) {
  auto self = Key::of(kSelf);
  EXPECT_EQ(hex_encode(self.bytes), "dfd53212a4bd2beda3ea8e82d08285370c70a70cfe9c588e28754b23c8033121");
  Key other;
  std::ranges::copy(hex("2ea99e04b7226ebb09856fdd2c3df7aad5dbc53dbcbb110d5e1ff64b7626122e"), other.bytes.begin());
  EXPECT_EQ(hex_encode(distance(self, other).bytes),
            "f17cac16139f4556aa6fe15ffcbf729dd9ab623142274983766abd68be25230f");
  EXPECT_EQ(common_prefix_length(self, other), 0);
  EXPECT_EQ(common_prefix_length(self, self), 256);
  auto near = self;
  near.bytes[31] ^= std::byte{1};
  EXPECT_EQ(common_prefix_length(self, near), 255);
  EXPECT_EQ(hex_encode(Key::of(bytes_of("nmp:capabilities:test")).bytes),
            "a3f258f9103a86c9d8a75a4dd264b2d4c5492b709af59124d818dcc64c574d83");
  EXPECT_LT(distance(self, near), distance(self, other));
}

TEST(KadMessage, FullAnswersStayUnderRustsLimitAndKeepCloserPeers) {
  Message answer;
  answer.type = MessageType::get_providers;
  answer.key = to_bytes("key");
  for (std::uint64_t i = 0; i < 64; ++i) {
    auto fat = peer_info(i);
    for (int port = 1; port < 30; ++port)
      fat.addresses.push_back(address("/ip6/2001:db8::1/udp/" + std::to_string(port) + "/quic-v1"));
    answer.provider_peers.push_back(fat);
    answer.closer_peers.push_back(peer_info(100 + i));
  }
  auto bytes = encode(answer).value();
  EXPECT_LE(bytes.size(), kMessageBytesMaxSent);
  auto read = decode(bytes).value();
  EXPECT_GE(read.closer_peers.size(), 20);
  EXPECT_GE(read.provider_peers.size(), 15);
  EXPECT_EQ(read.provider_peers[0].addresses.size(), kAddressesPeerMax);
  EXPECT_EQ(read.closer_peers[0], answer.closer_peers[0]);
}

TEST(KadMessage, WhatCannotFitIsRefused) {
  Message put;
  put.type = MessageType::put_value;
  put.key = to_bytes("k");
  put.record = Record{put.key, Bytes(kMessageBytesMaxSent), {}};
  EXPECT_EQ(encode(put).error().code, Errc::too_large);
  EXPECT_EQ(decode(Bytes(kMessageBytesMax + 1)).error().code, Errc::too_large);
  put.record = std::nullopt;
  put.key = Bytes(kKeyBytesMax + 1, std::byte{7});
  EXPECT_EQ(decode(encode(put).value()).error().code, Errc::too_large);
}

TEST(KadMessage, StrangePeersAreLeftOutAndBrokenMessagesRefused) {
  // closerPeers: an ID that is none, then one with an address that is none.
  auto good = to_bytes(peer(1).bytes());
  Bytes body = hex("080442050a03ffffff");
  Bytes entry = concat({hex("0a22"), good, hex("1202ff01")});
  append(body, concat({hex("4228"), entry}));
  auto read = decode(body).value();
  ASSERT_EQ(read.closer_peers.size(), 1);
  EXPECT_EQ(read.closer_peers[0].id, peer(1));
  EXPECT_TRUE(read.closer_peers[0].addresses.empty());

  EXPECT_EQ(decode(hex("0806")).error().code, Errc::unsupported);         // a type of tomorrow
  EXPECT_FALSE(decode(hex("0a01")));                                      // type as bytes, truncated
  EXPECT_FALSE(decode(hex("0804120c61")));                                // key longer than the message
  EXPECT_FALSE(decode(hex("0804424200")));                                // peer longer than the message
  EXPECT_FALSE(decode(hex("08041803")));                                  // record as varint
  EXPECT_FALSE(decode(hex("0b")));                                        // a group
  EXPECT_EQ(decode(hex("f03f01")).value().type, MessageType::put_value);  // unknown field only
}

TEST(KadSplitter, CutsMessagesAtEveryBoundary) {
  Message get;
  get.type = MessageType::get_value;
  get.key = Bytes(200, std::byte{'k'});  // a two-byte length prefix
  auto frame = encode_delimited(get).value();
  auto stream = concat({frame, frame, frame});
  for (std::size_t piece = 1; piece < stream.size(); piece += 7) {
    Splitter splitter;
    std::size_t whole = 0;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      splitter.feed(ByteView(stream).subspan(at, std::min(piece, stream.size() - at)));
      while (auto next = splitter.next().value()) {
        ++whole;
        EXPECT_EQ(decode(*next).value().key, get.key);
      }
    }
    EXPECT_EQ(whole, 3);
    EXPECT_TRUE(splitter.idle());
  }
}

TEST(KadSplitter, OversizeIsRefusedBeforeItArrives) {
  Splitter splitter(100);
  splitter.feed(hex("65"));
  EXPECT_EQ(splitter.next().error().code, Errc::too_large);
  Splitter endless(100);
  endless.feed(Bytes(9, std::byte{0xff}));
  EXPECT_FALSE(endless.next());
}

}  // namespace
}  // namespace nmp::libp2p::kad
