#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/encoding.hpp"
#include "cli/commands.hpp"
#include "cli/limits.hpp"
#include "cli/tree.hpp"
#include "core/did.hpp"
#include "core/limits.hpp"
#include "core/trust.hpp"
#include "verify/receipt_check.hpp"

namespace nmp::cli {
namespace {

std::string_view word_of(verify::Outcome outcome) {
  switch (outcome) {
    case verify::Outcome::passed: return "passed";
    case verify::Outcome::failed: return "failed";
    case verify::Outcome::not_checked: return "not_checked";
  }
  return "not_checked";
}

/// Adds the trust file's peers. What is wrong with it, or nothing.
std::optional<std::string> add_trusted(const VerifyOptions& options, std::vector<libp2p::PeerId>& pinned) {
  const auto file = options.trust.value_or(trust_file(options.common));
  std::error_code error;
  if (!options.trust && !std::filesystem::exists(file, error)) return std::nullopt;
  auto text = read_file("--trust", file, core::kTrustFileBytesMax);
  auto trust = core::TrustFile::parse(text_of(text));
  if (!trust) return fmt::format("{}: {}", file.string(), trust.error().message());
  for (const auto& peer : trust->peers()) pinned.push_back(peer.peer);
  return std::nullopt;
}

}  // namespace

void add_verify(CLI::App& root, Pending& pending) {
  struct Flags {
    CommonOptions common;
    std::string receipt, trust, module, evidence, commitment;
    std::vector<std::string> peers, inputs;
  };
  auto flags = std::make_shared<Flags>();  // the option declarations and the callback
  auto& command = *root.add_subcommand("verify", "Check a receipt: who signed it, and what it says ran on what.");
  auto all = CLI::MultiOptionPolicy::TakeAll;
  command.add_option("RECEIPT", flags->receipt, "file that `nmp run --receipt-out` wrote")->required();
  command.add_option("--peer", flags->peers, "peer ID or DID whose signature counts; may be repeated")
      ->type_name("PEER")
      ->expected(1)
      ->multi_option_policy(all);
  command.add_option("--trust", flags->trust, "file of peers whose signature counts (STATE/trust)")->type_name("FILE");
  command.add_option("--module", flags->module, "the filter that should have run")->type_name("FILE");
  command.add_option("--input", flags->inputs, "NAME=VALUE or NAME=@FILE: the inputs it should have had")
      ->type_name("NAME=VALUE")
      ->expected(1)
      ->multi_option_policy(all);
  command.add_option("--evidence", flags->evidence, "the answer it should have given")->type_name("FILE");
  command.add_option("--commitment", flags->commitment, "a dataset's commitment that it must name")->type_name("HEX");
  add_common(command, flags->common);
  examples(command,
           "  nmp verify receipt --peer 12D3Koo... --module log_scan.wasm\n"
           "  nmp verify receipt --trust hospitals.txt --json");
  command.callback([flags, &pending] {
    finish(flags->common);
    VerifyOptions options;
    options.common = flags->common;
    options.receipt = flags->receipt;
    for (const auto& text : flags->peers) {
      auto node = text.starts_with('/') ? NodeName(parse_address("--peer", text, /*with_peer=*/true))
                                        : parse_node("--peer", text);
      const auto* address = std::get_if<libp2p::Multiaddr>(&node);
      options.peers.push_back(address != nullptr ? address->peer_id().value() : std::get<libp2p::PeerId>(node));
    }
    if (!flags->trust.empty()) options.trust = flags->trust;
    if (!flags->module.empty()) options.module = flags->module;
    options.inputs = parse_inputs(flags->inputs);
    if (!flags->evidence.empty()) options.evidence = flags->evidence;
    if (!flags->commitment.empty()) {
      auto bytes = hex_decode(flags->commitment);
      if (!bytes || bytes->size() != 32) throw CLI::ValidationError("--commitment", "takes 64 hex digits");
      std::ranges::copy(*bytes, options.commitment.emplace().begin());
    }
    pending.command = std::move(options);
  });
}

int run_verify(const VerifyOptions& options, Output& output) {
  verify::Expectations expected;
  expected.pinned = options.peers;
  Bytes module;
  Bytes evidence;
  Bytes text;
  try {
    if (auto wrong = add_trusted(options, expected.pinned)) return output.failure(kUsage, "trust_file", *wrong);
    text = read_file("RECEIPT", options.receipt, kReceiptTextBytesMax);
    if (options.module) module = read_file("--module", *options.module, kFilterBytesMax);
    if (options.evidence) evidence = read_file("--evidence", *options.evidence, kEvidenceBytesMax);
  } catch (const CLI::ValidationError& error) {
    return output.failure(kUsage, "file", error.what());
  }
  auto bytes = verify::read_receipt_text(text_of(text));
  if (!bytes) return output.failure(kNotVerified, "not_a_receipt", bytes.error().message());
  if (options.module) expected.module = module;
  if (options.evidence) expected.evidence = evidence;
  if (!options.inputs.empty()) expected.inputs = core::Inputs(options.inputs.begin(), options.inputs.end());
  expected.commitment = options.commitment;

  const auto report = verify::check_receipt(*bytes, expected);
  for (const auto& check : report.checks) {
    output.object({{"event", "check"},
                   {"name", check.name},
                   {"outcome", word_of(check.outcome)},
                   {"code", check.code ? check.code.message() : ""},
                   {"words", check.words}});
    const auto mark = check.outcome == verify::Outcome::passed   ? output.green("ok  ")
                      : check.outcome == verify::Outcome::failed ? output.red("NO  ")
                                                                 : output.dim("-   ");
    output.line(fmt::format("{}{:<10} {}", mark, check.name, escape_text(check.words, 500)));
  }
  nlohmann::json verdict{{"event", "verified"}, {"ok", report.ok()}};
  if (report.receipt) {
    const auto& receipt = report.receipt->receipt;
    verdict["kind"] = core::to_text(receipt.kind);
    verdict["node"] = receipt.node.to_text();
    verdict["agent"] = receipt.agent.to_text();
    verdict["capability"] = receipt.capability;
    verdict["module_sha256"] = hex_encode(receipt.module_hash);
    verdict["exit"] = receipt.exit.reason;
    for (const auto& [name, commitment] : receipt.datasets) verdict["datasets"][name] = hex_encode(commitment);
  }
  output.object(verdict);
  if (report.ok()) {
    output.line(output.green("verified"));
    return kDone;
  }
  const auto failure = report.failure();
  return output.failure(kNotVerified, failure ? failure->code.message() : "not_verified",
                        failure ? failure->message() : "not verified");
}

}  // namespace nmp::cli
