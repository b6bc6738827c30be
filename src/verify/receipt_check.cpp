#include "verify/receipt_check.hpp"

#include <algorithm>

#include "base/encoding.hpp"
#include "core/limits.hpp"

namespace nmp::verify {

std::error_code make_error_code(Errc code) {
  static const EnumCategory<Errc> category("verify", [](Errc value) -> std::string_view {
    switch (value) {
      case Errc::not_a_receipt: return "not_a_receipt";
      case Errc::bad_signature: return "bad_signature";
      case Errc::kind_mismatch: return "kind_mismatch";
      case Errc::signer_unpinned: return "signer_unpinned";
      case Errc::signer_mismatch: return "signer_mismatch";
      case Errc::intent_mismatch: return "intent_mismatch";
      case Errc::answer_mismatch: return "answer_mismatch";
      case Errc::module_mismatch: return "module_mismatch";
      case Errc::inputs_mismatch: return "inputs_mismatch";
      case Errc::evidence_mismatch: return "evidence_mismatch";
      case Errc::events_mismatch: return "events_mismatch";
      case Errc::dataset_mismatch: return "dataset_mismatch";
      case Errc::limits_mismatch: return "limits_mismatch";
      case Errc::field_mismatch: return "field_mismatch";
      case Errc::opening_missing: return "opening_missing";
      case Errc::log_unsupported: return "log_unsupported";
    }
    return "unknown";
  });
  return {static_cast<int>(code), category};
}

namespace {

class Checks {
 public:
  explicit Checks(Report& report) : report_(report) {}
  void compare(std::string name, bool holds, Errc code, std::string yes, std::string no) {
    report_.checks.push_back({.name = std::move(name),
                              .outcome = holds ? Outcome::passed : Outcome::failed,
                              .code = holds ? std::error_code() : make_error_code(code),
                              .words = holds ? std::move(yes) : std::move(no)});
  }
  void fails(std::string name, Errc code, std::string words) {
    compare(std::move(name), false, code, {}, std::move(words));
  }
  void skip(std::string name, std::string words) {
    report_.checks.push_back(
        {.name = std::move(name), .outcome = Outcome::not_checked, .code = {}, .words = std::move(words)});
  }

