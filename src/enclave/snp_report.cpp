#include "enclave/snp_report.hpp"

#include <algorithm>
#include <ranges>

#include "base/codec.hpp"
#include "enclave/errors.hpp"
#include "enclave/steps.hpp"

namespace nmp::enclave {
namespace {

constexpr std::size_t kSignedBytes = 0x2a0;
/// One half of the signature: little-endian, wider than a P-384 number.
constexpr std::size_t kHalfBytes = 72;
constexpr std::uint32_t kEcdsaP384Sha384 = 1;

std::uint64_t little_endian(ByteView bytes) {
  std::uint64_t value = 0;
  for (const auto byte : bytes | std::views::reverse) value = value << 8 | std::to_integer<std::uint64_t>(byte);
  return value;
}

template <std::size_t N>
ByteArray<N> array_at(ByteView bytes, std::size_t offset) {
  ByteArray<N> out{};
  std::ranges::copy(bytes.subspan(offset, N), out.begin());
  return out;
}

/// AMD 57230, table of VCEK extensions: each SPL is an INTEGER of one byte, or of two if over 127.
Result<std::uint8_t> spl(const crypto::Certificate& certificate, const char* which) {
  const auto value = certificate.extension(std::string("1.3.6.1.4.1.3704.1.3.") + which);
  if (!value) return fail(Errc::malformed, std::string("the certificate lacks the firmware's level ") + which);
  const auto at = [&](std::size_t i) { return std::to_integer<std::uint8_t>((*value)[i]); };
  if (value->size() == 3 && at(0) == 2 && at(1) == 1 && at(2) < 0x80) return at(2);
  if (value->size() == 4 && at(0) == 2 && at(1) == 2 && at(2) == 0 && at(3) >= 0x80) return at(3);
  return fail(Errc::malformed, std::string("the certificate's level ") + which);
}

}  // namespace

Result<SnpReport> parse_snp_report(ByteView bytes) {
  if (bytes.size() != kSnpReportBytes) return fail(Errc::malformed, "a report has 1184 bytes");
  SnpReport out;
  out.version = static_cast<std::uint32_t>(little_endian(bytes.subspan(0, 4)));
  if (out.version != 2 && out.version != 3 && out.version != 5)
    return fail(Errc::unsupported_version, "report version " + std::to_string(out.version));
  out.policy = little_endian(bytes.subspan(0x08, 8));
  if ((out.policy >> 17 & 1) == 0) return fail(Errc::malformed, "policy bit 17 is not set");
  out.vmpl = static_cast<std::uint32_t>(little_endian(bytes.subspan(0x30, 4)));
  if (little_endian(bytes.subspan(0x34, 4)) != kEcdsaP384Sha384)
    return fail(Errc::wrong_algorithm, "not ECDSA P-384 with SHA-384");
  // Bits 2 to 4 of the flags: who signed.
  const auto signer = little_endian(bytes.subspan(0x48, 4)) >> 2 & 7;
  if (signer > std::to_underlying(SnpSigner::vlek))
    return fail(Errc::wrong_algorithm, "signed by neither VCEK nor VLEK");
  out.signer = static_cast<SnpSigner>(signer);
  out.report_data = array_at<64>(bytes, 0x50);
  out.measurement = array_at<48>(bytes, 0x90);
  out.host_data = array_at<32>(bytes, 0xc0);
  out.reported_tcb = array_at<8>(bytes, 0x180);
  out.chip_id = array_at<64>(bytes, 0x1a0);
  out.committed_tcb = array_at<8>(bytes, 0x1e0);
  out.launch_tcb = array_at<8>(bytes, 0x1f0);
  out.signed_bytes = to_bytes(bytes.first(kSignedBytes));
  for (std::size_t half = 0; half < 2; ++half) {
    const auto number = bytes.subspan(kSignedBytes + half * kHalfBytes, kHalfBytes);
    if (!all_zero(number.subspan(48))) return fail(Errc::malformed, "a signature's number is too wide");
    std::ranges::reverse_copy(number.first(48), out.signature.begin() + static_cast<std::ptrdiff_t>(half) * 48);
  }
  // Nobody signs these bytes: only zeros are one report in one form.
  if (!all_zero(bytes.subspan(kSignedBytes + 2 * kHalfBytes)))
    return fail(Errc::malformed, "bytes after the signature");
  return out;
}

Result<SnpKeyCertificate> read_snp_certificate(const crypto::Certificate& certificate) {
  SnpKeyCertificate out;
  const auto name = certificate.extension("1.3.6.1.4.1.3704.1.2");
  // An IA5String such as "Milan-B0".
  if (!name || name->size() < 3 || (*name)[0] != std::byte{0x16} ||
      std::to_integer<std::size_t>((*name)[1]) != name->size() - 2)
    return fail(Errc::malformed, "the certificate names no product");
  const auto product = text_of(*name).substr(2);
  const auto is = [&](std::string_view one) { return product == one || product.starts_with(std::string(one) + "-"); };
  out.turin = is("Turin");
  if (!out.turin && !is("Milan") && !is("Genoa") && !is("Siena") && !is("Bergamo"))
    return fail(Errc::unsupported_version, "an unknown product");
  NMP_TRY(out.tcb.bootloader, spl(certificate, "1"));
  NMP_TRY(out.tcb.tee, spl(certificate, "2"));
  NMP_TRY(out.tcb.snp, spl(certificate, "3"));
  NMP_TRY(out.tcb.microcode, spl(certificate, "8"));
  if (out.turin) {
    NMP_TRY(out.tcb.fmc, spl(certificate, "9"));
  }
  out.chip_id = certificate.extension("1.3.6.1.4.1.3704.1.4");
  return out;
}

SnpTcb tcb_of(const ByteArray<8>& raw, bool turin) {
  const auto at = [&](std::size_t i) { return std::to_integer<std::uint8_t>(raw[i]); };
  if (turin) return {.fmc = at(0), .bootloader = at(1), .tee = at(2), .snp = at(3), .microcode = at(7)};
  return {.fmc = 0, .bootloader = at(0), .tee = at(1), .snp = at(6), .microcode = at(7)};
}

}  // namespace nmp::enclave
