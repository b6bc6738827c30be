#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/tree.hpp"
#include "core/did.hpp"
#include "crypto/random.hpp"
#include "libp2p/peer/key_file.hpp"

namespace nmp::cli {

void add_key(CLI::App& root, Pending& pending) {
  auto& command = *root.add_subcommand("key", "This state's identity.");
  command.require_subcommand(1);
  for (const bool make : {false, true}) {
    auto options = std::make_shared<KeyOptions>();  // the option declarations and the callback
    options->make = make;
    auto& sub = *command.add_subcommand(
        make ? "new" : "show", make ? "Make a key; one that is there stays." : "Print the peer ID and the DID.");
    add_common(sub, options->common);
    examples(sub, make ? "  nmp key new --state ./agent" : "  nmp key show --json");
    sub.callback([options, &pending] {
      finish(options->common);
      pending.command = *options;
    });
  }
}

int run_key(const KeyOptions& options, Output& output) {
  const auto file = identity_file(options.common);
  std::error_code error;
  if (options.make && std::filesystem::exists(file, error))
    return output.failure(kUsage, "already_exists",
                          fmt::format("{} is already there; move it away to make another identity", file.string()));
  if (options.make) {
    std::filesystem::create_directories(options.common.state, error);
    if (error)
      return output.failure(kUsage, "io",
                            fmt::format("cannot make {}: {}", options.common.state.string(), error.message()));
    std::filesystem::permissions(options.common.state, std::filesystem::perms::owner_all, error);
  }
  auto key =
      options.make ? libp2p::load_or_create_key_file(file, crypto::system_random()) : libp2p::load_key_file(file);
  if (!key) {
    const auto hint = key.error().code == Errc::not_found ? "; `nmp key new` makes one" : "";
    return output.failure(kUsage, "key", key.error().message() + hint);
  }
  const auto public_key = key->ed25519().public_key();
  const auto peer = libp2p::PeerId::of(public_key).to_text();
  const auto did = core::did_of(public_key);
  output.object({{"peer_id", peer}, {"did", did}});
  output.line(fmt::format("peer ID  {}\nDID      {}\nfile     {}", peer, did, file.string()));
  return kDone;
}

}  // namespace nmp::cli
