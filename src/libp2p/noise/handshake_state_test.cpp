#include "libp2p/noise/handshake_state.hpp"

#include <fstream>
#include <limits>
#include <map>

#include <gtest/gtest.h>

#include "base/encoding.hpp"

namespace nmp::libp2p::noise {
namespace {

using Vectors = std::map<std::string, std::string>;

Bytes hex(std::string_view text) { return hex_decode(text).value(); }

/// `name = value` lines; a line `case = N` begins the next set.
std::vector<Vectors> load(const std::string& file_name) {
  std::ifstream file(NMP_SOURCE_DIR "/src/libp2p/noise/testdata/" + file_name);
  std::vector<Vectors> out;
  for (std::string line; std::getline(file, line);) {
    auto at = line.find(" = ");
    if (line.starts_with('#') || at == std::string::npos) continue;
    if (out.empty() || line.starts_with("case")) out.emplace_back();
    out.back()[line.substr(0, at)] = line.substr(at + 3);
  }
  return out;
}

crypto::X25519KeyPair pair_of(std::string_view text) {
  auto bytes = hex(text);
  return crypto::X25519KeyPair::from_secret(SecretBytes<32>(std::span<const std::byte, 32>(bytes)));
}

HandshakeState initiator(const Vectors& v) {
  return {Role::initiator, hex(v.contains("prologue") ? v.at("prologue") : ""), pair_of(v.at("init_static")),
          pair_of(v.at("gen_init_ephemeral"))};
}
HandshakeState responder(const Vectors& v) {
  return {Role::responder, hex(v.contains("prologue") ? v.at("prologue") : ""), pair_of(v.at("resp_static")),
          pair_of(v.at("gen_resp_ephemeral"))};
}

TEST(NoiseCore, FlynnVectors) {
  auto cases = load("core.txt");
  ASSERT_EQ(cases.size(), 3U);
  for (const auto& v : cases) {
    SCOPED_TRACE(v.at("case"));
    auto left = initiator(v);
    auto right = responder(v);
    for (int i = 0; i < 3; ++i) {
      auto payload = hex(v.at("msg_" + std::to_string(i) + "_payload"));
      auto expected = hex(v.at("msg_" + std::to_string(i) + "_ciphertext"));
      auto& from = i == 1 ? right : left;
      auto& to = i == 1 ? left : right;
      EXPECT_EQ(payload.size() + from.next_overhead(), expected.size());
      EXPECT_TRUE(from.writes_next());
      EXPECT_FALSE(to.writes_next());
      Bytes message;
      ASSERT_TRUE(from.write_message(payload, message));
      EXPECT_EQ(message, expected);
      EXPECT_EQ(to.read_message(message).value(), payload);
    }
    ASSERT_TRUE(left.complete() && right.complete());
    EXPECT_EQ(left.hash(), right.hash());
    EXPECT_EQ(right.remote_static(), pair_of(v.at("init_static")).public_key());
    EXPECT_EQ(left.remote_static(), pair_of(v.at("resp_static")).public_key());
    auto keys = left.split();
    auto same = right.split();
    EXPECT_TRUE(keys.initiator_to_responder == same.initiator_to_responder);
    EXPECT_TRUE(keys.responder_to_initiator == same.responder_to_initiator);
    EXPECT_FALSE(keys.initiator_to_responder == keys.responder_to_initiator);
    for (int i : {3, 4}) {
      auto payload = hex(v.at("msg_" + std::to_string(i) + "_payload"));
      auto expected = hex(v.at("msg_" + std::to_string(i) + "_ciphertext"));
      CipherState sender(i == 3 ? keys.initiator_to_responder : keys.responder_to_initiator);
      Bytes sealed(payload.size() + kTagSize);
      ASSERT_TRUE(sender.seal({}, payload, sealed));
      EXPECT_EQ(sealed, expected);
    }
  }
}

TEST(NoiseCore, WholeLibp2pHandshake) {
  auto v = load("core.txt")[0];
  v.merge(load("libp2p.txt")[0]);
  auto left = initiator(v);
  auto right = responder(v);
  Bytes messages[3];
  ASSERT_TRUE(left.write_message({}, messages[0]));
  EXPECT_TRUE(right.read_message(messages[0]).value().empty());
  ASSERT_TRUE(right.write_message(hex(v.at("resp_payload")), messages[1]));
  EXPECT_EQ(left.read_message(messages[1]).value(), hex(v.at("resp_payload")));
  ASSERT_TRUE(left.write_message(hex(v.at("init_payload")), messages[2]));
  EXPECT_EQ(right.read_message(messages[2]).value(), hex(v.at("init_payload")));
  EXPECT_EQ(hex_encode(messages[0]), v.at("message1").substr(4));
  EXPECT_EQ(hex_encode(messages[1]), v.at("message2").substr(4));
  EXPECT_EQ(hex_encode(messages[2]), v.at("message3").substr(4));
  EXPECT_EQ(hex_encode(right.remote_static()), v.at("init_static_pub"));
  EXPECT_EQ(hex_encode(left.remote_static()), v.at("resp_static_pub"));
  EXPECT_EQ(hex_encode(left.hash()), v.at("handshake_hash"));
  auto keys = right.split();
  EXPECT_EQ(hex_encode(keys.initiator_to_responder.view()), v.at("key_initiator_to_responder"));
  EXPECT_EQ(hex_encode(keys.responder_to_initiator.view()), v.at("key_responder_to_initiator"));
}

TEST(NoiseCore, ShortMessagesAreRefused) {
  auto v = load("core.txt")[0];
  for (std::size_t size = 0; size < 32; ++size)
    EXPECT_EQ(responder(v).read_message(Bytes(size)).error().code, Errc::bad_message);
  for (std::size_t size = 0; size < 96; ++size) {
    auto left = initiator(v);
    Bytes first;
    ASSERT_TRUE(left.write_message({}, first));
    EXPECT_EQ(left.read_message(ByteView(hex(v.at("msg_1_ciphertext"))).first(size)).error().code, Errc::bad_message);
  }
}

TEST(NoiseCore, TheLastNonceIsNeverUsed) {
  constexpr auto kMax = std::numeric_limits<std::uint64_t>::max();
  const crypto::AeadKey key;
  CipherState sender(key, kMax - 1);
  CipherState receiver(key, kMax - 1);
  Bytes sealed(kTagSize);
  ASSERT_TRUE(sender.seal({}, {}, sealed));
  // A forgery does not move the counter.
  EXPECT_EQ(receiver.open({}, Bytes(kTagSize), {}).error().code, Errc::forged);
  EXPECT_TRUE(receiver.open({}, sealed, {}));
  EXPECT_EQ(sender.seal({}, {}, sealed).error().code, Errc::nonces_spent);
  EXPECT_EQ(receiver.open({}, sealed, {}).error().code, Errc::nonces_spent);
}

TEST(NoiseCore, NonceIsLittleEndian) {
  // RFC 8439's cipher, told the nonce that section 12 makes of 0x0123456789abcdef.
  SecretBytes<32> key;
  key.mutable_view()[0] = std::byte{1};
  crypto::AeadNonce nonce{};
  std::ranges::copy(hex("00000000efcdab8967452301"), nonce.begin());
  Bytes expected(kTagSize + 3);
  crypto::ChaCha20Poly1305(key).seal(nonce, {}, bytes_of("abc"), expected);
  Bytes sealed(expected.size());
  ASSERT_TRUE(CipherState(key, 0x0123456789abcdef).seal({}, bytes_of("abc"), sealed));
  EXPECT_EQ(sealed, expected);
}

}  // namespace
}  // namespace nmp::libp2p::noise
