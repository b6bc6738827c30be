// Arguments and help of the commands that need the mesh.
#include "cli/limits.hpp"
#include "cli/tree.hpp"
#include "core/capability.hpp"

namespace nmp::cli {

void add_node(CLI::App& root, Pending& pending) {
  struct Flags {
    NodeOptions options;
    std::vector<std::string> listen;
    std::vector<std::string> bootstrap;
    std::string key_log;
  };
  auto flags = std::make_shared<Flags>();  // the option declarations and the callback
  auto& command = *root.add_subcommand("node", "Serve data: run other people's filters beside it, under your limits.");
  auto all = CLI::MultiOptionPolicy::TakeAll;
  command.add_option("--listen", flags->listen, "QUIC address to listen on; may be repeated")
      ->type_name("MULTIADDR")
      ->expected(1)
      ->multi_option_policy(all);
  command.add_option("--bootstrap", flags->bootstrap, "node of the mesh to join; may be repeated (NMP_BOOTSTRAP)")
      ->type_name("MULTIADDR")
      ->expected(1)
      ->multi_option_policy(all);
  command.add_option("--key-log", flags->key_log, "write TLS secrets, for debugging with Wireshark (SSLKEYLOGFILE)")
      ->type_name("FILE");
  add_common(command, flags->options.common);
  examples(command,
           "  nmp node --config node.toml\n"
           "  nmp node --listen /ip4/0.0.0.0/udp/4001/quic-v1        a bootstrap node: no data, no capabilities\n"
           "  nmp node --config node.toml --bootstrap /ip4/192.0.2.7/udp/4001/quic-v1/p2p/12D3Koo...");
  command.callback([flags, &pending] {
    auto& options = flags->options;
    finish(options.common);
    for (const auto& text : flags->listen)
      options.listen.push_back(parse_address("--listen", text, /*with_peer=*/false));
    MeshFlags mesh;
    mesh.bootstrap = flags->bootstrap;
    options.bootstrap = mesh.take(options.common).bootstrap;
    options.key_log = key_log_path(flags->key_log);
    pending.command = options;
  });
}

void add_ping(CLI::App& root, Pending& pending) {
  struct Flags {
    CommonOptions common;
    MeshFlags mesh;
    std::string node;
    std::uint32_t count = 4;
  };
  auto flags = std::make_shared<Flags>();  // the option declarations and the callback
  auto& command = *root.add_subcommand("ping", "Measure the round trip to a node.");
  command.add_option("NODE", flags->node, "address with /p2p/ID, peer ID or DID")->required();
  command.add_option("-n,--count", flags->count, "how many")->check(CLI::Range(1U, 1'000'000U))->capture_default_str();
  add_common(command, flags->common);
  flags->mesh.add(command);
  examples(command,
           "  nmp ping /ip4/192.0.2.7/udp/4001/quic-v1/p2p/12D3Koo...\n"
           "  nmp ping 12D3Koo... -n 10 --json");
  command.callback([flags, &pending] {
    finish(flags->common);
    pending.command = PingOptions{.common = flags->common,
                                  .mesh = flags->mesh.take(flags->common),
                                  .node = parse_node("NODE", flags->node),
                                  .count = flags->count};
  });
}

void add_find(CLI::App& root, Pending& pending) {
  struct Flags {
    CommonOptions common;
    MeshFlags mesh;
    std::string capability;
    std::uint32_t count = 20;
  };
  auto flags = std::make_shared<Flags>();  // the option declarations and the callback
  auto& command = *root.add_subcommand("find", "Ask the mesh who offers a capability.");
  command.add_option("CAPABILITY", flags->capability, "its name")->required();
  command.add_option("-n,--count", flags->count, "stop after so many")
      ->check(CLI::Range(1U, 10'000U))
      ->capture_default_str();
  add_common(command, flags->common);
  flags->mesh.add(command);
  examples(
      command,
      "  nmp find log-scan\n  nmp find log-scan --json --bootstrap /ip4/192.0.2.7/udp/4001/quic-v1/p2p/12D3Koo...");
  command.callback([flags, &pending] {
    finish(flags->common);
    pending.command = FindOptions{.common = flags->common,
                                  .mesh = flags->mesh.take(flags->common),
                                  .capability = parse_capability(flags->capability),
                                  .count = flags->count};
  });
}

void add_describe(CLI::App& root, Pending& pending) {
  struct Flags {
    CommonOptions common;
    MeshFlags mesh;
    std::string subject;
  };
  auto flags = std::make_shared<Flags>();  // the option declarations and the callback
  auto& command = *root.add_subcommand("describe", "Show a node's manifest: capabilities, inputs, limits, datasets.");
  command
      .add_option("PEER|CAPABILITY", flags->subject, "peer ID, DID or address; or a capability: then every provider's")
      ->required();
  add_common(command, flags->common);
  flags->mesh.add(command);
  examples(command, "  nmp describe log-scan\n  nmp describe 12D3Koo... --json");
  command.callback([flags, &pending] {
    finish(flags->common);
    DescribeOptions options{.common = flags->common, .mesh = flags->mesh.take(flags->common), .subject = {}};
    // Peer IDs hold capital letters, capability names never do.
    if (core::is_name(flags->subject) && !libp2p::PeerId::parse(flags->subject)) {
      options.subject = flags->subject;
    } else {
      std::visit([&](auto node) { options.subject = std::move(node); }, parse_node("PEER|CAPABILITY", flags->subject));
    }
    pending.command = std::move(options);
  });
}

void FilterFlags::add_filter(CLI::App& command) {
  command.add_option("CAPABILITY", capability, "what the node must offer")->required();
  command.add_option("FILTER", filter, "a .wasm file (see: nmp filter)")->required();
  command.add_option("--input", inputs, "NAME=VALUE or NAME=@FILE; `args` and `stdin` reach the filter as such")
      ->type_name("NAME=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void FilterFlags::add_grant(CLI::App& command) {
  command.add_option("--token", token, "a grant from the data's owner")->type_name("FILE");
  limits.add(command);
}

Bytes FilterFlags::read_filter() const { return read_file("FILTER", filter, kFilterBytesMax); }

Bytes FilterFlags::read_token() const {
  if (token.empty()) return {};
  return read_file("--token", token, kTokenBytesMax);
}

void add_run(CLI::App& root, Pending& pending) {
  struct Flags {
    CommonOptions common;
    MeshFlags mesh;
    FilterFlags filter;
    std::string node, receipt_out, key_log;
    std::string require = "signed";
    bool all = false;
  };
  auto flags = std::make_shared<Flags>();  // the option declarations and the callback
  auto& command = *root.add_subcommand("run", "Send a filter to data and print its answer.");
  flags->filter.add_filter(command);
  auto* node = command.add_option("--node", flags->node, "this node, by peer ID, DID or address")->type_name("NODE");
  command.add_flag("--all", flags->all, "every provider; answers come as they are ready")->excludes(node);
  command.add_option("--require", flags->require, "weakest receipt that will do")
      ->check(CLI::IsMember({"signed", "enclave", "zk"}))
      ->capture_default_str();
  command.add_option("--receipt-out", flags->receipt_out, "write the receipt there (with --all: FILE.PEER_ID)")
      ->type_name("FILE");
  command.add_option("--key-log", flags->key_log, "write TLS secrets, for debugging with Wireshark (SSLKEYLOGFILE)")
      ->type_name("FILE");
  flags->filter.add_grant(command);
  add_common(command, flags->common);
  flags->mesh.add(command);
  examples(command,
           "  nmp run log-scan log_scan.wasm --input args=$'--level\\nERROR\\n--extract\\n5'\n"
           "  nmp run survival km_survival.wasm --all --json\n"
           "  nmp run log-scan log_scan.wasm --node 12D3Koo... --memory 8MiB --receipt-out receipt");
  command.callback([flags, &pending] {
    finish(flags->common);
    RunOptions options;
    options.common = flags->common;
    options.mesh = flags->mesh.take(flags->common);
    flags->filter.take(options);
    options.filter = flags->filter.filter;
    if (!flags->node.empty()) options.node = parse_node("--node", flags->node);
    options.all = flags->all;
    options.require = flags->require == "zk"        ? core::ReceiptKind::zk
                      : flags->require == "enclave" ? core::ReceiptKind::enclave
                                                    : core::ReceiptKind::is_signed;
    if (!flags->receipt_out.empty()) options.receipt_out = flags->receipt_out;
    options.key_log = key_log_path(flags->key_log);
    pending.command = std::move(options);
  });
}

}  // namespace nmp::cli
