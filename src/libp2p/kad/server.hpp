#pragma once

#include <functional>
#include <optional>

#include "base/time.hpp"
#include "libp2p/kad/message.hpp"
#include "libp2p/kad/observer.hpp"
#include "libp2p/kad/policy.hpp"
#include "libp2p/kad/routing_table.hpp"
#include "libp2p/kad/stores.hpp"

namespace nmp::libp2p::kad {

/// Both kinds of time, as a machine is given them.
struct Now {
  Instant instant{};
  UnixSeconds unix_seconds = 0;
};

struct ServerOptions {
  std::size_t k = kK;
  RecordStore::Limits records;
  ProviderStore::Limits providers;
};

/// Addresses of any peer, connected ones above all, whether or not it is in the table; of ourselves too.
using KnownPeer = std::function<std::optional<PeerInfo>(const PeerId&)>;

/// Answers other peers' requests. Keeps nothing of a request but what passes its checks and ceilings.
class Server {
 public:
  /// `table`, `policy` and `observer` outlive the server.
  Server(RoutingTable& table,
         const RoutingPolicy& policy,
         KnownPeer known,
         ServerOptions options,
         Observer& observer = silent_observer());

  /// The answer to a request of `from`, or nothing where the protocol has none (ADD_PROVIDER).
  /// Errors, on which the stream is reset: malformed (a key that its type does not allow), and for PUT_VALUE those of
  /// the validator, exhausted, already_exists (a better value is held).
  Result<std::optional<Message>> answer(const Message& request, const PeerId& from, Now now);

  [[nodiscard]] RecordStore& records() { return records_; }
  [[nodiscard]] ProviderStore& providers() { return providers_; }
  [[nodiscard]] const RecordStore& records() const { return records_; }
  [[nodiscard]] const ProviderStore& providers() const { return providers_; }
  /// Drops what is past its time. Reads do not serve it anyway; call about once a minute.
  void expire(Instant now);

 private:
  Result<std::optional<Message>> put_value(const Message& request, const PeerId& from, Now now);
  Result<void> add_provider(const Message& request, const PeerId& from, Now now);
  [[nodiscard]] std::vector<PeerInfo> closer_peers(const Message& request, const PeerId& from) const;

  RoutingTable& table_;
  const RoutingPolicy& policy_;
  KnownPeer known_;
  ServerOptions options_;
  Observer& observer_;
  RecordStore records_;
  ProviderStore providers_;
};

/// RFC 3339 in UTC, as Record.timeReceived wants it.
[[nodiscard]] std::string rfc3339(UnixSeconds time);

}  // namespace nmp::libp2p::kad
