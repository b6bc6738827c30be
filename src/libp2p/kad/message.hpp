#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "libp2p/kad/limits.hpp"
#include "libp2p/peer/multiaddr.hpp"
#include "libp2p/peer/peer_id.hpp"

/// Messages of github.com/libp2p/specs kad-dht/README.md, "RPC messages", as values. Field 10 (clusterLevelRaw) and the
/// publisher and ttl that rust adds to records are skipped.
namespace nmp::libp2p::kad {

enum class MessageType : std::uint8_t {
  put_value = 0,
  get_value = 1,
  add_provider = 2,
  get_providers = 3,
  find_node = 4,
  ping = 5,  ///< deprecated, still answered
};

struct Record {
  Bytes key;
  Bytes value;
  std::string time_received;  ///< RFC 3339; set by whoever stores it, believed by nobody

  friend bool operator==(const Record&, const Record&) = default;
};

struct Message {
  MessageType type = MessageType::find_node;
  Bytes key;  ///< FIND_NODE: the raw peer ID bytes
  std::optional<Record> record;
  std::vector<PeerInfo> closer_peers;
  std::vector<PeerInfo> provider_peers;
};

/// The protobuf without length prefix. Fits kMessageBytesMaxSent by leaving out providers and closer peers (the
/// farthest) from the end; closer peers have kCloserPeersReserve to themselves. Errors: too_large if key and record do
/// not fit.
Result<Bytes> encode(const Message& message);
/// encode() with its uvarint length in front.
Result<Bytes> encode_delimited(const Message& message);

/// Peers whose ID does not parse and addresses that do not are left out, and so is what passes the list ceilings: a
/// peer that speaks newer addresses than we do is still of use. Errors: malformed, truncated; too_large for key, value
/// or message; unsupported for an unknown type.
Result<Message> decode(ByteView bytes, std::size_t message_bytes_max = kMessageBytesMax);

/// A peer as it stands in a message: its ID and at most kAddressesPeerMax addresses.
[[nodiscard]] Bytes encode_peer(const PeerInfo& peer);
/// Nothing if the ID is no peer ID. Errors: malformed, truncated.
Result<std::optional<PeerInfo>> decode_peer(ByteView bytes);

/// Cuts a byte stream into messages, of which several may follow each other on one stream.
class Splitter {
 public:
  explicit Splitter(std::size_t message_bytes_max = kMessageBytesMax) : message_bytes_max_(message_bytes_max) {}

  void feed(ByteView input) { append(held_, input); }
  /// The bytes of the next whole message, if there is one. Errors: too_large, malformed: reset the stream.
  Result<std::optional<Bytes>> next();
  /// True between messages.
  [[nodiscard]] bool idle() const { return held_.empty(); }

 private:
  std::size_t message_bytes_max_;
  Bytes held_;
};

}  // namespace nmp::libp2p::kad