 private:
  Report& report_;
};

/// Fills report.receipt and the checks that need nothing but the receipt. Null if there is nothing to go on with.
const core::Receipt* check_form(ByteView bytes, core::ReceiptKind kind, Report& report) {
  Checks checks(report);
  auto received = core::parse_receipt(bytes);
  if (!received) {
    auto proof = core::decode_proof(bytes);
    if (proof) {
      received = core::parse_receipt(proof->receipt);
      if (proof->sth || proof->path) {
        // Bytes that nothing here checks must not pass as checked.
        checks.fails("log", Errc::log_unsupported, "It carries a log proof, which this version cannot check.");
      }
    }
  }
  if (!received) {
    checks.fails("form", Errc::not_a_receipt, "This is not a receipt: " + escape_text(received.error().message()));
    return nullptr;
  }
  report.receipt = *std::move(received);
  const auto& receipt = report.receipt->receipt;
  checks.compare("signature", core::verify_receipt(*report.receipt).has_value(), Errc::bad_signature,
                 "The signature of " + receipt.node.to_text() + " holds.", "The signature does not hold.");
  checks.compare("kind", receipt.kind == kind, Errc::kind_mismatch,
                 "The receipt is of kind " + std::string(core::to_text(kind)) + ".",
                 "The receipt is of kind " + std::string(core::to_text(receipt.kind)) + ", asked for was " +
                     std::string(core::to_text(kind)) + ".");
  if (kind != core::ReceiptKind::is_signed) {
    checks.fails("proof", Errc::kind_mismatch, "Proofs of this kind cannot be checked by this version.");
  }
  if (receipt.log_id) checks.skip("log", "It names a position in the node's log, which is not looked up.");
  return &receipt;
}

}  // namespace

bool Report::ok() const {
  const auto passed = [this](std::string_view name) {
    return std::ranges::any_of(checks,
                               [name](const Check& c) { return c.name == name && c.outcome == Outcome::passed; });
  };
  return receipt && !failure() && passed("signature") && passed("signer");
}

std::optional<Error> Report::failure() const {
  const auto found = std::ranges::find(checks, Outcome::failed, &Check::outcome);
  if (found == checks.end()) return std::nullopt;
  return Error{found->code, found->words};
}

Result<Bytes> read_receipt_text(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  // 4/3 of the largest proof, and padding.
  if (text.size() > core::kProofBytesMax / 3 * 4 + 8) return fail(Errc::not_a_receipt, "too large");
  auto bytes = base64_decode(text);
  if (!bytes || bytes->empty() || base64_encode(*bytes) != text) return fail(Errc::not_a_receipt, "not strict base64");
  return *std::move(bytes);
}

Report check_receipt(ByteView bytes, const Expectations& expected) {
  Report report;
  const auto* form = check_form(bytes, expected.kind, report);
  if (form == nullptr) return report;
  Checks checks(report);
  const auto& receipt = *form;
  const auto signer = receipt.node.to_text();
  if (expected.signer && *expected.signer != receipt.node) {
    checks.fails("signer", Errc::signer_mismatch,
                 "It is signed by " + signer + ", not by " + expected.signer->to_text() + ".");
  } else {
    const bool pinned =
        expected.signer.has_value() || std::ranges::find(expected.pinned, receipt.node) != expected.pinned.end();
    checks.compare("signer", pinned, Errc::signer_unpinned, "The signer " + signer + " is pinned.",
                   "Nothing pins the signer " + signer + ": anybody could have signed this.");
  }
  if (expected.module) {
    checks.compare("module", crypto::sha256(*expected.module) == receipt.module_hash, Errc::module_mismatch,
                   "This module is what ran.", "Another module ran.");
  } else {
    checks.skip("module", "No module was given to compare.");
  }
  if (!expected.inputs) {
    checks.skip("inputs", "No inputs were given to compare.");
  } else if (!expected.input_salt) {
    checks.fails("inputs", Errc::opening_missing, "Inputs cannot be compared without their salt.");
  } else {
    checks.compare("inputs", core::commit_inputs(*expected.input_salt, *expected.inputs) == receipt.input_commitment,
                   Errc::inputs_mismatch, "These inputs were given to it.", "Other inputs were given to it.");
  }
  if (!expected.evidence) {
    checks.skip("evidence", "No evidence was given to compare.");
  } else if (!expected.openings) {
    checks.fails("evidence", Errc::opening_missing, "Evidence cannot be compared without its salt.");
  } else {
    checks.compare(
        "evidence",
        core::commit_evidence(expected.openings->evidence_salt, *expected.evidence) == receipt.evidence_commitment,
        Errc::evidence_mismatch, "This evidence is what came out.", "Other evidence came out.");
  }
  if (!expected.events) {
    checks.skip("events", "No events were given to compare.");
  } else if (!expected.openings) {
    checks.fails("events", Errc::opening_missing, "Events cannot be compared without their salt.");
  } else {
    core::EventChain chain(expected.openings->evidence_salt, receipt.answer_hash);
    for (const auto& event : *expected.events) chain.add(event);
    checks.compare("events", chain.count() == receipt.event_count && chain.value() == receipt.event_chain,
                   Errc::events_mismatch, "These events, and no others, came in this order.", "Other events came.");
  }
  if (expected.commitment) {
    const bool found =
        std::ranges::any_of(receipt.datasets, [&](const auto& d) { return d.second == *expected.commitment; });
    checks.compare("dataset", found, Errc::dataset_mismatch, "It ran over data of this commitment.",
                   "It did not run over data of this commitment.");
  } else {
    checks.skip("dataset", "No commitment was given to compare.");
  }
  return report;
}

Report check_own_receipt(ByteView proof, const RunKnowledge& run) {
  NMP_ASSERT(run.intent != nullptr && run.effective_limits != nullptr && run.inputs != nullptr &&
             run.event_hashes != nullptr);
  const auto& intent = run.intent->intent;
  Report report;
  const auto* form = check_form(proof, intent.receipt_kind, report);
  if (form == nullptr) return report;
  Checks checks(report);
  const auto& receipt = *form;
  checks.compare("signer", receipt.node == intent.node, Errc::signer_mismatch, "The chosen node signed it.",
                 "Another than the chosen node signed it.");
  checks.compare("intent", receipt.intent_hash == run.intent->hash, Errc::intent_mismatch, "It answers this intent.",
                 "It answers another intent.");
  checks.compare("answer", receipt.answer_hash == run.answer_hash, Errc::answer_mismatch,
                 "It belongs to this negotiation.", "It belongs to another negotiation.");
  checks.compare("module", receipt.module_hash == intent.module_hash, Errc::module_mismatch,
                 "The module that was sent ran.", "Another module ran.");
  checks.compare("inputs",
                 receipt.input_commitment == intent.input_commitment &&
                     core::commit_inputs(run.input_salt, *run.inputs) == receipt.input_commitment,
                 Errc::inputs_mismatch, "The inputs that were sent were used.", "Other inputs were used.");
  checks.compare("evidence",
                 core::commit_evidence(run.openings.evidence_salt, run.evidence) == receipt.evidence_commitment,
                 Errc::evidence_mismatch, "The evidence is what it names.", "The evidence is not what it names.");
  core::EventChain chain(run.openings.evidence_salt, run.answer_hash);
  for (const auto& hash : *run.event_hashes) chain.add_hash(hash);
  checks.compare("events", chain.count() == receipt.event_count && chain.value() == receipt.event_chain,
                 Errc::events_mismatch, "The events are those that it names.", "Events are missing, added or altered.");
  checks.compare("limits", receipt.limits == *run.effective_limits, Errc::limits_mismatch,
                 "It ran under the limits agreed.", "It ran under other limits.");
  const bool fields = receipt.op == intent.op && receipt.capability == intent.capability &&
                      receipt.agent == intent.agent && receipt.run == run.run && receipt.envelope == run.envelope &&
                      receipt.via == intent.via && receipt.grant_id.has_value() == intent.grant_hash.has_value() &&
                      receipt.enclave_evidence == run.enclave_evidence;
  checks.compare("fields", fields, Errc::field_mismatch,
                 "Operation, capability, agent, run and envelope are those agreed.",
                 "Operation, capability, agent, run, grant, via, envelope or enclave differ from what was agreed.");
  const auto skew = core::kClockSkewMax.count();
  if (receipt.started + skew < run.sent || receipt.finished > run.received + skew) {
    checks.skip("times", "The node's clock and this one's disagree.");
  } else {
    checks.compare("times", true, Errc::field_mismatch, "Its times fit this clock.", {});
  }
  return report;
}

}  // namespace nmp::verify
