#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "libp2p/identify/limits.hpp"
#include "libp2p/peer/multiaddr.hpp"

/// The Identify message of github.com/libp2p/specs, identify/README.md, as a value.
namespace nmp::libp2p::identify {

/// The dialler opens it; the responder writes its message and closes.
inline constexpr std::string_view kProtocol = "/ipfs/id/1.0.0";
/// The sender opens it, writes its own message and closes. Only for peers that list it.
inline constexpr std::string_view kPushProtocol = "/ipfs/id/push/1.0.0";

/// What a peer says about itself. Absent and empty are one: in a push they mean "unchanged".
struct Message {
  Bytes public_key;  ///< a PublicKey protobuf, unchecked
  std::vector<Multiaddr> listen_addresses;
  std::vector<std::string> protocols;
  std::optional<Multiaddr> observed_address;  ///< where the sender sees us
  std::string protocol_version;
  std::string agent_version;
  Bytes signed_peer_record;  ///< an envelope, unchecked

  friend bool operator==(const Message&, const Message&) = default;
};

/// One or two length-prefixed messages, ready for the stream; the first is at most kMessageBytesMaxSent, prefix
/// excluded, and stands alone. What does not fit is left out from the back: listen addresses first, then protocols.
/// Errors: too_large if key, versions or record alone do not fit.
Result<Bytes> encode(const Message& message);

/// Reads what arrives on the stream up to its end and merges the messages: repeated fields add up, the last scalar
/// wins. An address that does not parse is dropped; so is what passes the ceilings of limits.hpp on lists and versions.
class Decoder {
 public:
  /// Errors: too_large (a message or their number), malformed, truncated: reset the stream. Nothing is fed after an
  /// error.
  Result<void> feed(ByteView input);
  /// At the stream's end. Errors: truncated within a message, malformed if there was none.
  Result<Message> finish();

 private:
  Bytes held_;
  std::size_t messages_ = 0;
  Message message_;
};

/// One message without its length prefix, added into `message`. Errors: malformed, truncated; `message` is then
/// unchanged.
Result<void> merge(ByteView bytes, Message& message);

}  // namespace nmp::libp2p::identify
