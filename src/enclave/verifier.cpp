#include "enclave/verifier.hpp"

#include <fmt/format.h>

#include "base/encoding.hpp"
#include "enclave/known_certificates.hpp"
#include "enclave/steps.hpp"

namespace nmp::enclave {
namespace {

/// SHA-256 of the DER of the makers' roots. Nitro: AWS, "Verifying the root of trust" (commercial partition). SEV-SNP:
/// the ARKs of Milan, Genoa and Turin as AMD's key distribution service gives them.
constexpr std::array<std::string_view, 4> kRootFingerprints = {
    "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b",
    "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
    "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
    "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
};

Errc code_of(const std::error_code& code) {
  if (code == crypto::ChainErrc::untrusted) return Errc::certificate_missing;
  if (code == crypto::ChainErrc::expired) return Errc::certificate_expired;
  if (code == crypto::ChainErrc::not_yet_valid) return Errc::certificate_not_yet_valid;
  return Errc::bad_chain;
}

}  // namespace

std::string_view to_text(Kind kind) { return kind == Kind::nitro ? "nitro" : "sev-snp"; }

EnclaveVerifier::EnclaveVerifier() {
  for (const auto text : known_certificates_pem()) {
    auto certificates = crypto::certificates_from_pem(text);
    NMP_ASSERT(certificates);
    for (auto& one : *certificates) {
      const bool root = std::ranges::find(kRootFingerprints, hex_encode(one.fingerprint())) != kRootFingerprints.end();
      (root ? roots_ : helpers_).push_back(std::move(one));
    }
  }
  NMP_ASSERT(roots_.size() == kRootFingerprints.size());
}

EnclaveVerifier::EnclaveVerifier(std::vector<crypto::Certificate> roots) : roots_(std::move(roots)) {}

Report EnclaveVerifier::verify(const Evidence& evidence, const Policy& policy, UnixSeconds now) const {
  Report report;
  Result<void> done =
      evidence.kind == Kind::nitro ? nitro(evidence, policy, now, report) : sev_snp(evidence, policy, now, report);
  NMP_ASSERT(done.has_value() == report.ok() && report.ok() != report.failure().has_value());
  return report;
}

std::unexpected<Error> stop(Report& report, const char* step, Error error) {
  report.failed(step, error);
  return fail(std::move(error));
}

Result<std::vector<crypto::Certificate>> check_chain(const ChainQuestion& question) {
  auto chain = crypto::verify_chain(question.leaf, question.others, {.now = question.now, .roots = question.roots});
  if (!chain) return fail(code_of(chain.error().code), chain.error().context);
  if (question.leaf.is_ca()) return fail(Errc::bad_chain, "the leaf certificate is a CA");
  for (std::size_t i = 1; i < chain->size(); ++i) {
    const auto& issuer = (*chain)[i];
    if (!issuer.is_ca() || !issuer.may_sign_certificates())
      return fail(Errc::bad_chain, "may not sign certificates: " + issuer.subject());
  }
  return *std::move(chain);
}

Result<void> check_pins(const Policy& policy, const std::map<std::string, Bytes>& known) {
  if (policy.measurements.empty() && policy.require_measurement)
    return fail(Errc::weak_policy, "no measurement is pinned");
  for (const auto& [name, values] : policy.measurements) {
    const auto found = known.find(name);
    if (found == known.end()) return fail(Errc::weak_policy, "the evidence has no " + name);
    if (values.empty()) return fail(Errc::weak_policy, "no value is allowed for " + name);
    for (const auto& value : values) {
      if (value.size() != found->second.size())
        return fail(Errc::weak_policy, fmt::format("{} has {} bytes", name, found->second.size()));
    }
  }
  return {};
}

Result<void> check_measurements(const Policy& policy, const std::map<std::string, Bytes>& found, Report& report) {
  if (policy.measurements.empty()) {
    report.skipped("measurement", "No measurement was pinned: this may be any image.");
    return {};
  }
  std::string names;
  for (const auto& [name, values] : policy.measurements) {
    const auto& value = found.at(name);
    if (std::ranges::find(values, value) == values.end())
      return fail(Errc::measurement_mismatch, fmt::format("{} is {}", name, hex_encode(value)));
    names += (names.empty() ? "" : ", ") + name;
  }
  report.passed("measurement", "As pinned: " + names + ".");
  return {};
}

Result<void> check_equal(const std::optional<Bytes>& wanted,
                         const std::optional<Bytes>& found,
                         Errc code,
                         const char* what) {
  if (!wanted || (found && equal_constant_time(*wanted, *found))) return {};
  return fail(code, found ? std::string(what) + " is another" : std::string("no ") + what);
}

bool all_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace nmp::enclave
