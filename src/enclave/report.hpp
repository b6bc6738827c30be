#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace nmp::enclave {

enum class Outcome { passed, failed, not_checked };

/// One step of a verification, for people and scripts.
struct Check {
  std::string name;  ///< "format", "chain", "signature", "freshness", "nonce", "debug", "measurement", ...
  Outcome outcome = Outcome::not_checked;
  std::error_code code;  ///< If failed.
  std::string words;     ///< One sentence. May hold the evidence's text: escape it.
};

/// What the evidence says; there only once everything else held.
struct Claims {
  std::map<std::string, Bytes> measurements;  ///< By the names of a policy: "pcr0", "measurement", "host_data".
  std::optional<Bytes> public_key;            ///< nitro
  std::optional<Bytes> user_data;             ///< nitro
  std::optional<Bytes> nonce;                 ///< nitro
  std::optional<Bytes> report_data;           ///< sev-snp: 64 bytes that the guest chose.
  std::string module;                         ///< nitro: the enclave's name at AWS. Escape it.
  bool debug = false;                         ///< The host can look inside; the policy allowed it.
};

/// The steps in their order. The first failure is the last step: what follows would judge unproven bytes.
struct Report {
  std::vector<Check> checks;
  std::optional<Claims> claims;  ///< Exactly if ok().
  [[nodiscard]] bool ok() const { return claims.has_value(); }
  [[nodiscard]] std::optional<Error> failure() const {
    for (const auto& check : checks) {
      if (check.outcome == Outcome::failed) return Error{check.code, check.words};
    }
    return std::nullopt;
  }

  void passed(std::string name, std::string words) {
    checks.push_back({std::move(name), Outcome::passed, {}, std::move(words)});
  }
  void skipped(std::string name, std::string words) {
    checks.push_back({std::move(name), Outcome::not_checked, {}, std::move(words)});
  }
  void failed(std::string name, Error error) {
    checks.push_back({std::move(name), Outcome::failed, error.code, std::move(error.context)});
  }
};

}  // namespace nmp::enclave
