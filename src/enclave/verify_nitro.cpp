#include <fmt/format.h>

#include "base/encoding.hpp"
#include "enclave/nitro_document.hpp"
#include "enclave/steps.hpp"

namespace nmp::enclave {
namespace {

using Certificates = std::vector<crypto::Certificate>;

struct Leaf {
  crypto::Certificate certificate;
  crypto::EcdsaPublicKey key;
};

Result<crypto::Certificate> read_certificate(ByteView der) {
  auto certificate = crypto::Certificate::from_der(der);
  if (!certificate) return fail(Errc::malformed, certificate.error().message());
  return *std::move(certificate);
}

/// The bundle's root must be a pinned one by its bytes; then the chain, in the bundle's order, all of it P-384.
Result<Leaf> check_bundle(const NitroDocument& document, const Certificates& roots, UnixSeconds now) {
  NMP_TRY(auto leaf, read_certificate(document.certificate));
  Certificates bundle;
  for (const auto& der : document.cabundle) {
    NMP_TRY(auto one, read_certificate(der));
    bundle.push_back(std::move(one));
  }
  const auto is_first = [&](const crypto::Certificate& root) { return root.same_as(bundle.front()); };
  const auto root = std::ranges::find_if(roots, is_first);
  if (root == roots.end()) return fail(Errc::root_mismatch, "not a pinned root: " + bundle.front().subject());

  NMP_TRY(auto chain, check_chain({.leaf = leaf, .others = bundle, .roots = {*root}, .now = now}));
  if (chain.size() != bundle.size() + 1) return fail(Errc::bad_chain, "the bundle is not one chain");
  for (std::size_t i = 0; i < bundle.size(); ++i) {
    if (!chain[chain.size() - 1 - i].same_as(bundle[i])) return fail(Errc::bad_chain, "the bundle is out of order");
  }
  for (const auto& one : chain) {
    if (one.signed_with() != crypto::SignedWith::ecdsa_sha384 || one.key_kind() != crypto::KeyKind::p384)
      return fail(Errc::wrong_algorithm, "not ECDSA P-384 with SHA-384: " + one.subject());
  }
  if (!leaf.may_sign_data()) return fail(Errc::bad_chain, "the leaf certificate may not sign");
  auto key = leaf.ecdsa_key();
  if (!key) return fail(Errc::wrong_algorithm, key.error().message());
  return Leaf{.certificate = std::move(leaf), .key = *std::move(key)};
}

Result<void> check_time(const NitroDocument& document, const Policy& policy, UnixSeconds now) {
  const auto made = document.timestamp_ms / 1000;
  const auto at = static_cast<std::uint64_t>(std::max<UnixSeconds>(now, 0));
  const auto most = static_cast<std::uint64_t>(policy.age_max.count());
  if (made > at && made - at > most) return fail(Errc::from_the_future, fmt::format("made {} s from now", made - at));
  if (at > made && at - made > most) return fail(Errc::stale, fmt::format("made {} s ago", at - made));
  return {};
}

/// PCR2 of an image whose one ramdisk is the boot ramdisk is the hash of nothing, so it says nothing alone; PCR8 names
/// who signed an image, not which; zeros are what debug mode shows.
Result<void> check_pin_strength(const Policy& policy) {
  if (policy.measurements.empty()) return {};
  const auto pinned = [&](const char* name) { return policy.measurements.contains(name); };
  if (!pinned("pcr0") && !(pinned("pcr8") && (pinned("pcr1") || pinned("pcr2"))))
    return fail(Errc::weak_policy, "pin pcr0, or pcr8 together with pcr1 or pcr2");
  for (const auto* name : {"pcr0", "pcr1", "pcr2", "pcr8"}) {
    const auto at = policy.measurements.find(name);
    if (policy.allow_debug || at == policy.measurements.end()) continue;
    if (std::ranges::any_of(at->second, [](const Bytes& value) { return all_zero(value); }))
      return fail(Errc::weak_policy, std::string(name) + " of zeros is anybody's");
  }
  return {};
}

/// The hypervisor zeroes PCR0 to 2 of an enclave in debug mode; one that lacks them proves nothing either.
bool is_debug(const NitroDocument& document) {
  for (unsigned index = 0; index < 3; ++index) {
    const auto at = document.pcrs.find(index);
    if (at == document.pcrs.end() || all_zero(at->second)) return true;
  }
  return false;
}

}  // namespace

Result<void> EnclaveVerifier::nitro(const Evidence& evidence,
                                    const Policy& policy,
                                    UnixSeconds now,
                                    Report& report) const {
  auto received = parse_nitro_document(evidence.bytes);
  if (!received) return stop(report, "format", received.error());
  const auto& document = received->document;
  report.passed("format", fmt::format("A document of {} with {} registers, signed with ES384.",
                                      escape_text(document.module_id), document.pcrs.size()));

  auto leaf = check_bundle(document, roots_, now);
  if (!leaf) return stop(report, "chain", leaf.error());
  report.passed("chain",
                fmt::format("{} certificates up to a pinned root, all valid then.", document.cabundle.size() + 1));

  if (!cose::verify_es384(received->cose, leaf->key))
    return stop(report, "signature", {make_error_code(Errc::bad_signature), "not signed by the leaf's key"});
  report.passed("signature", "Signed by the security module's key.");

  if (auto fresh = check_time(document, policy, now); !fresh) return stop(report, "freshness", fresh.error());
  report.passed("freshness", fmt::format("Made within {} s of the time given.", policy.age_max.count()));

  if (policy.nonce) {
    auto same = check_equal(policy.nonce, document.nonce, Errc::nonce_mismatch, "nonce");
    if (!same) return stop(report, "nonce", same.error());
    report.passed("nonce", "Made for this challenge.");
  } else if (policy.require_challenge) {
    return stop(report, "nonce", {make_error_code(Errc::weak_policy), "no nonce is demanded"});
  } else {
    report.skipped("nonce", "No nonce was demanded: this may be a copy of somebody else's.");
  }

  if (is_debug(document) && !policy.allow_debug)
    return stop(report, "debug", {make_error_code(Errc::debug_mode), "registers 0 to 2 are zero"});
  report.passed("debug", is_debug(document) ? "Debug mode, which was allowed." : "Not in debug mode.");

  Claims claims{.measurements = {},
                .public_key = document.public_key,
                .user_data = document.user_data,
                .nonce = document.nonce,
                .report_data = {},
                .module = document.module_id,
                .debug = is_debug(document)};
  for (const auto& [index, value] : document.pcrs) claims.measurements.emplace(fmt::format("pcr{}", index), value);
  auto measured = check_pins(policy, claims.measurements);
  if (measured) measured = check_pin_strength(policy);
  if (measured) measured = check_measurements(policy, claims.measurements, report);
  if (!measured) return stop(report, "measurement", measured.error());

  auto bound = check_equal(policy.public_key, document.public_key, Errc::binding_mismatch, "public_key");
  if (bound) bound = check_equal(policy.user_data, document.user_data, Errc::binding_mismatch, "user_data");
  if (!bound) return stop(report, "binding", bound.error());
  if (policy.public_key || policy.user_data) report.passed("binding", "It carries what it must.");
  report.claims = std::move(claims);
  return {};
}

}  // namespace nmp::enclave
