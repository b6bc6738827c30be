#pragma once

#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"

/// The opening handshake, RFC 6455 section 4.
namespace nmp::libp2p::websocket {

/// Cuts the head of an HTTP/1.1 message, up to its empty line, off a stream that arrives in pieces.
class HeadReader {
 public:
  /// Eats from the front of `input`, and nothing after the head. Errors: Errc::bad_handshake (over kHeadBytesMax),
  /// after which the reader is of no use.
  Result<std::optional<std::string>> feed(ByteView& input);

 private:
  std::string head_;
};

/// `key` is the base64 of 16 random bytes, `host` the authority of the Host header.
[[nodiscard]] std::string upgrade_request(std::string_view host, std::string_view key);
/// The key of a request that asks for a WebSocket, whatever its path and origin: who comes is proved later, inside.
/// Errors: bad_handshake.
Result<std::string> read_request(std::string_view head);

/// What answers `key`: section 4.2.2, step 5.4.
[[nodiscard]] std::string accept_of(std::string_view key);
[[nodiscard]] std::string upgrade_answer(std::string_view key);
/// For a request that is none.
[[nodiscard]] std::string_view refusal();
/// Errors: bad_handshake.
Result<void> read_answer(std::string_view head, std::string_view key);

}  // namespace nmp::libp2p::websocket
