#include "libp2p/noise/session.hpp"

#include <fstream>
#include <map>

#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "libp2p/noise/limits.hpp"
#include "libp2p/noise/testing.hpp"
#include "libp2p/peer/testing.hpp"

namespace nmp::libp2p::noise {
namespace {

Bytes hex(std::string_view text) { return hex_decode(text).value(); }

KeyPair identity(int byte) {
  SecretBytes<32> seed;
  std::ranges::fill(seed.mutable_view(), static_cast<std::byte>(byte));
  return KeyPair::from_seed(std::move(seed));
}
PeerId id(int byte) { return PeerId::of(identity(byte).public_key()); }

Session dialer(Options options = {}, std::uint64_t seed = 1) {
  SeededRandom random(seed);
  return Session::dial(identity(1), random, std::move(options)).value();
}
Session listener(Options options = {}, std::uint64_t seed = 2) {
  SeededRandom random(seed);
  return Session::accept(identity(2), random, std::move(options)).value();
}

/// Feeds all of `bytes`; the error, if there is one.
std::error_code refusal(Session& to, ByteView bytes) {
  auto fed = to.on_bytes(bytes);
  EXPECT_EQ(fed.value_or(bytes.size()), bytes.size());
  return fed ? std::error_code() : fed.error().code;
}

Bytes read_all(Session& session) {
  auto out = to_bytes(session.unread());
  session.consume(out.size());
  return out;
}

/// The three messages of a good handshake between `left` and `right`.
struct Messages {
  Bytes first, second, third;
};
Messages shake(Session& left, Session& right) {
  Messages out;
  out.first = left.take_output();
  EXPECT_EQ(refusal(right, out.first), std::error_code());
  EXPECT_FALSE(right.established());
  out.second = right.take_output();
  EXPECT_EQ(refusal(left, out.second), std::error_code());
  EXPECT_TRUE(left.established());
  out.third = left.take_output();
  EXPECT_EQ(refusal(right, out.third), std::error_code());
  EXPECT_TRUE(right.established());
  EXPECT_TRUE(right.take_output().empty());
  return out;
}

std::map<std::string, std::string> load(const std::string& file_name) {
  std::ifstream file(NMP_SOURCE_DIR "/src/libp2p/noise/testdata/" + file_name);
  std::map<std::string, std::string> out;
  for (std::string line; std::getline(file, line);) {
    auto at = line.find(" = ");
    if (!line.starts_with('#') && at != std::string::npos) out[line.substr(0, at)] = line.substr(at + 3);
  }
  return out;
}

TEST(NoiseSession, WholeHandshakeByteByByte) {
  auto v = load("libp2p.txt");
  auto keys = load("core.txt");
  ScriptedRandom left_random(hex(keys.at("init_static") + keys.at("gen_init_ephemeral")));
  ScriptedRandom right_random(hex(keys.at("resp_static") + keys.at("gen_resp_ephemeral")));
  auto left = Session::dial(identity(1), left_random, {.expected = id(2), .muxers = {"/yamux/1.0.0"}}).value();
  auto right = Session::accept(identity(2), right_random, {.expected = {}, .muxers = {"/yamux/1.0.0"}}).value();
  auto messages = shake(left, right);
  EXPECT_EQ(hex_encode(messages.first), v.at("message1"));
  EXPECT_EQ(hex_encode(messages.second), v.at("message2"));
  EXPECT_EQ(hex_encode(messages.third), v.at("message3"));
  EXPECT_EQ(left.peer(), id(2));
  EXPECT_EQ(right.peer(), id(1));
  EXPECT_EQ(left.muxer(), "/yamux/1.0.0");
  EXPECT_EQ(right.muxer(), "/yamux/1.0.0");
  EXPECT_EQ(left.write(hex(v.at("first_i2r_plaintext"))).value(), 20U);
  EXPECT_EQ(hex_encode(left.take_output()), v.at("first_i2r_frame"));
}

TEST(NoiseSession, SignatureMadeByGo) {
  auto v = load("libp2p.txt");
  crypto::X25519PublicKey static_key{};
  std::ranges::copy(hex(v.at("static_key")), static_key.begin());
  HandshakePayload payload{
      .identity_key = hex("080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"),
      .identity_sig = hex(v.at("identity_sig")),
      .stream_muxers = {}};
  EXPECT_EQ(PeerId::of(verify_identity(payload, static_key).value()).to_text(),
            "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq");
  static_key[0] ^= std::byte{1};
  EXPECT_EQ(verify_identity(payload, static_key).error().code, Errc::bad_identity);
}

/// What a host with `key` says of itself under `static_key`.
Bytes payload_by(const HostKey& key, const crypto::X25519PublicKey& static_key) {
  return HandshakePayload{
      .identity_key = key.protobuf(), .identity_sig = key.sign(static_key_message(static_key)), .stream_muxers = {}}
      .encode();
}

TEST(NoiseSession, HostKeysOfAllTypes) {
  for (auto type : {KeyType::rsa, KeyType::ed25519, KeyType::secp256k1, KeyType::ecdsa}) {
    SCOPED_TRACE(static_cast<int>(type));
    HostKey host(type);
    SeededRandom random(7);
    for (bool expected : {true, false}) {
      RawPeer responder(Role::responder, random);
      auto left = dialer({.expected = expected ? host.id() : id(4), .muxers = {}});
      ASSERT_TRUE(responder.read(left.take_output()));
      auto code = refusal(left, responder.write(payload_by(host, responder.static_key())));
      EXPECT_EQ(left.established(), expected);
      if (!expected) {
        EXPECT_EQ(code, Errc::wrong_peer);
        EXPECT_TRUE(left.take_output().empty());
        continue;
      }
      EXPECT_EQ(left.peer(), host.id());
      EXPECT_TRUE(responder.read(left.take_output()));

      RawPeer initiator(Role::initiator, random);
      auto right = listener();
      ASSERT_EQ(refusal(right, initiator.write({})), std::error_code());
      ASSERT_TRUE(initiator.read(right.take_output()));
      EXPECT_EQ(refusal(right, initiator.write(payload_by(host, initiator.static_key()))), std::error_code());
      EXPECT_EQ(right.peer(), host.id());
    }
    // A signature of the right key for another static key.
    RawPeer responder(Role::responder, random);
    auto left = dialer();
    ASSERT_TRUE(responder.read(left.take_output()));
    EXPECT_EQ(refusal(left, responder.write(payload_by(host, {}))), Errc::bad_identity);
  }
}

TEST(NoiseSession, WrongPeerIsRefusedOnEitherSide) {
  auto left = dialer({.expected = id(9), .muxers = {}});
  auto right = listener();
  EXPECT_EQ(refusal(right, left.take_output()), std::error_code());
  EXPECT_EQ(refusal(left, right.take_output()), Errc::wrong_peer);
  EXPECT_FALSE(left.established());
  EXPECT_TRUE(left.take_output().empty());
  // For good.
  EXPECT_EQ(refusal(left, bytes_of("x")), Errc::wrong_peer);
  EXPECT_EQ(left.write(bytes_of("x")).error().code, Errc::wrong_peer);
  EXPECT_EQ(left.on_end().error().code, Errc::wrong_peer);

  auto other = dialer({.expected = id(2), .muxers = {}});
  auto picky = listener({.expected = id(9), .muxers = {}});
  EXPECT_EQ(refusal(picky, other.take_output()), std::error_code());
  EXPECT_EQ(refusal(other, picky.take_output()), std::error_code());
  EXPECT_EQ(refusal(picky, other.take_output()), Errc::wrong_peer);
  EXPECT_FALSE(picky.established());
}

TEST(NoiseSession, EveryChangedByteOfAHandshakeIsRefused) {
  Options options{.expected = {}, .muxers = {"/yamux/1.0.0"}};
  Messages sizes;
  {
    auto left = dialer(options);
    auto right = listener(options);
    sizes = shake(left, right);
  }
  // The one to whom it goes must not be content; of message 1, whose key is in clear, the one who wrote it.
  auto try_change = [&](int message, std::size_t at, std::byte bits) {
    auto left = dialer(options);
    auto right = listener(options);
    auto change = [&](int number, Bytes bytes) {
      if (number == message) bytes[at] ^= bits;
      return bytes;
    };
    auto code = refusal(right, change(1, left.take_output()));
    auto second = change(2, right.take_output());
    if (!code && !second.empty()) code = refusal(left, second);
    auto third = change(3, left.take_output());
    if (!code && !third.empty()) code = refusal(right, third);
    EXPECT_FALSE(right.established()) << message << " " << at;
    EXPECT_TRUE(message == 3 || !left.established()) << message << " " << at;
    // No error only where the length has grown, and the rest is still awaited.
    if (!code) {
      EXPECT_LT(at, 2U);
      EXPECT_EQ((message == 2 ? left : right).on_end().error().code, Errc::truncated);
    } else if (at >= 2) {
      EXPECT_EQ(code, Errc::forged);
    }
  };
  std::size_t length[] = {sizes.first.size(), sizes.second.size(), sizes.third.size()};
  for (int message = 1; message <= 3; ++message)
    for (std::size_t at = 0; at < length[message - 1]; ++at)
      for (auto bits : {std::byte{0x01}, std::byte{0x80}}) try_change(message, at, bits);
}

TEST(NoiseSession, CutAtEveryByte) {
  Options options{.expected = {}, .muxers = {"/yamux/1.0.0"}};
  Bytes to_right;
  Bytes to_left;
  std::size_t handshake_bytes = 0;
  {
    auto left = dialer(options);
    auto right = listener(options);
    auto messages = shake(left, right);
    to_right = concat({messages.first, messages.third});
    handshake_bytes = to_right.size();
    ASSERT_TRUE(left.write(bytes_of("there")));
    append(to_right, left.take_output());
    to_left = messages.second;
    ASSERT_TRUE(right.write(bytes_of("back")));
    append(to_left, right.take_output());
  }
  for (std::size_t cut = 0; cut <= to_right.size(); ++cut) {
    auto right = listener(options);
    ASSERT_EQ(refusal(right, ByteView(to_right).first(cut)), std::error_code());
    EXPECT_EQ(right.established(), cut >= handshake_bytes);
    EXPECT_EQ(right.on_end().has_value(), cut == handshake_bytes || cut == to_right.size()) << cut;
    ASSERT_EQ(refusal(right, ByteView(to_right).subspan(cut)), std::error_code());
    EXPECT_EQ(text_of(read_all(right)), "there");
  }
  for (std::size_t cut = 0; cut <= to_left.size(); ++cut) {
    auto left = dialer(options);
    ASSERT_EQ(refusal(left, ByteView(to_left).first(cut)), std::error_code());
    ASSERT_EQ(refusal(left, ByteView(to_left).subspan(cut)), std::error_code());
    EXPECT_EQ(text_of(read_all(left)), "back");
  }
  auto left = dialer(options);
  auto right = listener(options);
  for (auto byte : to_right) ASSERT_EQ(refusal(right, ByteView(&byte, 1)), std::error_code());
  for (auto byte : to_left) ASSERT_EQ(refusal(left, ByteView(&byte, 1)), std::error_code());
  EXPECT_EQ(text_of(read_all(right)), "there");
  EXPECT_EQ(text_of(read_all(left)), "back");
}

TEST(NoiseSession, FirstMessageIsAKeyAndNothingElse) {
  SeededRandom random(3);
  for (std::size_t size : {1UZ, 2UZ, 64UZ}) {
    RawPeer initiator(Role::initiator, random);
    auto right = listener();
    auto message = initiator.write(Bytes(size));
    // Known by its length: the rest need not arrive.
    EXPECT_EQ(refusal(right, ByteView(message).first(2)), Errc::bad_message);
  }
  for (const auto* size : {"0000", "001f", "0021", "ffff"}) {
    auto right = listener();
    EXPECT_EQ(refusal(right, hex(size)), Errc::bad_message);
  }
}

TEST(NoiseSession, HandshakeMessagesHaveBounds) {
  SeededRandom random(4);
  for (std::uint16_t size : {std::uint16_t{95}, std::uint16_t{kHandshakeMessageBytesMax + 1}, std::uint16_t{0xffff}}) {
    auto left = dialer();
    EXPECT_EQ(refusal(left, Writer().u16be(size).take()), Errc::bad_message);
  }
  // Exactly as much as is allowed, in a field that nobody knows.
  for (std::size_t more : {0UZ, 1UZ}) {
    RawPeer responder(Role::responder, random);
    auto left = dialer();
    ASSERT_TRUE(responder.read(left.take_output()));
    auto payload = payload_of(identity(2), responder.static_key()).encode();
    auto room = kHandshakeMessageBytesMax - responder.state().next_overhead() - payload.size();
    append(payload, ProtobufWriter().bytes(100, Bytes(room - 4 + more)).view());
    auto message = responder.write(payload);
    EXPECT_EQ(message.size(), 2 + kHandshakeMessageBytesMax + more);
    EXPECT_EQ(refusal(left, message), more == 0 ? std::error_code() : make_error_code(Errc::bad_message));
  }
}

TEST(NoiseSession, PayloadsThatProveNothingAreRefused) {
  SeededRandom random(5);
  auto code_for = [&](auto change) {
    RawPeer initiator(Role::initiator, random);
    auto right = listener();
    EXPECT_EQ(refusal(right, initiator.write({})), std::error_code());
    EXPECT_TRUE(initiator.read(right.take_output()));
    auto payload = payload_of(identity(3), initiator.static_key());
    change(payload, initiator.static_key());
    auto code = refusal(right, initiator.write(payload.encode()));
    EXPECT_EQ(right.established(), !code);
    return code;
  };
  using Key = crypto::X25519PublicKey;
  EXPECT_EQ(code_for([](HandshakePayload&, const Key&) {}), std::error_code());
  EXPECT_EQ(code_for([](HandshakePayload& p, const Key&) { p.identity_sig.clear(); }), Errc::bad_payload);
  EXPECT_EQ(code_for([](HandshakePayload& p, const Key&) { p.identity_key.clear(); }), Errc::bad_payload);
  EXPECT_EQ(code_for([](HandshakePayload& p, const Key&) { p.identity_sig[5] ^= std::byte{1}; }), Errc::bad_identity);
  EXPECT_EQ(code_for([](HandshakePayload& p, const Key&) { p.identity_sig.pop_back(); }), Errc::bad_identity);
  EXPECT_EQ(code_for([](HandshakePayload& p, const Key&) { p.identity_key = identity(4).public_key().bytes(); }),
            Errc::bad_identity);
  // Without the prefix, which keeps signatures for other purposes out.
  EXPECT_EQ(
      code_for([](HandshakePayload& p, const Key& key) { p.identity_sig = to_bytes(ByteView(identity(3).sign(key))); }),
      Errc::bad_identity);
  // A longer form of the same key.
  EXPECT_EQ(code_for([](HandshakePayload& p, const Key&) { append(p.identity_key, hex("1800")); }), Errc::bad_identity);
  // A host key of small order, under which anybody can sign.
  EXPECT_EQ(code_for([](HandshakePayload& p, const Key&) {
              p.identity_key = concat({hex("080112200100"), Bytes(30)});
              p.identity_sig = concat({hex("01"), Bytes(63)});
            }),
            Errc::bad_identity);
  EXPECT_EQ(code_for([](HandshakePayload& p, const Key&) { p.stream_muxers.assign(kMuxersMax + 1, "/a"); }),
            Errc::bad_payload);
}

TEST(NoiseSession, MuxersAreNegotiatedEarly) {
  struct Case {
    std::vector<std::string> left, right;
    std::optional<std::string> chosen;
  };
  for (const auto& one : {
           Case{{"/a", "/b"}, {"/b", "/a"}, "/a"},
           Case{{"/x", "/b"}, {"/a", "/b"}, "/b"},
           Case{{"/a"}, {}, std::nullopt},
           Case{{}, {"/a"}, std::nullopt},
       }) {
    auto left = dialer({.expected = {}, .muxers = one.left});
    auto right = listener({.expected = {}, .muxers = one.right});
    (void)shake(left, right);
    EXPECT_EQ(left.muxer(), one.chosen);
    EXPECT_EQ(right.muxer(), one.chosen);
  }
  auto left = dialer({.expected = {}, .muxers = {"/a"}});
  auto right = listener({.expected = {}, .muxers = {"/b"}});
  EXPECT_EQ(refusal(right, left.take_output()), std::error_code());
  EXPECT_EQ(refusal(left, right.take_output()), Errc::no_common_muxer);
  EXPECT_TRUE(left.take_output().empty());

  SeededRandom random(1);
  EXPECT_EQ(
      Session::dial(identity(1), random, {.expected = {}, .muxers = std::vector<std::string>(33, "/a")}).error().code,
      Errc::bad_payload);
}

/// Points under which every private key gives zero.
const std::string_view kSmallOrder[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

TEST(NoiseSession, KeysOfSmallOrderAreRefused) {
  for (auto text : kSmallOrder) {
    auto point = hex(text);
    auto right = listener();
    EXPECT_EQ(refusal(right, Writer().u16be(32).bytes(point).take()), Errc::weak_key);
    EXPECT_TRUE(right.take_output().empty());
    auto left = dialer();
    EXPECT_EQ(refusal(left, Writer().u16be(96).bytes(point).bytes(Bytes(64)).take()), Errc::weak_key);

    // As a static key in message 3: whoever sends it knows the result, but for the refusal.
    auto ephemeral = crypto::X25519KeyPair::from_secret(SecretBytes<32>());
    SymmetricState state({});
    state.mix_hash(ephemeral.public_key());
    state.mix_hash({});
    right = listener();
    ASSERT_EQ(refusal(right, Writer().u16be(32).bytes(ephemeral.public_key()).take()), std::error_code());
    auto second = right.take_output();
    Reader reader(ByteView(second).subspan(2));
    auto remote_ephemeral = reader.take(32).value();
    state.mix_hash(remote_ephemeral);
    state.mix_key(crypto::x25519(ephemeral, remote_ephemeral).value());
    auto remote_static = state.decrypt_and_hash(reader.take(48).value()).value();
    state.mix_key(crypto::x25519(ephemeral, remote_static).value());
    ASSERT_TRUE(state.decrypt_and_hash(reader.rest()));
    Bytes third;
    ASSERT_TRUE(state.encrypt_and_hash(point, third));
    state.mix_key(SecretBytes<32>());
    ASSERT_TRUE(state.encrypt_and_hash(bytes_of("payload"), third));
    EXPECT_EQ(refusal(right, Writer().u16be(static_cast<std::uint16_t>(third.size())).bytes(third).take()),
              Errc::weak_key);
  }
}

TEST(NoiseSession, DataWaitsForTheHandshake) {
  auto left = dialer();
  auto right = listener();
  EXPECT_EQ(left.write(bytes_of("early")).error().code, Errc::not_established);
  EXPECT_EQ(right.write(bytes_of("early")).error().code, Errc::not_established);
  EXPECT_TRUE(left.unread().empty());
  // Not fatal. The dialler's data may travel with its last message, and the listener finds it behind that.
  EXPECT_EQ(refusal(right, left.take_output()), std::error_code());
  EXPECT_EQ(refusal(left, right.take_output()), std::error_code());
  EXPECT_EQ(left.write(bytes_of("data")).value(), 4U);
  EXPECT_EQ(refusal(right, left.take_output()), std::error_code());
  ByteArray<10> out{};
  EXPECT_EQ(right.read(out), 4U);
  EXPECT_EQ(text_of(ByteView(out).first(4)), "data");
}

TEST(NoiseSession, AForgedFrameEndsIt) {
  auto left = dialer();
  auto right = listener();
  (void)shake(left, right);
  ASSERT_TRUE(left.write(bytes_of("good")));
  auto good = left.take_output();
  ASSERT_TRUE(right.write(bytes_of("unsent")));
  EXPECT_EQ(refusal(right, concat({good, good})), Errc::forged);
  EXPECT_EQ(text_of(read_all(right)), "good");
  EXPECT_TRUE(right.take_output().empty());
  EXPECT_EQ(right.write(bytes_of("x")).error().code, Errc::forged);
  EXPECT_EQ(right.on_end().error().code, Errc::forged);
}

TEST(NoiseSession, PrivateKeysAreErasedOnceTheyAreUsed) {
  auto secrets =
      hex("a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
          "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf");
  auto holds = [&](const Session& session, std::size_t at) {
    auto memory = std::as_bytes(std::span(&session, 1));
    return !std::ranges::search(memory, ByteView(secrets).subspan(at, 32)).empty();
  };
  ScriptedRandom left_random(secrets);
  auto left = Session::dial(identity(1), left_random, {}).value();
  ScriptedRandom right_random(secrets);
  auto right = Session::accept(identity(2), right_random, {}).value();
  EXPECT_TRUE(holds(left, 0) && holds(left, 32) && holds(right, 0) && holds(right, 32));
  ASSERT_EQ(refusal(right, left.take_output()), std::error_code());
  EXPECT_FALSE(holds(right, 0));
  EXPECT_TRUE(holds(right, 32));
  ASSERT_EQ(refusal(left, right.take_output()), std::error_code());
  EXPECT_FALSE(holds(left, 0) || holds(left, 32));
  ASSERT_EQ(refusal(right, left.take_output()), std::error_code());
  EXPECT_FALSE(holds(right, 0) || holds(right, 32));

  // And after a failure.
  ScriptedRandom random(secrets);
  auto failed = Session::accept(identity(2), random, {}).value();
  EXPECT_EQ(refusal(failed, hex("0000")), Errc::bad_message);
  EXPECT_FALSE(holds(failed, 0) || holds(failed, 32));
}

TEST(NoiseSession, KeysAreFreshForEachConnection) {
  SeededRandom random(11);
  auto first = Session::dial(identity(1), random, {}).value().take_output();
  auto second = Session::dial(identity(1), random, {}).value().take_output();
  EXPECT_NE(first, second);
}

TEST(NoiseSession, AMegabyteEachWayInRandomFragments) {
  auto left = dialer();
  auto right = listener();
  SeededRandom random(12);
  struct Way {
    Session& from;
    Session& to;
    Bytes plaintext;
    std::size_t written = 0;
    Bytes wire;
    std::size_t wire_at = 0;
    Bytes got;
  };
  Way ways[] = {{left, right, Bytes(1U << 20), 0, {}, 0, {}}, {right, left, Bytes(1U << 20), 0, {}, 0, {}}};
  for (auto& way : ways) random.fill(way.plaintext);
  while (ways[0].got.size() < (1U << 20) || ways[1].got.size() < (1U << 20)) {
    for (auto& way : ways) {
      if (way.from.established()) {
        auto rest = ByteView(way.plaintext).subspan(way.written);
        way.written += way.from.write(rest.first(std::min<std::size_t>(rest.size(), random.below(90'000)))).value();
      }
      append(way.wire, way.from.take_output());
      auto rest = ByteView(way.wire).subspan(way.wire_at);
      std::uint64_t most = random.below(2) == 0 ? 40 : 90'000;
      way.wire_at += way.to.on_bytes(rest.first(std::min<std::size_t>(rest.size(), random.below(most)))).value();
      Bytes out(random.below(80'000));
      out.resize(way.to.read(out));
      append(way.got, out);
    }
  }
  for (auto& way : ways) EXPECT_EQ(way.got, way.plaintext);
}

}  // namespace
}  // namespace nmp::libp2p::noise
