#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "crypto/aead.hpp"
#include "crypto/chacha20_poly1305.hpp"
#include "crypto/ed25519.hpp"
#include "crypto/errors.hpp"
#include "crypto/hash.hpp"
#include "crypto/random.hpp"
#include "crypto/x25519.hpp"

namespace nmp::crypto {
namespace {

Bytes hex(std::string_view text) { return hex_decode(text).value(); }

template <std::size_t N>
SecretBytes<N> secret(std::string_view text) {
  auto bytes = hex(text);
  return SecretBytes<N>(std::span<const std::byte, N>(bytes));
}

TEST(Hash, Sha256AndSha512OfAbc) {
  // FIPS 180-4 examples.
  EXPECT_EQ(hex_encode(sha256(bytes_of("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(
      hex_encode(sha512(bytes_of("abc"))),
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e"
      "2a9ac94fa54ca49f");
  EXPECT_EQ(Sha256().update(bytes_of("a")).update({}).update(bytes_of("bc")).finish(), sha256(bytes_of("abc")));
}

TEST(Hmac, Rfc4231) {
  EXPECT_EQ(hex_encode(hmac_sha256(Bytes(20, std::byte{0x0b}), bytes_of("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex_encode(hmac_sha256(bytes_of("Jefe"), bytes_of("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex_encode(hmac_sha256(Bytes(131, std::byte{0xaa}),
                                   bytes_of("Test Using Larger Than Block-Size Key - Hash Key First"))),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Hkdf, Rfc5869) {
  auto prk = hkdf_extract(hex("000102030405060708090a0b0c"), Bytes(22, std::byte{0x0b}));
  EXPECT_EQ(hex_encode(prk.view()), "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
  auto okm = hkdf_expand<42>(prk, hex("f0f1f2f3f4f5f6f7f8f9"));
  EXPECT_EQ(hex_encode(okm.view()),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  // Test case 3: no salt, no info.
  prk = hkdf_extract({}, Bytes(22, std::byte{0x0b}));
  EXPECT_EQ(hex_encode(prk.view()), "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04");
  EXPECT_EQ(hex_encode(hkdf_expand<42>(prk, {}).view()),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST(Ed25519, Rfc8032) {
  struct Vector {
    std::string_view seed, key, message, signature;
  };
  // RFC 8032 section 7.1, tests 1 to 3.
  for (const auto& v : {
           Vector{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                  "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25b"
                  "f5f059"
                  "5bbe24655141438e7a100b"},
           Vector{"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                  "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
                  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b"
                  "2eaeb4"
                  "302aeeb00d291612bb0c00"},
           Vector{"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                  "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
                  "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c"
                  "15e971"
                  "6ed28dc027beceea1ec40a"},
       }) {
    auto pair = Ed25519KeyPair::from_seed(secret<32>(v.seed));
    EXPECT_EQ(hex_encode(pair.public_key().bytes()), v.key);
    EXPECT_EQ(hex_encode(pair.copy().sign(hex(v.message))), v.signature);
    EXPECT_TRUE(Ed25519PublicKey::decode(hex(v.key)).value().verify(hex(v.message), hex(v.signature)));
    EXPECT_FALSE(pair.public_key().verify(hex("00"), hex(v.signature)));
    EXPECT_FALSE(pair.public_key().verify(hex(v.message), hex(v.signature).size() == 64 ? hex("00") : hex("")));
  }
}

TEST(Ed25519, SmallOrderAndNonCanonicalKeysAreRefused) {
  for (auto text : {
           // The points of order 1, 2, 4, 4, 8, 8, 8, 8.
           "0100000000000000000000000000000000000000000000000000000000000000",
           "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
           "0000000000000000000000000000000000000000000000000000000000000000",
           "0000000000000000000000000000000000000000000000000000000000000080",
           "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
           "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
           "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
           "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
           // Their other encodings: a sign for x = 0, y + p.
           "0100000000000000000000000000000000000000000000000000000000000080",
           "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
           "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
           "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
           "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
           "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
           // y = p + 3 and 2^255 - 1: not of small order, but not the only encoding of its point.
           "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
           "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
           "",
           "00",
       }) {
    EXPECT_EQ(Ed25519PublicKey::decode(hex(text)).error().code, Errc::invalid_key) << text;
  }
}

TEST(Ed25519, ScalarNotBelowTheOrderIsRefused) {
  auto pair = Ed25519KeyPair::from_seed(secret<32>("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"));
  auto signature = pair.sign(bytes_of("message"));
  ASSERT_TRUE(pair.public_key().verify(bytes_of("message"), signature));
  // S + L is the same scalar.
  auto order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  unsigned carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    carry += std::to_integer<unsigned>(signature[32 + i]) + std::to_integer<unsigned>(order[i]);
    signature[32 + i] = static_cast<std::byte>(carry);
    carry >>= 8;
  }
  EXPECT_FALSE(pair.public_key().verify(bytes_of("message"), signature));
}

TEST(X25519, Rfc7748) {
  // Section 5.2, first vector.
  auto scalar =
      X25519KeyPair::from_secret(secret<32>("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"));
  EXPECT_EQ(hex_encode(
                x25519(scalar, hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")).value().view()),
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
  // Section 6.1.
  auto bob = X25519KeyPair::from_secret(secret<32>("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
  EXPECT_EQ(hex_encode(bob.public_key()), "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  EXPECT_EQ(
      hex_encode(x25519(bob, hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")).value().view()),
      "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

TEST(X25519, SmallOrderKeysAreRefused) {
  auto pair = X25519KeyPair::generate(system_random());
  for (auto text : {
           "0000000000000000000000000000000000000000000000000000000000000000",
           "0100000000000000000000000000000000000000000000000000000000000000",
           "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
           "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
           "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
           "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
           "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
           "",
           "01",
       }) {
    EXPECT_EQ(x25519(pair, hex(text)).error().code, Errc::invalid_key) << text;
  }
}

TEST(Aead, NistGcmTestCase16) {
  // McGrew and Viega, "The Galois/Counter Mode of Operation" (submitted to NIST), test case 16.
  auto key = secret<32>("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
  AeadNonce nonce{};
  std::ranges::copy(hex("cafebabefacedbaddecaf888"), nonce.begin());
  auto aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  auto plaintext =
      hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0d"
          "e657ba63"
          "7b39");
  auto sealed = seal(key, nonce, aad, plaintext);
  EXPECT_EQ(
      hex_encode(sealed),
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0a"
      "bcc9f66276fc6ece0f4e1768cddf8853bb2d551b");
  EXPECT_EQ(open(key, nonce, aad, sealed).value(), plaintext);
  EXPECT_TRUE(open(key, nonce, {}, seal(key, nonce, {}, {})).value().empty());
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    auto changed = sealed;
    changed[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    EXPECT_EQ(open(key, nonce, aad, changed).error().code, Errc::forged);
  }
  EXPECT_EQ(open(key, nonce, {}, sealed).error().code, Errc::forged);
  EXPECT_EQ(open(key, nonce, aad, ByteView(sealed).first(15)).error().code, Errc::forged);
}

TEST(ChaCha20Poly1305Test, Rfc8439) {
  // Section 2.8.2.
  ChaCha20Poly1305 cipher(secret<32>("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"));
  AeadNonce nonce{};
  std::ranges::copy(hex("070000004041424344454647"), nonce.begin());
  auto aad = hex("50515253c0c1c2c3c4c5c6c7");
  auto plaintext = bytes_of(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be "
      "it.");
  Bytes sealed(plaintext.size() + kAeadTagSize);
  Bytes opened(plaintext.size());
  cipher.seal(nonce, aad, plaintext, sealed);
  EXPECT_EQ(hex_encode(sealed),
            "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e"
            "060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576"
            "d26586cec64b61161ae10b594f09e26a7e902ecbd0600691");
  ASSERT_TRUE(cipher.open(nonce, aad, sealed, opened));
  EXPECT_TRUE(equal(opened, plaintext));
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    auto changed = sealed;
    changed[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    EXPECT_EQ(cipher.open(nonce, aad, changed, opened).error().code, Errc::forged);
    EXPECT_EQ(opened, Bytes(plaintext.size()));
  }
  EXPECT_EQ(cipher.open(nonce, {}, sealed, opened).error().code, Errc::forged);
  EXPECT_EQ(cipher.open(nonce, aad, ByteView(sealed).first(15), {}).error().code, Errc::forged);
  // What came before leaves no trace in the context.
  Bytes again(sealed.size());
  cipher.seal(nonce, aad, plaintext, again);
  EXPECT_EQ(again, sealed);
  Bytes tag(kAeadTagSize);
  cipher.seal(nonce, {}, {}, tag);
  EXPECT_TRUE(cipher.open(nonce, {}, tag, {}));
}

TEST(ChaCha20Poly1305Test, Rfc8439Decryption) {
  // Appendix A.5.
  ChaCha20Poly1305 cipher(secret<32>("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0"));
  AeadNonce nonce{};
  std::ranges::copy(hex("000000000102030405060708"), nonce.begin());
  auto sealed =
      hex("64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b"
          "0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c8559797a06ef4f0ef61c186324e"
          "2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523eaf45"
          "34d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a0bb2316053fa76991955ebd63159434ecebb4e466dae5a10"
          "73a6727627097a1049e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709beead9d6789"
          "0cbb22392336fea1851f38");
  Bytes opened(sealed.size() - kAeadTagSize);
  ASSERT_TRUE(cipher.open(nonce, hex("f33388860000000000004e91"), sealed, opened));
  EXPECT_TRUE(text_of(opened).starts_with("Internet-Drafts are draft documents valid for a maximum of six months"));
}

TEST(Random, SystemDiffers) { EXPECT_NE(system_random().bytes<32>(), system_random().bytes<32>()); }

}  // namespace
}  // namespace nmp::crypto
