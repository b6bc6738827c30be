#pragma once

#include "crypto/x509.hpp"
#include "enclave/verifier.hpp"

namespace nmp::enclave {

enum class SnpSigner : std::uint8_t { vcek = 0, vlek = 1 };  ///< AMD 56860, ATTESTATION_REPORT, SIGNING_KEY.

/// An attestation report (AMD 56860, "SEV Secure Nested Paging Firmware ABI", table ATTESTATION_REPORT), versions 2,
/// 3, 5.
struct SnpReport {
  std::uint32_t version = 0;
  std::uint64_t policy = 0;
  std::uint32_t vmpl = 0;
  SnpSigner signer = SnpSigner::vcek;
  ByteArray<64> report_data{};
  ByteArray<48> measurement{};
  ByteArray<32> host_data{};
  ByteArray<64> chip_id{};
  ByteArray<8> reported_tcb{};  ///< Raw: its meaning is the product's, see tcb_of.
  ByteArray<8> committed_tcb{};
  ByteArray<8> launch_tcb{};
  Bytes signed_bytes;         ///< The first 0x2a0
  ByteArray<96> signature{};  ///< r || s, big-endian

  [[nodiscard]] bool debug() const { return (policy >> 19 & 1) != 0; }
  [[nodiscard]] bool migration() const { return (policy >> 18 & 1) != 0; }
};

/// Reads without judging the signature. Errors (Errc): malformed, unsupported_version, wrong_algorithm.
Result<SnpReport> parse_snp_report(ByteView bytes);

/// What a VCEK or VLEK says of the chip and firmware that it is for (AMD 57230, "VCEK Certificate and KDS Interface").
struct SnpKeyCertificate {
  bool turin = false;  ///< The product's name, which decides how a TCB is laid out.
  SnpTcb tcb;
  std::optional<Bytes> chip_id;  ///< None in a VLEK.
};
/// Errors (Errc): malformed.
Result<SnpKeyCertificate> read_snp_certificate(const crypto::Certificate& certificate);

/// A TCB version as it stands in a report: Turin put `fmc` first and moved the rest.
[[nodiscard]] SnpTcb tcb_of(const ByteArray<8>& raw, bool turin);

}  // namespace nmp::enclave
