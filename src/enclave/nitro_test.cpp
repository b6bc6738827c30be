#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "enclave/errors.hpp"
#include "enclave/nitro_document.hpp"
#include "enclave/testing.hpp"
#include "enclave/verifier.hpp"

namespace nmp::enclave {
namespace {

/// The genuine document's time, and 2025-01-06T16:10:00Z, at which it holds.
constexpr UnixSeconds kMade = 1'736'179'625;
constexpr UnixSeconds kNow = 1'736'179'800;
constexpr UnixSeconds kLeafFrom = 1'736'179'622;   // 16:07:02
constexpr UnixSeconds kLeafUntil = 1'736'190'425;  // 19:07:05

Bytes genuine() { return testing::vector_file("aws-2025-01-06.cose"); }

Policy loose() {
  Policy policy;
  policy.require_challenge = false;
  policy.require_measurement = false;
  return policy;
}

std::error_code reason(const EnclaveVerifier& verifier, ByteView bytes, const Policy& policy, UnixSeconds now) {
  const auto report = verifier.verify({.kind = Kind::nitro, .bytes = bytes, .certificates = {}}, policy, now);
  EXPECT_EQ(report.ok(), report.claims.has_value());
  const auto failure = report.failure();
  return failure ? failure->code : std::error_code();
}

TEST(Nitro, GenuineDocumentHoldsAtItsTime) {
  const auto bytes = genuine();
  ASSERT_EQ(bytes.size(), 4781U);
  auto policy = loose();
  const auto report = EnclaveVerifier().verify({.kind = Kind::nitro, .bytes = bytes, .certificates = {}}, policy, kNow);
  ASSERT_TRUE(report.ok()) << report.failure()->message();
  EXPECT_EQ(report.claims->module, "i-0bee92034f3d60691-enc01943c5eaab3ad6a");
  EXPECT_EQ(report.claims->public_key->size(), 294U);
  EXPECT_FALSE(report.claims->nonce || report.claims->user_data || report.claims->debug);
  // SHA-384(48 zeros, the instance's name): the register's formula, from outside.
  const auto name = concat({Bytes(48), bytes_of("i-0bee92034f3d60691")});
  EXPECT_EQ(report.claims->measurements.at("pcr4"), to_bytes(ByteView(crypto::sha384(name))));
  const auto received = parse_nitro_document(bytes);
  EXPECT_EQ(hex_encode(crypto::sha384(cose::es384_signed_bytes(received->cose.payload))),
            "c493173e9ecb2e1df5d87c0772f7026867ffb69c5841d016ab4ee4bf5dc010c5a53a0b0a2ce23f09190bbc3be29154b6");

  policy.measurements["pcr0"] = {Bytes(48, std::byte{1}), report.claims->measurements.at("pcr0")};
  EXPECT_FALSE(reason(EnclaveVerifier(), bytes, policy, kNow));
  const auto tagged = concat({Bytes{std::byte{0xd2}}, bytes});
  EXPECT_FALSE(reason(EnclaveVerifier(), tagged, policy, kNow));
}

TEST(Nitro, GenuineDocumentAtOtherTimes) {
  const EnclaveVerifier verifier;
  auto policy = loose();
  policy.age_max = std::chrono::hours(4);
  EXPECT_FALSE(reason(verifier, genuine(), policy, kLeafFrom));
  EXPECT_EQ(reason(verifier, genuine(), policy, kLeafFrom - 1), Errc::certificate_not_yet_valid);
  // OpenSSL ends a certificate's life with the second that it names.
  EXPECT_FALSE(reason(verifier, genuine(), policy, kLeafUntil - 1));
  EXPECT_EQ(reason(verifier, genuine(), policy, kLeafUntil), Errc::certificate_expired);
  EXPECT_EQ(reason(verifier, genuine(), policy, kNow + 3 * 3600), Errc::certificate_expired);
  EXPECT_FALSE(reason(verifier, genuine(), loose(), kMade + 300));
  EXPECT_EQ(reason(verifier, genuine(), loose(), kMade + 301), Errc::stale);
}

TEST(Nitro, EveryMutationHasItsReason) {
  const EnclaveVerifier verifier;
  const auto good = genuine();
  const auto received = parse_nitro_document(good);
  ASSERT_TRUE(received);
  const auto at_of = [&](ByteView part) {
    return static_cast<std::size_t>(std::ranges::search(good, part).begin() - good.begin());
  };
  const auto flip = [&](std::size_t at) {
    auto bytes = good;
    bytes[at] ^= std::byte{1};
    return bytes;
  };
  const auto& document = received->document;
  const auto certificate_end = [&](const Bytes& der) { return at_of(der) + der.size() - 1; };
  struct Case {
    const char* name;
    Bytes bytes;
    Errc reason;
  };
  auto longer = good;
  longer.push_back(std::byte{0});
  auto shorter = good;
  shorter.pop_back();
  auto es256 = good;
  const Bytes header = hex_decode("44a1013822").value();
  ASSERT_EQ(at_of(header), 1U);
  es256[5] = std::byte{0x26};  // alg -39; one that is known to COSE has another length
  auto wide = good;
  const auto signature_at = good.size() - 98;
  ASSERT_EQ(wide[signature_at + 1], std::byte{0x60});
  wide[signature_at + 1] = std::byte{0x61};
  wide.push_back(std::byte{0});
  const std::vector<Case> cases = {
      {"empty", {}, Errc::malformed},
      {"a byte after it", longer, Errc::malformed},
      {"a byte short", shorter, Errc::malformed},
      {"another algorithm", es256, Errc::wrong_algorithm},
      {"a signature of 97 bytes", wide, Errc::malformed},
      {"over the ceiling", Bytes(16 * 1024 + 1), Errc::too_large},
      {"the signature", flip(good.size() - 1), Errc::bad_signature},
      {"a register", flip(at_of(document.pcrs.at(0))), Errc::bad_signature},
      {"the public key", flip(at_of(*document.public_key) + 100), Errc::bad_signature},
      {"the leaf's signature", flip(certificate_end(document.certificate)), Errc::bad_chain},
      {"an intermediate's signature", flip(certificate_end(document.cabundle[2])), Errc::bad_chain},
      {"the root", flip(certificate_end(document.cabundle[0])), Errc::root_mismatch},
  };
  for (const auto& one : cases) EXPECT_EQ(reason(verifier, one.bytes, loose(), kNow), one.reason) << one.name;
  // No byte of it can change unseen.
  for (std::size_t at = 0; at < good.size(); at += 7) EXPECT_TRUE(reason(verifier, flip(at), loose(), kNow)) << at;
}

TEST(Nitro, PoliciesThatProveNothingAreRefused) {
  const EnclaveVerifier verifier;
  const auto bytes = genuine();
  EXPECT_EQ(reason(verifier, bytes, Policy{}, kNow), Errc::weak_policy);  // no challenge
  const auto with = [&](std::map<std::string, std::vector<Bytes>> measurements) {
    auto policy = loose();
    policy.measurements = std::move(measurements);
    return reason(verifier, bytes, policy, kNow);
  };
  const Bytes one(48, std::byte{1});
  EXPECT_EQ(with({{"pcr2", {one}}}), Errc::weak_policy);
  EXPECT_EQ(with({{"pcr8", {one}}}), Errc::weak_policy);
  EXPECT_EQ(with({{"pcr0", {}}}), Errc::weak_policy);
  EXPECT_EQ(with({{"pcr0", {Bytes(48)}}}), Errc::weak_policy);
  EXPECT_EQ(with({{"pcr0", {Bytes(32)}}}), Errc::weak_policy);
  EXPECT_EQ(with({{"pcr0", {one}}, {"mrtd", {one}}}), Errc::weak_policy);
  EXPECT_EQ(with({{"pcr0", {one}}}), Errc::measurement_mismatch);
  EXPECT_EQ(with({{"pcr8", {one}}, {"pcr1", {one}}}), Errc::measurement_mismatch);
}

TEST(Nitro, ASimulatedModuleCountsOnlyForWhoPinsItsRoot) {
  const testing::SimulatedModule module(kNow);
  Policy policy;
  policy.nonce = to_bytes("nonce");
  policy.user_data = to_bytes("data");
  policy.public_key = to_bytes("key");
  policy.measurements["pcr0"] = {Bytes(48, std::byte{0x10})};
  const EnclaveVerifier pinned({module.root});
  EXPECT_FALSE(reason(pinned, module.document(), policy, kNow));
  EXPECT_EQ(reason(EnclaveVerifier(), module.document(), policy, kNow), Errc::root_mismatch);
  // A root that only has the pinned one's name.
  const testing::SimulatedModule twin(kNow);
  EXPECT_EQ(twin.root.subject(), module.root.subject());
  EXPECT_EQ(reason(pinned, twin.document(), policy, kNow), Errc::root_mismatch);

  const auto demand = [&](const char* nonce, const char* data, const char* key) {
    auto other = policy;
    other.nonce = to_bytes(nonce);
    other.user_data = to_bytes(data);
    other.public_key = to_bytes(key);
    return reason(pinned, module.document(), other, kNow);
  };
  EXPECT_EQ(demand("nonse", "data", "key"), Errc::nonce_mismatch);
  EXPECT_EQ(demand("nonce", "date", "key"), Errc::binding_mismatch);
  EXPECT_EQ(demand("nonce", "data", "kez"), Errc::binding_mismatch);
}

TEST(Nitro, WhatASimulatedModuleMaySayWrongly) {
  testing::SimulatedModule module(kNow);
  const EnclaveVerifier pinned({module.root});
  const auto with = [&](const char* name, std::optional<cbor::Value> value) {
    auto other = module;
    other.payload.erase(name);
    if (value) other.payload.emplace(name, *std::move(value));
    return reason(pinned, other.document(), loose(), kNow);
  };
  cbor::Map debug;
  for (unsigned i = 0; i < 5; ++i) debug.add(i, Bytes(48));
  EXPECT_EQ(with("pcrs", debug), Errc::debug_mode);
  EXPECT_EQ(with("pcrs", cbor::Map{{3, Bytes(48, std::byte{1})}}), Errc::debug_mode);
  EXPECT_EQ(with("pcrs", cbor::Map{}), Errc::malformed);
  EXPECT_EQ(with("pcrs", cbor::Map{{32, Bytes(48)}}), Errc::malformed);
  EXPECT_EQ(with("pcrs", cbor::Map{{0, Bytes(47)}}), Errc::malformed);
  EXPECT_EQ(with("pcrs", cbor::Map{{0, Bytes(48)}, {1, Bytes(32)}}), Errc::malformed);
  EXPECT_EQ(with("digest", "SHA256"), Errc::malformed);
  EXPECT_EQ(with("module_id", ""), Errc::malformed);
  EXPECT_EQ(with("timestamp", 0), Errc::malformed);
  EXPECT_EQ(with("timestamp", (kNow + 301) * 1000), Errc::from_the_future);
  EXPECT_EQ(with("timestamp", (kNow - 301) * 1000), Errc::stale);
  EXPECT_EQ(with("public_key", Bytes()), Errc::malformed);
  EXPECT_EQ(with("public_key", Bytes(1025)), Errc::malformed);
  EXPECT_EQ(with("user_data", Bytes(513)), Errc::malformed);
  EXPECT_EQ(with("nonce", Bytes(513)), Errc::malformed);
  EXPECT_EQ(with("certificate", Bytes(1025)), Errc::malformed);
  EXPECT_EQ(with("certificate", std::nullopt), Errc::malformed);
  EXPECT_EQ(with("cabundle", cbor::Array{}), Errc::malformed);
  // null and absent are the same for what is optional.
  EXPECT_FALSE(with("nonce", cbor::Value(nullptr)));
  EXPECT_FALSE(with("nonce", std::nullopt));
  // A dropped intermediate, one too many, and a leaf that is its own issuer's equal.
  EXPECT_EQ(with("cabundle", cbor::Array{module.root.der()}), Errc::certificate_missing);
  EXPECT_EQ(with("cabundle", cbor::Array{module.root.der(), module.middle.der(), module.middle.der()}),
            Errc::bad_chain);
  const auto weak = [&](bool ca, const EVP_MD* hash) {
    const auto leaf =
        testing::make_certificate(module.leaf_key, module.middle_key(), "middle",
                                  {.name = "leaf", .ca = ca, .from = kNow - 10, .until = kNow + 10, .hash = hash});
    return with("certificate", cbor::Value(leaf.der()));
  };
  EXPECT_FALSE(weak(/*ca=*/false, EVP_sha384()));
  EXPECT_EQ(weak(/*ca=*/true, EVP_sha384()), Errc::bad_chain);
  EXPECT_EQ(weak(/*ca=*/false, EVP_sha256()), Errc::wrong_algorithm);
}

TEST(Reasons, AreAllInTheDocument) {
  std::ifstream in(std::string(NMP_SOURCE_DIR) + "/docs/enclaves.md");
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  for (const auto code : all_reasons()) {
    const auto name = make_error_code(code).message();
    ASSERT_TRUE(name.starts_with("enclave."));
    EXPECT_NE(text.find("| `" + name.substr(8) + "` |"), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace nmp::enclave
