#include "cli/run_printer.hpp"

#include <fmt/format.h>

#include "base/encoding.hpp"
#include "cli/mesh_support.hpp"

namespace nmp::cli {

using nlohmann::json;

json limits_json(const core::Authorization& limits) {
  return {{"memory_bytes", limits.memory_bytes},
          {"fuel", limits.fuel},
          {"wall_time_ms", limits.wall_time_ms},
          {"output_bytes", limits.output_bytes},
          {"events", limits.events},
          {"event_bytes", limits.event_bytes},
          {"input_bytes", limits.input_bytes},
          {"diagnostic_bytes", limits.diagnostic_bytes}};
}
json used_json(const core::Usage& used) {
  return {{"memory_bytes", used.memory_bytes},
          {"fuel", used.fuel},
          {"wall_time_ms", used.wall_time_ms},
          {"output_bytes", used.output_bytes},
          {"events", used.events},
          {"event_bytes", used.event_bytes},
          {"input_bytes", used.input_bytes},
          {"diagnostic_bytes", used.diagnostic_bytes}};
}

namespace {

std::string_view transport_name(std::string_view address) {
  if (address.contains("/ws")) return "WebSocket";
  return address.contains("/tcp/") ? "TCP" : "QUIC";
}

void show_outcome(const client::RunOutcome& outcome, Output& output) {
  json line{
      {"event", "result"},
      {"peer_id", outcome.node.to_text()},
      {"address", outcome.address},
      {"evidence", json_bytes(outcome.evidence)},
      {"limits", limits_json(outcome.limits)},
      {"used", used_json(outcome.used)},
      {"receipt", outcome.receipt.empty() ? json(nullptr) : json(base64_encode(outcome.receipt))},
      {"events", outcome.events},
      {"trust", outcome.pinned ? "pinned" : "unpinned"},
      {"envelope", core::kSuite1Envelope},
      {"wire", {{"sent", outcome.bytes_sent}, {"received", outcome.bytes_received}}},
      {"seconds",
       {{"connect", outcome.seconds.connect}, {"negotiate", outcome.seconds.negotiate}, {"run", outcome.seconds.run}}}};
  if (!outcome.diagnostics.empty()) line["diagnostics"] = json_bytes(outcome.diagnostics);
  if (!outcome.reason.empty()) {
    line["event"] = "failed";
    line["reason"] = outcome.reason;
    line["explanation"] = escape_text(outcome.explanation, 1024);
    if (outcome.exit_code) line["exit_code"] = *outcome.exit_code;
  }
  output.object(line);
  if (output.json()) return;
  if (!outcome.diagnostics.empty()) std::fputs((escape_lines(text_of(outcome.diagnostics))).c_str(), stderr);
  if (!outcome.reason.empty()) {
    (void)output.failure(exit_of(outcome.reason), outcome.reason, escape_text(outcome.explanation, 1024));
    return;
  }
  output.bytes(outcome.evidence);
  std::fputs(
      fmt::format("\nfrom {} ({}) over {}: {:.0f} ms, {} fuel, {} of memory; {} sent, {} received; receipt "
                  "verified\n",
                  outcome.node.to_text(), outcome.pinned ? "pinned" : "unpinned", transport_name(outcome.address),
                  outcome.seconds.run * 1000, outcome.used.fuel, human_bytes(outcome.used.memory_bytes),
                  human_bytes(outcome.bytes_sent), human_bytes(outcome.bytes_received))
          .c_str(),
      stderr);
}

}  // namespace

void RunPrinter::step(const libp2p::PeerId& node, std::string_view what) {
  output_.progress(fmt::format("{}  {}", node.to_text().substr(0, 20), what));
}

async::Awaitable<void> RunPrinter::event(const libp2p::PeerId& node, std::uint64_t sequence, ByteView data) {
  auto print = [this, &node, sequence, data] {
    if (output_.json()) {
      output_.object({{"event", "push"}, {"peer_id", node.to_text()}, {"seq", sequence}, {"data", json_bytes(data)}});
    } else {
      output_.line(output_.dim("event ") + escape_text(text_of(data), 4096));
    }
    return 0;
  };
  co_await pool_.run(std::move(print));
}

async::Awaitable<void> RunPrinter::outcome(const client::RunOutcome& outcome) {
  auto print = [this, &outcome] {
    show_outcome(outcome, output_);
    return 0;
  };
  co_await pool_.run(std::move(print));
}

}  // namespace nmp::cli
