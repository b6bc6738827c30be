#pragma once

#include <chrono>

#include "base/time.hpp"
#include "crypto/x509.hpp"
#include "enclave/limits.hpp"
#include "enclave/report.hpp"

namespace nmp::enclave {

/// The kinds of evidence that can be checked here.
enum class Kind { nitro, sev_snp };
[[nodiscard]] std::string_view to_text(Kind kind);  ///< "nitro", "sev-snp"

/// SVNs of AMD's firmware, each compared on its own. `fmc` exists from Turin on and is 0 before.
struct SnpTcb {
  std::uint8_t fmc = 0;
  std::uint8_t bootloader = 0;
  std::uint8_t tee = 0;
  std::uint8_t snp = 0;
  std::uint8_t microcode = 0;
  friend bool operator==(const SnpTcb&, const SnpTcb&) = default;
};

/// What the verifier demands. The defaults refuse all that is not asked away.
struct Policy {
  /// For each register, the values of which one must be there: "pcr0" to "pcr31", or "measurement", "host_data".
  std::map<std::string, std::vector<Bytes>> measurements;
  /// Without: evidence of any image will do. For looking at evidence, not for trusting it.
  bool require_measurement = true;
  /// Nitro: the challenge that the caller issued for this one document, and will not accept again.
  std::optional<Bytes> nonce;
  /// SEV-SNP: all 64 bytes, which hold a hash of the challenge and of the keys.
  std::optional<Bytes> report_data;
  /// Nitro: what the document must carry.
  std::optional<Bytes> public_key;
  std::optional<Bytes> user_data;
  /// Without: evidence of any time and for anybody will do, which a thief can present too.
  bool require_challenge = true;
  std::chrono::seconds age_max = kDocumentAgeMax;
  bool allow_debug = false;
  bool allow_migration = false;       ///< SEV-SNP: a migration agent.
  std::uint32_t vmpl_max = 0;         ///< SEV-SNP: the least privileged level whose reports count.
  std::optional<SnpTcb> tcb_minimum;  ///< SEV-SNP: of the reported, the committed and the launch TCB.
};

struct Evidence {
  Kind kind = Kind::nitro;
  ByteView bytes;                                 ///< Must outlive the call.
  std::vector<crypto::Certificate> certificates;  ///< SEV-SNP: VCEK or VLEK, and what signed it. Untrusted.
};

/// Checks evidence. No I/O, no clock: time, roots and certificates come in, so that a client, a command and a test
/// decide alike. Any thread.
class EnclaveVerifier {
 public:
  /// Trusts the makers' roots as of known_certificates.hpp.
  EnclaveVerifier();
  /// Trusts these alone, for whatever kind: another partition of AWS, or a test.
  explicit EnclaveVerifier(std::vector<crypto::Certificate> roots);

  /// Each step that was taken and what came of it, in the order that the kind prescribes.
  [[nodiscard]] Report verify(const Evidence& evidence, const Policy& policy, UnixSeconds now) const;

 private:
  Result<void> nitro(const Evidence& evidence, const Policy& policy, UnixSeconds now, Report& report) const;
  Result<void> sev_snp(const Evidence& evidence, const Policy& policy, UnixSeconds now, Report& report) const;

  std::vector<crypto::Certificate> roots_;
  std::vector<crypto::Certificate> helpers_;  ///< Known intermediates; untrusted.
};

}  // namespace nmp::enclave
