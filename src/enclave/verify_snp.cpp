#include <fmt/format.h>

#include "enclave/snp_report.hpp"
#include "enclave/steps.hpp"

namespace nmp::enclave {
namespace {

bool at_least(const SnpTcb& tcb, const SnpTcb& least) {
  return tcb.fmc >= least.fmc && tcb.bootloader >= least.bootloader && tcb.tee >= least.tee && tcb.snp >= least.snp &&
         tcb.microcode >= least.microcode;
}

std::string to_text(const SnpTcb& tcb) {
  return fmt::format("boot loader {}, TEE {}, SNP {}, microcode {}{}", tcb.bootloader, tcb.tee, tcb.snp, tcb.microcode,
                     tcb.fmc != 0 ? fmt::format(", FMC {}", tcb.fmc) : "");
}

struct Leaf {
  crypto::Certificate certificate;
  crypto::EcdsaPublicKey key;
  SnpKeyCertificate about;
};

/// The certificate of the report's signer kind, whose chip is the report's if any is.
Result<Leaf> find_leaf(const SnpReport& report, const std::vector<crypto::Certificate>& certificates) {
  std::optional<Error> close;
  for (const auto& certificate : certificates) {
    if (certificate.key_kind() != crypto::KeyKind::p384 || certificate.is_ca()) continue;
    auto about = read_snp_certificate(certificate);
    if (!about) {
      close = about.error();
      continue;
    }
    const bool vlek = !about->chip_id.has_value();
    if (vlek != (report.signer == SnpSigner::vlek)) continue;
    // Turin's chip ids have 8 bytes, and the report's the rest as zeros.
    if (!vlek) {
      const auto size = about->chip_id->size();
      const ByteView chip = report.chip_id;
      if ((size != 64 && size != 8) || all_zero(chip) || !equal(chip.first(size), *about->chip_id) ||
          !all_zero(chip.subspan(size))) {
        close = Error{make_error_code(Errc::chip_mismatch), "the certificate is of another chip"};
        continue;
      }
    }
    auto key = certificate.ecdsa_key();
    if (!key) continue;
    return Leaf{.certificate = certificate, .key = *std::move(key), .about = *std::move(about)};
  }
  if (close) return fail(*std::move(close));
  return fail(Errc::certificate_missing, report.signer == SnpSigner::vlek ? "no VLEK certificate came with it"
                                                                          : "no VCEK certificate came with it");
}

/// VCEK or VLEK, ASK or ASVK, ARK; AMD signs all three with RSA-PSS and SHA-384.
Result<void> check_amd_chain(const Leaf& leaf, const ChainQuestion& question) {
  NMP_TRY(auto chain, check_chain(question));
  if (chain.size() != 3) return fail(Errc::bad_chain, "not a chain of three");
  for (const auto& one : chain) {
    if (one.signed_with() != crypto::SignedWith::rsa_pss_sha384)
      return fail(Errc::wrong_algorithm, "not RSA-PSS with SHA-384: " + one.subject());
  }
  NMP_ASSERT(chain.front().same_as(leaf.certificate));
  return {};
}

Result<void> check_guest_policy(const SnpReport& snp, const Policy& policy) {
  if (snp.debug() && !policy.allow_debug) return fail(Errc::debug_mode, "guest policy bit 19 allows debugging");
  if (snp.migration() && !policy.allow_migration)
    return fail(Errc::migration_allowed, "guest policy bit 18 allows a migration agent");
  if (snp.vmpl > policy.vmpl_max)
    return fail(Errc::wrong_privilege, fmt::format("made at VMPL {}, allowed up to {}", snp.vmpl, policy.vmpl_max));
  return {};
}

Result<void> check_tcb(const SnpReport& snp, const SnpKeyCertificate& about, const Policy& policy) {
  const auto reported = tcb_of(snp.reported_tcb, about.turin);
  if (!(reported == about.tcb))
    return fail(Errc::tcb_mismatch,
                fmt::format("reported {}; the certificate is for {}", to_text(reported), to_text(about.tcb)));
  if (!policy.tcb_minimum) return {};
  const std::array<std::pair<const char*, SnpTcb>, 3> all = {{
      {"reported", reported},
      {"committed", tcb_of(snp.committed_tcb, about.turin)},
      {"at launch", tcb_of(snp.launch_tcb, about.turin)},
  }};
  for (const auto& [name, tcb] : all) {
    if (!at_least(tcb, *policy.tcb_minimum)) return fail(Errc::tcb_too_old, fmt::format("{}: {}", name, to_text(tcb)));
  }
  return {};
}

}  // namespace

Result<void> EnclaveVerifier::sev_snp(const Evidence& evidence,
                                      const Policy& policy,
                                      UnixSeconds now,
                                      Report& report) const {
  auto snp = parse_snp_report(evidence.bytes);
  if (!snp) return stop(report, "format", snp.error());
  report.passed("format", fmt::format("A report of version {}, signed by a {}.", snp->version,
                                      snp->signer == SnpSigner::vlek ? "VLEK" : "VCEK"));
  if (evidence.certificates.size() > kCertificatesMax)
    return stop(report, "chain", {make_error_code(Errc::too_large), "too many certificates"});

  auto leaf = find_leaf(*snp, evidence.certificates);
  if (!leaf) return stop(report, "chain", leaf.error());
  auto others = evidence.certificates;
  others.insert(others.end(), helpers_.begin(), helpers_.end());
  auto chain = check_amd_chain(*leaf, {.leaf = leaf->certificate, .others = others, .roots = roots_, .now = now});
  if (!chain) return stop(report, "chain", chain.error());
  report.passed("chain", "Its certificate, of this chip or this provider, leads to a pinned root and was valid then.");

  if (!leaf->key.verify(snp->signed_bytes, snp->signature))
    return stop(report, "signature", {make_error_code(Errc::bad_signature), "not signed by the certificate's key"});
  report.passed("signature", "Signed by the processor's key.");

  auto tcb = check_tcb(*snp, leaf->about, policy);
  if (!tcb) return stop(report, "tcb", tcb.error());
  const auto words = to_text(leaf->about.tcb);
  if (policy.tcb_minimum) {
    report.passed("tcb", "Firmware as certified and new enough: " + words + ".");
  } else {
    report.skipped("tcb", "Firmware as certified; no minimum was given: " + words + ".");
  }

  if (policy.report_data) {
    auto bound =
        check_equal(policy.report_data, to_bytes(ByteView(snp->report_data)), Errc::binding_mismatch, "report_data");
    if (!bound) return stop(report, "report_data", bound.error());
    report.passed("report_data", "It carries what it must.");
  } else if (policy.require_challenge) {
    return stop(report, "report_data", {make_error_code(Errc::weak_policy), "no report_data is demanded"});
  } else {
    report.skipped("report_data", "No report_data was demanded: this may be a copy of somebody else's.");
  }

  auto guest = check_guest_policy(*snp, policy);
  if (!guest) return stop(report, "guest policy", guest.error());
  report.passed("guest policy", snp->debug() ? "Debugging is possible, which was allowed." : "No debugging.");

  Claims claims{.measurements = {{"measurement", to_bytes(ByteView(snp->measurement))},
                                 {"host_data", to_bytes(ByteView(snp->host_data))}},
                .public_key = {},
                .user_data = {},
                .nonce = {},
                .report_data = to_bytes(ByteView(snp->report_data)),
                .module = {},
                .debug = snp->debug()};
  auto measured = check_pins(policy, claims.measurements);
  if (measured && !policy.measurements.empty() && !policy.measurements.contains("measurement"))
    measured = fail(Errc::weak_policy, "pin measurement: host_data is the host's to choose");
  if (measured) measured = check_measurements(policy, claims.measurements, report);
  if (!measured) return stop(report, "measurement", measured.error());
  report.claims = std::move(claims);
  return {};
}

}  // namespace nmp::enclave
