#include <gtest/gtest.h>

#include "enclave/errors.hpp"
#include "enclave/testing.hpp"
#include "enclave/verifier.hpp"

namespace nmp::enclave {
namespace {

constexpr UnixSeconds kNow = 1'685'577'600;  // 2023-06-01T00:00:00Z

Bytes genuine() { return testing::vector_file("milan-report.bin"); }
crypto::Certificate vcek() { return crypto::Certificate::from_der(testing::vector_file("milan-vcek.der")).value(); }

Policy debug_allowed() {
  Policy policy;
  policy.require_challenge = false;
  policy.require_measurement = false;
  policy.allow_debug = true;
  return policy;
}

std::error_code reason(ByteView bytes,
                       const Policy& policy,
                       UnixSeconds now = kNow,
                       std::vector<crypto::Certificate> certificates = {vcek()}) {
  const auto report = EnclaveVerifier().verify(
      {.kind = Kind::sev_snp, .bytes = bytes, .certificates = std::move(certificates)}, policy, now);
  const auto failure = report.failure();
  return failure ? failure->code : std::error_code();
}

TEST(Snp, GenuineReportHoldsButForItsDebugBit) {
  auto policy = debug_allowed();
  EXPECT_FALSE(reason(genuine(), policy));
  policy.allow_debug = false;
  EXPECT_EQ(reason(genuine(), policy), Errc::debug_mode);
}

TEST(Snp, PolicyIsKept) {
  EXPECT_EQ(reason(genuine(), Policy{}), Errc::weak_policy);
  auto policy = debug_allowed();
  policy.report_data = Bytes(64);
  EXPECT_EQ(reason(genuine(), policy), Errc::binding_mismatch);
  for (unsigned i = 0; i < 5; ++i) (*policy.report_data)[i] = static_cast<std::byte>(i + 1);
  EXPECT_FALSE(reason(genuine(), policy));
  policy.tcb_minimum = SnpTcb{.fmc = 0, .bootloader = 2, .tee = 0, .snp = 5, .microcode = 0x44};
  EXPECT_FALSE(reason(genuine(), policy));
  policy.tcb_minimum->microcode = 0x45;
  EXPECT_EQ(reason(genuine(), policy), Errc::tcb_too_old);
  policy.tcb_minimum.reset();
  policy.measurements["host_data"] = {Bytes(32)};
  EXPECT_EQ(reason(genuine(), policy), Errc::weak_policy);
  policy.measurements["measurement"] = {Bytes(48)};
  EXPECT_EQ(reason(genuine(), policy), Errc::measurement_mismatch);
}

TEST(Snp, EveryMutationHasItsReason) {
  const auto flip = [](std::size_t at, unsigned bit = 1) {
    auto bytes = genuine();
    bytes[at] ^= static_cast<std::byte>(bit);
    return bytes;
  };
  auto longer = genuine();
  longer.push_back(std::byte{0});
  struct Case {
    const char* name;
    Bytes bytes;
    Errc reason;
  };
  const std::vector<Case> cases = {
      {"a byte after it", longer, Errc::malformed},
      {"version 0", flip(0, 2), Errc::unsupported_version},
      {"policy bit 17 clear", flip(0x0a, 2), Errc::malformed},
      {"signature algorithm", flip(0x34, 2), Errc::wrong_algorithm},
      {"signed by nobody", flip(0x48, 7 << 2), Errc::wrong_algorithm},
      {"signed by a VLEK", flip(0x48, 1 << 2), Errc::certificate_missing},
      {"report_data", flip(0x50), Errc::bad_signature},
      {"measurement", flip(0x90), Errc::bad_signature},
      {"the debug bit", flip(0x0a, 8), Errc::bad_signature},
      {"chip", flip(0x1a0), Errc::chip_mismatch},
      {"reported firmware", flip(0x180), Errc::bad_signature},
      {"r", flip(0x2a0), Errc::bad_signature},
      {"r over 48 bytes", flip(0x2a0 + 48), Errc::malformed},
      {"s", flip(0x2a0 + 72), Errc::bad_signature},
      {"bytes after the signature", flip(1183), Errc::malformed},
  };
  for (const auto& one : cases) EXPECT_EQ(reason(one.bytes, debug_allowed()), one.reason) << one.name;
  for (std::size_t at = 0; at < genuine().size(); at += 13) EXPECT_TRUE(reason(flip(at), debug_allowed())) << at;
}

TEST(Snp, ChainsThatDoNotLead) {
  EXPECT_EQ(reason(genuine(), debug_allowed(), kNow, {}), Errc::certificate_missing);
  EXPECT_EQ(reason(genuine(), debug_allowed(), 1'663'980'000), Errc::certificate_not_yet_valid);
  EXPECT_EQ(reason(genuine(), debug_allowed(), 1'885'000'000), Errc::certificate_expired);
  auto der = testing::vector_file("milan-vcek.der");
  der.back() ^= std::byte{1};
  EXPECT_EQ(reason(genuine(), debug_allowed(), kNow, {crypto::Certificate::from_der(der).value()}), Errc::bad_chain);
  // Under another's root there is no path.
  const EnclaveVerifier other({testing::SimulatedModule(kNow).root});
  const auto report =
      other.verify({.kind = Kind::sev_snp, .bytes = {}, .certificates = {vcek()}}, debug_allowed(), kNow);
  EXPECT_EQ(report.failure()->code, Errc::malformed);
  const auto bytes = genuine();
  const auto unknown =
      other.verify({.kind = Kind::sev_snp, .bytes = bytes, .certificates = {vcek()}}, debug_allowed(), kNow);
  EXPECT_EQ(unknown.failure()->code, Errc::certificate_missing);
}

}  // namespace
}  // namespace nmp::enclave
