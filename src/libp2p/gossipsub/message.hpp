#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "libp2p/gossipsub/limits.hpp"
#include "libp2p/peer/keys.hpp"
#include "libp2p/peer/peer_id.hpp"

/// Messages of github.com/libp2p/specs, pubsub/README.md and pubsub/gossipsub, as values. Extensions (1.3) are skipped.
namespace nmp::libp2p::gossipsub {

/// `from` and `seqno`: the default id of a message.
using MessageId = Bytes;

struct Message {
  std::optional<Bytes> from;  ///< a peer ID's bytes
  std::optional<Bytes> data;
  std::optional<Bytes> seqno;
  std::string topic;
  std::optional<Bytes> signature;
  std::optional<Bytes> key;  ///< only where `from` does not hold it

  [[nodiscard]] MessageId id() const;
  friend bool operator==(const Message&, const Message&) = default;
};

struct Subscription {
  bool subscribe = false;
  std::string topic;
  friend bool operator==(const Subscription&, const Subscription&) = default;
};

struct Ihave {
  std::string topic;
  std::vector<MessageId> ids;
  friend bool operator==(const Ihave&, const Ihave&) = default;
};

/// Peers to graft instead (PX) are read over and never sent: whoever is pruned would dial whom a stranger names.
struct Prune {
  std::string topic;
  std::optional<std::uint64_t> backoff_seconds;
  friend bool operator==(const Prune&, const Prune&) = default;
};

struct Rpc {
  std::vector<Subscription> subscriptions;
  std::vector<Message> publish;
  std::vector<Ihave> ihave;
  std::vector<std::vector<MessageId>> iwant;
  std::vector<std::string> graft;
  std::vector<Prune> prune;
  std::vector<std::vector<MessageId>> idontwant;

  [[nodiscard]] bool empty() const {
    return subscriptions.empty() && publish.empty() && ihave.empty() && iwant.empty() && graft.empty() &&
           prune.empty() && idontwant.empty();
  }
  friend bool operator==(const Rpc&, const Rpc&) = default;
};

/// The protobuf of an RPC with its uvarint length in front.
[[nodiscard]] Bytes encode_delimited(const Rpc& rpc);
/// Errors: malformed, truncated; too_large for anything above limits.hpp. What fields and lists are unknown is skipped.
Result<Rpc> decode(ByteView bytes);

/// Cuts a byte stream into RPCs.
class Splitter {
 public:
  void feed(ByteView input) { append(held_, input); }
  /// The bytes of the next whole RPC, if there is one. Errors: too_large, malformed: reset the stream.
  Result<std::optional<Bytes>> next();

 private:
  Bytes held_;
};

/// What a message's signature is over: `libp2p-pubsub:` and the protobuf without signature and key.
[[nodiscard]] Bytes signing_buffer(const Message& message);
[[nodiscard]] Message seal(const KeyPair& key, std::string topic, Bytes data, std::uint64_t seqno);
/// As StrictSign demands it: sender, sequence number and signature are there, and the signature is the sender's.
/// Errors: malformed, PeerErrc.
Result<PeerId> verify(const Message& message);

}  // namespace nmp::libp2p::gossipsub
