// fuzz: USES libp2p_kad
#include <cstdlib>

#include "libp2p/kad/message.hpp"
#include "libp2p/kad/server.hpp"

using namespace nmp;
using namespace nmp::libp2p;

namespace {

PeerId peer(std::byte fill) {
  Bytes raw{std::byte{0x12}, std::byte{0x20}};
  raw.resize(34, fill);
  return PeerId::from_bytes(raw).value();
}

}  // namespace

/// Input: a stream of requests. What decodes encodes to something that decodes alike and fits; a server answers or
/// refuses each of them, never names itself or the asker, and keeps within its ceilings.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto self = peer(std::byte{1});
  const auto asker = peer(std::byte{2});
  kad::RoutingPolicy policy;
  kad::RoutingTable table(self, kad::TableOptions{}, policy);
  auto unknown = [](const PeerId&) -> std::optional<PeerInfo> { return std::nullopt; };
  kad::ServerOptions options;
  options.providers.records_max = 8;
  kad::Server server(table, policy, unknown, options);
  kad::Now now{Instant{std::chrono::hours(1)}, 1000};

  kad::Splitter splitter;
  splitter.feed(view_of(data, size));
  while (true) {
    auto frame = splitter.next();
    if (!frame || !*frame) return 0;
    auto message = kad::decode(**frame);
    if (!message) continue;
    if (message->closer_peers.size() > kad::kPeersPerListMax || message->key.size() > kad::kKeyBytesMax) std::abort();
    if (auto bytes = kad::encode(*message)) {
      if (bytes->size() > kad::kMessageBytesMaxSent) std::abort();
      auto again = kad::decode(*bytes);
      if (!again || again->type != message->type || again->key != message->key) std::abort();
      if (again->record != message->record) std::abort();
      auto fixed = kad::encode(*again);
      if (!fixed || *fixed != *bytes) std::abort();
    }
    for (auto& named : message->closer_peers) table.insert(named, now.instant);
    auto answer = server.answer(*message, asker, now);
    if (server.providers().size() > 8 || server.records().size() != 0) std::abort();
    if (!answer || !*answer) continue;
    for (auto& named : (*answer)->closer_peers)
      if (named.id == self || named.id == asker) std::abort();
    if (!kad::encode(**answer)) std::abort();
  }
}
