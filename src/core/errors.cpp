#include "core/errors.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "base/result.hpp"
#include "core/errc.hpp"
#include "crypto/errors.hpp"
#include "pq/errors.hpp"

namespace nmp::core {
namespace {

using namespace exit_code;

// clang-format off
constexpr std::array kReasons{
    Reason{"agent_mismatch", 7, kRefused, Cause::agent,
           "The caller is not the agent that the intent names.",
           "Connect with the key that signs the intent."},
    Reason{"bad_agent_did", 3, kRefused, Cause::agent,
           "agent_did is not a canonical did:key of an Ed25519 key, or not the intent's agent.",
           "Send the DID of the signing key."},
    Reason{"bad_answer", 9, kVerification, Cause::node,
           "The node's signed answer does not fit what was asked, or is not signed by the chosen node.",
           "Do not send data; someone between may be interfering, or the node is broken."},
    Reason{"bad_manifest", 9, kVerification, Cause::node,
           "The node's manifest is not signed by it, has expired, or is older than one seen before.",
           "Choose another node; if it persists, something between interferes."},
    Reason{"bad_module", 3, kRefused, Cause::filter,
           "The module is not what the intent names, or the guardian refuses it.",
           "Run `nmp filter check FILE`."},
    Reason{"bad_name", 3, kUsage, Cause::agent,
           "A capability, dataset or input name is not of the form [a-z0-9][a-z0-9._-]{0,62}.",
           "Correct the name."},
    Reason{"bad_receipt", 15, kVerification, Cause::node,
           "The receipt does not hold: signature, signer or content.",
           "Do not rely on the result."},
    Reason{"bad_request", 3, kRefused, Cause::agent,
           "A message or statement is not of its format.",
           "Update the client; both sides must speak nmp.v1."},
    Reason{"busy", 8, kRefused, Cause::node,
           "No room for one more run.",
           "Try again shortly, or choose another node."},
    Reason{"cancelled", 1, kInterrupted, Cause::agent,
           "The caller went away or asked to stop.",
           "Nothing to do."},
    Reason{"clock_behind", 9, kRefused, Cause::node,
           "The node's clock is over five minutes behind a time it has already seen; it refuses everything.",
           "The node's operator must correct its clock."},
    Reason{"dataset_unavailable", 14, kRefused, Cause::node,
           "A dataset's folder cannot be opened or walked.",
           "The node's operator must look at the dataset."},
    Reason{"deadline_exceeded", 4, kRefused, Cause::network,
           "The call's deadline passed.",
           "Raise --timeout, or give the filter less to do."},
    Reason{"engine_failed", 13, kRefused, Cause::node,
           "The engine or the operating system failed.",
           "The node's log says more."},
    Reason{"envelope", 3, kRefused, Cause::agent,
           "A sealed box does not open.",
           "Negotiate anew; if it persists, something between alters messages."},
    Reason{"event_limit", 8, kFilterFailed, Cause::filter,
           "The filter sent more events than it may.",
           "Send fewer, or ask for more."},
    Reason{"exit_code", 2, kFilterFailed, Cause::filter,
           "The filter ended with an exit code other than 0.",
           "Read its diagnostics."},
    Reason{"expired", 9, kRefused, Cause::agent,
           "The statement's time has passed.",
           "Check the clocks of both sides and try again."},
    Reason{"fuel_exhausted", 8, kFilterFailed, Cause::filter,
           "The filter used all its fuel.",
           "Give it less to do, or ask for more fuel."},
    Reason{"grant_required", 7, kRefused, Cause::agent,
           "The capability is not open, and no grant came with the intent.",
           "Ask the data owner for a token (--token)."},
    Reason{"guest_misuse", 3, kFilterFailed, Cause::filter,
           "The filter used an import against its contract, such as a pointer outside its memory.",
           "Correct the filter."},
    Reason{"inputs_invalid", 3, kRefused, Cause::agent,
           "Inputs are over their ceilings, or not what the intent committed to.",
           "Send the inputs that were signed, and fewer."},
    Reason{"intent_refused", 16, kRefused, Cause::agent,
           "The proof of intent does not hold. Until its signature is checked no more is said.",
           "Check clock, node and key; the node's log knows the step."},
    Reason{"internal", 13, kRefused, Cause::node,
           "Something failed that should not.",
           "The node's log says more; please report it."},
    Reason{"invalid_module", 3, kRefused, Cause::filter,
           "The compiler refuses the module.",
           "Run `nmp filter check FILE`."},
    Reason{"life_too_long", 3, kRefused, Cause::agent,
           "The statement lives longer than allowed.",
           "An intent lives 120 s at most."},
    Reason{"limits_raised", 9, kVerification, Cause::node,
           "The node answered with limits above what was asked.",
           "Do not use this node."},
    Reason{"memory_limit", 8, kFilterFailed, Cause::filter,
           "The filter asked for more memory than it may use.",
           "Use less, or ask for more (--memory)."},
    Reason{"memory_out_of_bounds", 3, kFilterFailed, Cause::filter,
           "The filter touched memory that it does not have.",
           "Correct the filter."},
    Reason{"misdelivered", 9, kRefused, Cause::agent,
           "The intent names another node.",
           "Send it to the node that it names."},
    Reason{"module_mismatch", 3, kRefused, Cause::agent,
           "The module's bytes are not those of the signed hash.",
           "Send the module that was signed."},
    Reason{"module_refused", 3, kRefused, Cause::filter,
           "The guardian refuses the module; the message says which rule.",
           "Run `nmp filter check FILE`."},
    Reason{"module_unknown", 5, kRefused, Cause::agent,
           "Run by hash, but the node does not hold that module for this account.",
           "Send the module's bytes."},
    Reason{"no_common_suite", 9, kRefused, Cause::agent,
           "The node knows none of the offered suites.",
           "Update the older side."},
    Reason{"nobody_found", 5, kNobody, Cause::network,
           "The mesh knows no provider of the capability.",
           "Check the name; a young mesh may need a moment."},
    Reason{"nobody_reachable", 14, kNobody, Cause::network,
           "Nobody answered at any known address.",
           "Check the addresses, and whether UDP passes."},
    Reason{"not_available", 12, kRefused, Cause::node,
           "This node cannot do that (yet).",
           "Choose another node, or do without."},
    Reason{"not_found", 5, kNobody, Cause::agent,
           "There is no such thing, or not for this caller.",
           "Check the name."},
    Reason{"not_yet", 9, kRefused, Cause::agent,
           "The statement was issued in the future.",
           "Check the clocks of both sides."},
    Reason{"output_limit", 8, kFilterFailed, Cause::filter,
           "The filter's output is over its limit.",
           "Write less, or ask for more."},
    Reason{"overloaded", 8, kRefused, Cause::node,
           "A limit of the node is reached.",
           "Try again later."},
    Reason{"protocol", 13, kRefused, Cause::node,
           "Two parts of the node disagree about the engine's protocol.",
           "The node's log says more; please report it."},
    Reason{"replayed", 6, kRefused, Cause::agent,
           "This intent was accepted before.",
           "Make a new intent for each call."},
    Reason{"run_reused", 9, kRefused, Cause::agent,
           "Run numbers of a session rise, and this one did not.",
           "Use the next run number."},
    Reason{"session_unknown", 16, kRefused, Cause::agent,
           "The session token is unknown, expired, spent or another peer's.",
           "Negotiate anew."},
    Reason{"signer_unpinned", 7, kVerification, Cause::agent,
           "The receipt holds, but nothing pins its signer.",
           "Give --peer, or list the peer in the trust file."},
    Reason{"stack_overflow", 3, kFilterFailed, Cause::filter,
           "The filter's call stack overflowed.",
           "Recurse less."},
    Reason{"stale_manifest", 9, kNobody, Cause::node,
           "The manifest is older than one already seen of this node, or differs under the same number.",
           "Wait for its next manifest; a copy may be replayed."},
    Reason{"start_failed", 3, kFilterFailed, Cause::filter,
           "The module could not be instantiated.",
           "A segment is out of bounds, or it declares more than it may use."},
    Reason{"storage_failed", 14, kRefused, Cause::node,
           "The node cannot write to its disk.",
           "The node's operator must look at the disk; nothing ran."},
    Reason{"too_large", 8, kRefused, Cause::agent,
           "A message or a part of it is over its ceiling.",
           "Send less."},
    Reason{"too_many_intents", 8, kRefused, Cause::agent,
           "This agent has as many live intents at this node as it may have.",
           "Wait two minutes."},
    Reason{"too_many_sessions", 8, kRefused, Cause::agent,
           "Too many open sessions.",
           "Use or drop those that are open."},
    Reason{"too_many_watchdogs", 8, kRefused, Cause::agent,
           "This agent, or the node, has as many watchdogs as it may have.",
           "Stop one (`nmp watch stop`)."},
    Reason{"trap", 3, kFilterFailed, Cause::filter,
           "The filter trapped.",
           "Read its diagnostics; the message names the trap."},
    Reason{"truncated", 15, kVerification, Cause::network,
           "The stream ended without its final box.",
           "Try again; the answer is incomplete and must not be used."},
    Reason{"unavailable", 14, kNobody, Cause::network,
           "The node cannot be reached, or is closing.",
           "Try again, or choose another node."},
    Reason{"unknown_capability", 5, kRefused, Cause::agent,
           "The node does not offer this capability.",
           "Ask `nmp describe PEER` what it offers."},
    Reason{"unreachable", 3, kFilterFailed, Cause::filter,
           "The filter stopped itself (unreachable, abort).",
           "Read its diagnostics."},
    Reason{"usage", 3, kUsage, Cause::agent,
           "The command line does not make sense.",
           "See --help."},
    Reason{"wall_time", 4, kFilterFailed, Cause::filter,
           "The filter ran longer than it may.",
           "Give it less to do, or ask for more time."},
    Reason{"wrong_operation", 9, kRefused, Cause::agent,
           "The intent was signed for another operation.",
           "Sign one intent for each operation."},
};
// clang-format on
static_assert(std::ranges::is_sorted(kReasons, {}, &Reason::reason));

std::string_view name_of(Errc code) {
  switch (code) {
    case Errc::bad_name: return "bad_name";
    case Errc::bad_did: return "bad_agent_did";
    case Errc::bad_statement: return "bad_request";
    case Errc::bad_signature:
    case Errc::wrong_kid: return "intent_refused";
    case Errc::expired: return "expired";
    case Errc::not_yet: return "not_yet";
    case Errc::life_too_long: return "life_too_long";
    case Errc::misdelivered:
    case Errc::reflected: return "misdelivered";
    case Errc::wrong_caller: return "agent_mismatch";
    case Errc::wrong_operation: return "wrong_operation";
    case Errc::field_mismatch: return "bad_request";
    case Errc::no_common_suite: return "no_common_suite";
    case Errc::wrong_intent:
    case Errc::key_mismatch:
    case Errc::token_mismatch:
    case Errc::evidence_mismatch:
    case Errc::manifest_mismatch: return "bad_answer";
    case Errc::limits_raised: return "limits_raised";
    // An ill-formed token says no more than an unknown one.
    case Errc::bad_token: return "session_unknown";
    case Errc::envelope:
    case Errc::bad_box:
    case Errc::after_final:
    case Errc::counter_exhausted: return "envelope";
    case Errc::run_reused: return "run_reused";
    case Errc::stream_truncated: return "truncated";
    case Errc::stale_sequence: return "stale_manifest";
    case Errc::bad_key:
    case Errc::bad_trust_file: return "bad_request";
  }
  return "internal";
}

std::string_view name_of(nmp::Errc code) {
  switch (code) {
    case nmp::Errc::cancelled: return "cancelled";
    case nmp::Errc::deadline_exceeded: return "deadline_exceeded";
    case nmp::Errc::truncated:
    case nmp::Errc::malformed: return "bad_request";
    case nmp::Errc::too_large: return "too_large";
    case nmp::Errc::unsupported: return "not_available";
    case nmp::Errc::not_found: return "not_found";
    case nmp::Errc::exhausted: return "overloaded";
    case nmp::Errc::closed:
    case nmp::Errc::unavailable: return "unavailable";
    case nmp::Errc::io:
    case nmp::Errc::already_exists: return "internal";
  }
  return "internal";
}

template <class Code>
bool is(const std::error_code& code, Code any) {
  return code.category() == make_error_code(any).category();
}

}  // namespace

std::string_view to_text(Cause cause) {
  switch (cause) {
    case Cause::agent: return "agent";
    case Cause::node: return "node";
    case Cause::filter: return "filter";
    case Cause::network: return "network";
  }
  return "node";
}

std::span<const Reason> reasons() { return kReasons; }

const Reason* find_reason(std::string_view reason) {
  const auto found = std::ranges::lower_bound(kReasons, reason, {}, &Reason::reason);
  return found != kReasons.end() && found->reason == reason ? &*found : nullptr;
}

const Reason& reason_of(const std::error_code& code) {
  std::string_view name = "internal";
  if (is(code, Errc::bad_name)) {
    name = name_of(static_cast<Errc>(code.value()));
  } else if (is(code, nmp::Errc::cancelled)) {
    name = name_of(static_cast<nmp::Errc>(code.value()));
  } else if (is(code, crypto::Errc::forged)) {
    name = code == crypto::Errc::forged ? "envelope" : code == crypto::Errc::too_large ? "too_large" : "bad_request";
  } else if (is(code, pq::Errc::malformed)) {
    name = code == pq::Errc::internal ? "internal" : "envelope";
  }
  const auto* row = find_reason(name);
  NMP_ASSERT(row != nullptr);
  return *row;
}

std::string errors_markdown() {
  constexpr std::array<std::string_view, 17> kCodes{
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  std::string out =
      "# Reasons\n\n"
      "Every refusal carries one of these as `ErrorInfo.reason` (domain `nmp`), in a sealed host error, or as a "
      "receipt's exit.\n"
      "The table is `src/core/errors.cpp`; a test compares this file with it.\n\n"
      "| reason | gRPC code | exit code | who can act | meaning | what to do |\n|---|---|---|---|---|---|\n";
  for (const auto& row : kReasons) {
    out += "| `" + std::string(row.reason) + "` | " + std::string(kCodes[static_cast<std::size_t>(row.grpc_code)]) +
           " | " + std::to_string(row.exit) + " | " + std::string(to_text(row.cause)) + " | " +
           std::string(row.meaning) + " | " + std::string(row.advice) + " |\n";
  }
  return out;
}

}  // namespace nmp::core
