// Arguments and help of `nmp watch`.
#include "cli/limits.hpp"
#include "cli/tree.hpp"

namespace nmp::cli {

namespace {

constexpr const char* kNodeHelp = "the node it lives on: peer ID, DID or address";

struct RequestFlags {
  CommonOptions common;
  MeshFlags mesh;
  std::string watch, node;
  std::uint64_t from = 0, count = 0, up_to = 0;
  bool ack = false;
};
using RequestFlagsPtr = std::shared_ptr<RequestFlags>;  // the option declarations and the callback

core::WatchId parse_id(const std::string& text) {
  auto id = core::parse_watch_id(text);
  if (!id) throw CLI::ValidationError("ID", "a watchdog's ID is 32 hexadecimal digits, as `nmp watch start` prints it");
  return *id;
}

/// `more` declares what only this command has, `fill` takes it over.
template <class More, class Fill>
void add_request(CLI::App& watch,
                 Pending& pending,
                 const std::string& name,
                 const std::string& help,
                 std::string_view op,
                 const std::string& lines,
                 More more,
                 Fill fill) {
  auto flags = std::make_shared<RequestFlags>();
  auto& command = *watch.add_subcommand(name, help);
  if (op != core::kListOperation) command.add_option("ID", flags->watch, "of the watchdog")->required();
  more(command, flags);
  command.add_option("--node", flags->node, kNodeHelp)->type_name("NODE")->required();
  add_common(command, flags->common);
  flags->mesh.add(command);
  examples(command, lines);
  command.callback([flags, &pending, op, fill] {
    finish(flags->common);
    WatchRequestOptions options(parse_node("--node", flags->node));
    options.common = flags->common;
    options.mesh = flags->mesh.take(flags->common);
    options.op = op;
    if (op != core::kListOperation) options.watch = parse_id(flags->watch);
    fill(options, *flags);
    pending.command = std::move(options);
  });
}

void add_start(CLI::App& watch, Pending& pending) {
  struct Flags {
    CommonOptions common;
    MeshFlags mesh;
    FilterFlags filter;
    std::string node;
  };
  auto flags = std::make_shared<Flags>();  // the option declarations and the callback
  auto& command = *watch.add_subcommand("start", "Leave a filter at a node: it lives on there and pushes events.");
  flags->filter.add_filter(command);
  command
      .add_option("--node", flags->node, "this node, by peer ID, DID or address (default: the first that is reached)")
      ->type_name("NODE");
  flags->filter.add_grant(command);
  add_common(command, flags->common);
  flags->mesh.add(command);
  examples(
      command,
      "  nmp watch start log-scan watchdog.wasm --input args=$'--contains\\nERROR' --node 12D3Koo...\n"
      "  nmp watch start log-scan watchdog.wasm --fuel 1000000000 --json\n"
      "\n"
      "--fuel and --wall-time count for each wake-up; --events and --event-bytes for what nobody has fetched yet.");
  command.callback([flags, &pending] {
    finish(flags->common);
    WatchStartOptions options;
    options.common = flags->common;
    options.mesh = flags->mesh.take(flags->common);
    flags->filter.take(options);
    if (!flags->node.empty()) options.node = parse_node("--node", flags->node);
    pending.command = std::move(options);
  });
}

}  // namespace

void add_watch(CLI::App& root, Pending& pending) {
  auto& watch = *root.add_subcommand("watch", "Filters that live on beside the data and push events.");
  watch.require_subcommand(1);
  examples(watch,
           "  nmp watch start log-scan watchdog.wasm --node 12D3Koo...\n"
           "  nmp watch list --node 12D3Koo...\n"
           "  nmp watch events 0123456789abcdef0123456789abcdef --node 12D3Koo... --ack");
  add_start(watch, pending);
  const auto nothing = [](CLI::App&, const RequestFlagsPtr&) {};
  const auto keep = [](WatchRequestOptions&, const RequestFlags&) {};
  add_request(watch, pending, "list", "Your watchdogs at a node, and how they are.", core::kListOperation,
              "  nmp watch list --node 12D3Koo...\n  nmp watch list --node 12D3Koo... --json", nothing, keep);
  add_request(
      watch, pending, "events", "Show its events: those that are kept, then each as it comes, until Ctrl-C.",
      core::kEventsOperation,
      "  nmp watch events ID --node 12D3Koo... --ack            each once: what was shown is forgotten there\n"
      "  nmp watch events ID --node 12D3Koo... --from 120       again, from number 120 on\n"
      "  nmp watch events ID --node 12D3Koo... --count 1        waits for one",
      [](CLI::App& command, const RequestFlagsPtr& flags) {
        command.add_option("--from", flags->from, "first sequence number wanted (default: the oldest that is kept)")
            ->type_name("SEQ");
        command.add_option("--count", flags->count, "end after as many events")
            ->type_name("N")
            ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 53));
        command.add_flag("--ack", flags->ack, "acknowledge what was shown: the node forgets it");
      },
      [](WatchRequestOptions& options, const RequestFlags& flags) {
        options.from = flags.from;
        if (flags.count > 0) options.count = flags.count;
        options.ack = flags.ack;
      });
  add_request(
      watch, pending, "ack", "Acknowledge events: the node forgets them up to and with SEQ.", core::kAckOperation,
      "  nmp watch ack ID 119 --node 12D3Koo...",
      [](CLI::App& command, const RequestFlagsPtr& flags) {
        command.add_option("SEQ", flags->up_to, "the last sequence number to forget")->required();
      },
      [](WatchRequestOptions& options, const RequestFlags& flags) { options.up_to = flags.up_to; });
  add_request(watch, pending, "logs", "What it wrote lately, and what became of it.", core::kLogsOperation,
              "  nmp watch logs ID --node 12D3Koo...", nothing, keep);
  add_request(watch, pending, "stop", "End it and erase all that is kept of it.", core::kStopOperation,
              "  nmp watch stop ID --node 12D3Koo...", nothing, keep);
}

}  // namespace nmp::cli
