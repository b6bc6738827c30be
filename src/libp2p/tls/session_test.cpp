#include "libp2p/tls/session.hpp"

#include <gtest/gtest.h>

#include "libp2p/tls/testing.hpp"

namespace nmp::libp2p::tls {
namespace {

const std::vector<std::string> kYamux = {"/yamux/1.0.0"};
const FixedClock kClock;

/// Made once: a context costs a key.
Host& host(int byte) {
  static Host hosts[] = {Host(11, kClock), Host(12, kClock), Host(13, kClock)};
  return hosts[byte - 1];
}

Session dialer(Options options = {}) { return Session::dial(*host(1).context, std::move(options)).value(); }
Session listener(Options options = {}) { return Session::accept(*host(2).context, std::move(options)).value(); }

/// Feeds all of `bytes`; the error, if there is one.
std::error_code refusal(Session& to, ByteView bytes) {
  auto fed = to.on_bytes(bytes);
  EXPECT_EQ(fed.value_or(bytes.size()), bytes.size());
  return fed ? std::error_code() : fed.error().code;
}

struct Outcome {
  std::error_code left, right;
};
/// Carries bytes both ways, `step` at a time, until both are silent.
Outcome shake(Session& left, Session& right, std::size_t step = SIZE_MAX) {
  Outcome out;
  for (bool spoke = true; spoke;) {
    spoke = false;
    auto carry = [&](Session& from, Session& to, std::error_code& code) {
      const auto bytes = from.take_output();
      for (ByteView rest = bytes; !rest.empty();) {
        const auto piece = rest.first(std::min(step, rest.size()));
        rest = rest.subspan(piece.size());
        if (!code) code = refusal(to, piece);
        spoke = true;
      }
    };
    carry(left, right, out.right);
    carry(right, left, out.left);
  }
  return out;
}

/// The same with a RawPeer; the error of ours.
std::error_code shake(Session& ours, RawPeer& raw) {
  for (std::error_code code;;) {
    const auto output = ours.take_output();
    raw.feed(output);
    const auto answer = raw.take_output();
    if (code || (output.empty() && answer.empty())) return code;
    if (!answer.empty()) code = refusal(ours, answer);
  }
}

std::string read_all(Session& session) {
  auto out = string_of(session.unread());
  session.consume(out.size());
  return out;
}

TEST(TlsSession, TwoEndsHoweverTheBytesAreCut) {
  for (std::size_t step : {SIZE_MAX, std::size_t{1}, std::size_t{7}}) {
    auto left = dialer({.expected = host(2).id, .muxers = kYamux});
    auto right = listener({.expected = {}, .muxers = kYamux});
    EXPECT_EQ(left.write(bytes_of("x")).error().code, Errc::not_established);
    auto codes = shake(left, right, step);
    EXPECT_FALSE(codes.left || codes.right);
    ASSERT_TRUE(left.established() && right.established());
    EXPECT_EQ(left.peer(), host(2).id);
    EXPECT_EQ(right.peer(), host(1).id);
    EXPECT_EQ(left.muxer(), kYamux[0]);
    EXPECT_EQ(right.muxer(), kYamux[0]);
    EXPECT_EQ(left.write(bytes_of("hello")).value(), 5U);
    EXPECT_EQ(right.write(bytes_of("world")).value(), 5U);
    codes = shake(left, right, step);
    EXPECT_EQ(read_all(right), "hello");
    EXPECT_EQ(read_all(left), "world");
    EXPECT_EQ(left.on_end().error().code, Errc::truncated);
    right.finish();
    EXPECT_EQ(right.write(bytes_of("x")).error().code, Errc::record);
    // What follows the goodbye is dropped: RFC 8446 section 6.1.
    EXPECT_EQ(refusal(left, concat({right.take_output(), bytes_of("rubbish")})), std::error_code());
    EXPECT_TRUE(left.ended() && left.on_end());
    EXPECT_TRUE(left.write(bytes_of("the other direction")));
    EXPECT_EQ(refusal(right, left.take_output()), std::error_code());
    EXPECT_EQ(read_all(right), "the other direction");
  }
}

TEST(TlsSession, TheListenerTakesTheFirstOfTheDiallersMuxersThatItKnows) {
  struct Case {
    std::vector<std::string> dialler, listener;
    std::optional<std::string> muxer;
  };
  for (const auto& [mine, theirs, muxer] : {
           Case{{"/a", "/b"}, {"/b", "/a"}, "/a"},
           Case{{"/c", "/b"}, {"/a", "/b"}, "/b"},
           Case{{"/a"}, {}, std::nullopt},
           Case{{}, {"/a"}, std::nullopt},
           Case{{"/a"}, {"/b"}, std::nullopt},
       }) {
    auto left = dialer({.expected = {}, .muxers = mine});
    auto right = listener({.expected = {}, .muxers = theirs});
    shake(left, right);
    ASSERT_TRUE(left.established() && right.established());
    EXPECT_EQ(left.muxer(), muxer);
    EXPECT_EQ(right.muxer(), muxer);
  }
  std::vector<std::string> many(kMuxersMax + 1, "/a");
  EXPECT_EQ(Session::dial(*host(1).context, {.expected = {}, .muxers = many}).error().code, Errc::setup);
  std::vector<std::string> lengthy = {std::string(kMuxerBytesMax + 1, 'a')};
  EXPECT_EQ(Session::accept(*host(1).context, {.expected = {}, .muxers = lengthy}).error().code, Errc::setup);
  many.assign(kMuxersMax, std::string(kMuxerBytesMax, 'a'));
  EXPECT_TRUE(Session::dial(*host(1).context, {.expected = {}, .muxers = many}));
}

TEST(TlsSession, WrongPeersAndOurselvesAreRefused) {
  auto left = dialer({.expected = host(3).id, .muxers = {}});
  auto right = listener();
  auto codes = shake(left, right);
  EXPECT_EQ(codes.left, Errc::wrong_peer);
  EXPECT_EQ(codes.right, Errc::handshake);  // our alert
  EXPECT_FALSE(left.established() || right.established());
  EXPECT_EQ(refusal(left, bytes_of("x")), Errc::wrong_peer);
  EXPECT_EQ(left.write(bytes_of("x")).error().code, Errc::wrong_peer);
  EXPECT_EQ(left.on_end().error().code, Errc::wrong_peer);
  EXPECT_TRUE(left.take_output().empty());

  // A dialler whose listener refuses it believes to be connected until it reads.
  auto other = dialer({.expected = host(2).id, .muxers = {}});
  auto picky = listener({.expected = host(3).id, .muxers = {}});
  codes = shake(other, picky);
  EXPECT_EQ(codes.right, Errc::wrong_peer);
  EXPECT_EQ(codes.left, Errc::record);
  EXPECT_TRUE(other.established());
  EXPECT_FALSE(picky.established());

  auto self = Session::accept(*host(1).context, {}).value();
  auto lonely = dialer();
  EXPECT_EQ(shake(lonely, self).left, Errc::self_dial);
}

/// The other end is OpenSSL with a certificate of `forge`.
RawPeer::Settings settings_of(const Forge& forge) {
  RawPeer::Settings settings;
  settings.chain = {forge.make()};
  settings.key = forge.key().get();
  return settings;
}
Session ours(bool inbound, Options options = {}) {
  return inbound ? listener(std::move(options)) : dialer(std::move(options));
}

TEST(TlsSession, AnotherLibraryInEitherRole) {
  Forge forge;
  for (bool inbound : {false, true}) {
    for (const auto* cipher : {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}) {
      for (const auto* group : {"X25519", "P-256", "P-384"}) {
        SCOPED_TRACE(std::string(inbound ? "we listen " : "we dial ") + cipher + " " + group);
        auto settings = settings_of(forge);
        settings.protocols = {"/yamux/1.0.0", "libp2p"};
        settings.ciphers = cipher;
        settings.groups = group;
        settings.server_name = "l";  // as rust says; it is ignored
        RawPeer raw(!inbound, std::move(settings));
        auto end = ours(inbound, {.expected = {}, .muxers = kYamux});
        EXPECT_EQ(shake(end, raw), std::error_code());
        ASSERT_TRUE(end.established() && raw.established());
        EXPECT_EQ(end.muxer(), kYamux[0]);
        EXPECT_EQ(raw.protocol(), kYamux[0]);
        EXPECT_TRUE(end.write(bytes_of("hello")));
        raw.write(bytes_of("world"));
        EXPECT_EQ(shake(end, raw), std::error_code());
        EXPECT_EQ(raw.received, "hello");
        EXPECT_EQ(read_all(end), "world");
        raw.finish();
        end.finish();
        EXPECT_EQ(shake(end, raw), std::error_code());
        EXPECT_TRUE(end.ended() && raw.ended);
      }
    }
  }
}

TEST(TlsSession, HostKeysOfAllTypes) {
  for (auto type : {KeyType::rsa, KeyType::ed25519, KeyType::secp256k1, KeyType::ecdsa}) {
    SCOPED_TRACE(static_cast<int>(type));
    HostKey key(type);
    Forge forge;
    forge.sign_host(key);
    for (bool inbound : {false, true}) {
      for (bool expected : {true, false}) {
        RawPeer raw(!inbound, settings_of(forge));
        auto end = ours(inbound, {.expected = expected ? key.id() : host(3).id, .muxers = {}});
        const auto code = shake(end, raw);
        EXPECT_EQ(end.established(), expected);
        if (expected) {
          EXPECT_EQ(end.peer(), key.id());
        } else {
          EXPECT_EQ(code, Errc::wrong_peer);
        }
      }
    }
    // A signature of that key for another certificate.
    Forge other;
    other.extensions = forge.extensions;
    RawPeer raw(/*inbound=*/true, settings_of(other));
    auto end = dialer();
    EXPECT_EQ(shake(end, raw), Errc::certificate);
  }
}

TEST(TlsSession, CertificateKeysOfOtherTypes) {
  std::vector<Forge> forges;
  forges.emplace_back(crypto::EvpKey(EVP_RSA_gen(2048)), hex_decode("300d06092a864886f70d01010b0500").value());
  forges.emplace_back(crypto::EvpKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")),
                      hex_decode("300506032b6570").value());
  for (const auto& forge : forges) {
    for (bool inbound : {false, true}) {
      RawPeer raw(!inbound, settings_of(forge));
      auto end = ours(inbound);
      EXPECT_EQ(shake(end, raw), std::error_code());
      EXPECT_TRUE(end.established() && raw.established());
    }
  }
}

TEST(TlsSession, BadCertificatesAreRefused) {
  Forge good;
  auto check = [](const char* what, auto change) {
    for (bool inbound : {false, true}) {
      SCOPED_TRACE(std::string(what) + (inbound ? ", we listen" : ", we dial"));
      Forge forge;
      auto settings = settings_of(forge);
      change(forge, settings);
      RawPeer raw(!inbound, std::move(settings));
      auto end = ours(inbound);
      EXPECT_EQ(shake(end, raw), Errc::certificate);
      EXPECT_FALSE(end.established());
      EXPECT_FALSE(end.write(bytes_of("x")));
    }
  };
  using Settings = RawPeer::Settings;
  check("two of them", [&](Forge& forge, Settings& to) { to.chain = {forge.make(), good.make()}; });
  check("twice the same", [&](Forge& forge, Settings& to) { to.chain = {forge.make(), forge.make()}; });
  check("no extension", [](Forge& forge, Settings& to) {
    forge.extensions.clear();
    to.chain = {forge.make()};
  });
  check("another prefix", [](Forge& forge, Settings& to) {
    forge.sign_host("libp2p-tls-handshake");
    to.chain = {forge.make()};
  });
  check("expired", [](Forge& forge, Settings& to) {
    forge.not_after = der::element(der::kUtcTime, {bytes_of("210101000000Z")});
    to.chain = {forge.make()};
  });
  check("not yet valid", [](Forge& forge, Settings& to) {
    forge.not_before = der::element(der::kGeneralizedTime, {bytes_of("20900101000000Z")});
    to.chain = {forge.make()};
  });
  // The peer proves to hold the key; it is too dear to check.
  check("RSA of 1024 bits", [](Forge& forge, Settings& to) {
    static const Forge small(crypto::EvpKey(EVP_RSA_gen(1024)), hex_decode("300d06092a864886f70d01010b0500").value());
    (void)forge;
    to = settings_of(small);
  });
  check("RSA with a long exponent", [](Forge& forge, Settings& to) {
    static const Forge long_one(rsa_with_exponent_of(1500), hex_decode("300d06092a864886f70d01010b0500").value());
    (void)forge;
    to = settings_of(long_one);
  });
}

TEST(TlsSession, ADiallerWithoutACertificateIsRefused) {
  RawPeer raw(/*inbound=*/false, {});
  auto end = listener();
  EXPECT_EQ(shake(end, raw), Errc::certificate);
  EXPECT_FALSE(end.established());
}

TEST(TlsSession, OlderVersionsAndOtherProtocolsAreRefused) {
  Forge forge;
  for (bool inbound : {false, true}) {
    for (int version : {TLS1_2_VERSION, TLS1_1_VERSION, TLS1_VERSION}) {
      auto settings = settings_of(forge);
      settings.version = version;
      RawPeer raw(!inbound, std::move(settings));
      auto end = ours(inbound);
      const auto code = shake(end, raw);
      EXPECT_FALSE(end.established() || raw.established());
      // A listener that only has older ones answers with an alert, or not at all.
      EXPECT_TRUE(code == Errc::handshake || (!inbound && !code)) << code.message();
    }
    for (const auto& protocols : {std::vector<std::string>{"h2", "http/1.1"}, std::vector<std::string>{}}) {
      auto settings = settings_of(forge);
      settings.protocols = protocols;
      RawPeer raw(!inbound, std::move(settings));
      auto end = ours(inbound);
      EXPECT_EQ(shake(end, raw), Errc::handshake);
      EXPECT_FALSE(end.established());
    }
  }
}

/// Whether `at` is in the type or version of a record of `bytes`. Once records are sealed neither says anything; GnuTLS
/// seals the ones that it expects.
bool is_header(ByteView bytes, std::size_t at) {
  std::size_t begin = 0;
  for (Reader reader(bytes); !reader.empty(); begin = bytes.size() - reader.size()) {
    if (at >= begin && at < begin + 3) return true;
    EXPECT_TRUE(reader.take(3));
    EXPECT_TRUE(reader.take(reader.u16be().value()));
  }
  return false;
}

TEST(TlsSession, EveryChangedByteOfAHandshakeIsRefused) {
  auto changed = [](int flight, std::size_t at, std::byte bits) {
    auto left = dialer({.expected = {}, .muxers = kYamux});
    auto right = listener({.expected = {}, .muxers = kYamux});
    std::error_code code;
    for (int number = 0; number < 3; ++number) {
      auto& from = number == 1 ? right : left;
      auto& to = number == 1 ? left : right;
      auto bytes = from.take_output();
      if (number == flight) {
        if (at >= bytes.size()) return false;
        if (is_header(bytes, at)) return true;
        bytes[at] ^= bits;
      }
      if (!code) code = refusal(to, bytes);
    }
    EXPECT_FALSE(left.established() && right.established()) << flight << " " << at;
    return true;
  };
  // Flights differ a little in length from one handshake to the next, as ECDSA's signatures do.
  for (int flight = 0; flight < 3; ++flight) {
    const std::size_t stride = flight == 0 ? 3 : 11;
    for (std::size_t at = 0; changed(flight, at, std::byte{1}); at += stride) {
    }
  }
}

TEST(TlsSession, RubbishAndEndlessHandshakesAreRefused) {
  EXPECT_EQ(shake(*std::make_unique<Session>(dialer()), *std::make_unique<Session>(dialer())).left, Errc::handshake);
  auto end = listener();
  EXPECT_EQ(refusal(end, bytes_of("GET / HTTP/1.1\r\n\r\n")), Errc::handshake);
  EXPECT_EQ(refusal(end, bytes_of("x")), Errc::handshake);

  // A record that says to be longer than RFC 8446 section 5.2 allows.
  end = listener();
  EXPECT_EQ(refusal(end, hex_decode("160301ffff").value()), Errc::handshake);
  auto refused_in_time = [](Session& to, ByteView piece) {
    std::error_code code;
    std::size_t fed = 0;
    while (!code && fed < 2 * kHandshakeBytesMax) {
      code = refusal(to, piece);
      fed += piece.size();
    }
    EXPECT_EQ(code, Errc::handshake);
    EXPECT_LE(fed, kHandshakeBytesMax + 2 * piece.size());
  };
  // A handshake message of 2^24 - 1 bytes, of which little has come.
  end = listener();
  EXPECT_EQ(refusal(end, concat({hex_decode("1603010004").value(), hex_decode("01ffffff").value()})),
            std::error_code());
  refused_in_time(end, concat({hex_decode("1603010400").value(), Bytes(0x400)}));
  // ChangeCipherSpec may come at any time and means nothing (RFC 8446 section 5); not for ever.
  end = listener();
  auto left = dialer();
  EXPECT_EQ(refusal(end, left.take_output()), std::error_code());
  refused_in_time(end, hex_decode("140303000101").value());

  // A stream that ends in the middle.
  end = listener();
  EXPECT_EQ(end.on_end().error().code, Errc::truncated);
}

TEST(TlsSession, ChangedRecordsAreRefused) {
  for (std::size_t at = 0; at < 30; ++at) {
    auto left = dialer();
    auto right = listener();
    shake(left, right);
    ASSERT_TRUE(left.write(bytes_of("hello, world")));
    auto record = left.take_output();
    record[at % record.size()] ^= std::byte{0x40};
    auto code = refusal(right, record);
    if (code) {
      EXPECT_EQ(code, Errc::record) << at;
    } else {
      EXPECT_EQ(right.on_end().error().code, Errc::truncated) << at;  // a length that grew still waits
    }
    EXPECT_TRUE(right.unread().empty()) << at;
  }
  // Replayed, and left out.
  auto left = dialer();
  auto right = listener();
  shake(left, right);
  ASSERT_TRUE(left.write(bytes_of("one")));
  const auto one = left.take_output();
  ASSERT_TRUE(left.write(bytes_of("two")));
  const auto two = left.take_output();
  EXPECT_EQ(refusal(right, one), std::error_code());
  EXPECT_EQ(refusal(right, one), Errc::record);
  EXPECT_EQ(read_all(right), "one");  // what had come before is still there
  EXPECT_EQ(refusal(right, two), Errc::record);
  // Its peer hears no more than an alert.
  EXPECT_EQ(refusal(left, right.take_output()), Errc::record);
}

TEST(TlsSession, BothDirectionsAreBounded) {
  auto left = dialer();
  auto right = listener();
  shake(left, right);
  Bytes data(1'000'000);
  SeededRandom(5).fill(data);
  const auto taken = left.write(data).value();
  EXPECT_LT(taken, kUnsentBytesMax + kRecordBytesMax);
  EXPECT_EQ(left.write(data).value(), 0U);
  Bytes received;
  Bytes wire;
  std::size_t sent = taken;
  while (received.size() < data.size()) {
    append(wire, left.take_output());
    const auto fed = right.on_bytes(wire).value();
    wire.erase(wire.begin(), wire.begin() + static_cast<std::ptrdiff_t>(fed));
    EXPECT_LT(right.unread().size(), kUnreadBytesMax + kRecordBytesMax);
    // Not always all of it.
    const auto size = std::min<std::size_t>(right.unread().size(), 50'000);
    append(received, right.unread().first(size));
    right.consume(size);
    sent += left.write(ByteView(data).subspan(sent)).value();
  }
  EXPECT_EQ(received, data);
}

TEST(TlsSession, KeysAreChangedInTime) {
  auto left = dialer({.expected = {}, .muxers = {}, .records_per_key = 3});
  auto right = listener();
  shake(left, right);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(left.write(bytes_of("x")));
    ASSERT_EQ(shake(left, right).right, std::error_code());
  }
  EXPECT_EQ(read_all(right), std::string(20, 'x'));
}

TEST(TlsSession, WhatAPeerMaySayAfterTheHandshake) {
  Forge forge;
  for (bool inbound : {false, true}) {
    RawPeer raw(!inbound, settings_of(forge));  // as a listener it sends two session tickets, which nobody keeps
    auto end = ours(inbound);
    EXPECT_EQ(shake(end, raw), std::error_code());
    raw.update_key();
    raw.write(bytes_of("under the next key"));
    EXPECT_EQ(shake(end, raw), std::error_code());
    EXPECT_EQ(read_all(end), "under the next key");
    EXPECT_TRUE(end.write(bytes_of("and the other way")));
    EXPECT_EQ(shake(end, raw), std::error_code());
    EXPECT_EQ(raw.received, "and the other way");
    // Endless updates are rate limited.
    std::error_code code;
    for (int i = 0; i < 100 && !code; ++i) {
      raw.update_key();
      raw.write(bytes_of("x"));
      code = shake(end, raw);
    }
    EXPECT_EQ(code, Errc::record);
  }
}

TEST(TlsSession, TheKeyLogHasTheTrafficSecrets) {
  std::vector<std::string> lines;
  Host logging(13, kClock, [&](std::string_view line) { lines.emplace_back(line); });
  auto left = Session::dial(*logging.context, {}).value();
  auto right = listener();
  shake(left, right);
  for (const auto* label : {"CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "}) {
    EXPECT_TRUE(std::ranges::any_of(lines, [&](const auto& line) { return line.starts_with(label); })) << label;
  }
}

}  // namespace
}  // namespace nmp::libp2p::tls
