#pragma once

#include <memory>
#include <optional>

#include "base/bytes.hpp"
#include "rpc/h2/errors.hpp"
#include "rpc/h2/grpc_codec.hpp"

namespace nmp::h2 {

/// Takes a stream's bytes apart into messages, one at a time, inflating as bytes arrive. Holds no more than the message
/// under way, whose buffer grows with what has come, not with what its header claims.
class MessageReader {
 public:
  MessageReader(Encoding encoding, std::size_t message_bytes_max);
  MessageReader(const MessageReader&) = delete;
  MessageReader& operator=(const MessageReader&) = delete;
  ~MessageReader();

  /// Takes bytes up to the end of the message under way, or until `stop_at` bytes of it are known; returns how many.
  /// Takes none while a whole message waits for take(). After an error the reader is of no more use.
  /// Errors: message_too_large, bad_frame, unexpected_compression, bad_compression.
  Result<std::size_t> feed(ByteView bytes, std::size_t stop_at = SIZE_MAX);

  /// What is known of the message under way.
  [[nodiscard]] ByteView partial() const { return message_; }
  [[nodiscard]] bool whole() const { return whole_; }
  /// Whether the stream may end here.
  [[nodiscard]] bool at_boundary() const { return header_.empty() && !in_body_ && !whole_; }
  /// The whole message.
  Bytes take();

 private:
  struct Inflater;
  Result<void> begin_body();
  Result<std::size_t> inflate_some(ByteView bytes, std::size_t stop_at);

  Encoding encoding_;
  std::size_t message_bytes_max_;
  Bytes header_;
  bool in_body_ = false;
  bool whole_ = false;
  bool compressed_ = false;
  std::size_t left_ = 0;  // of the body on the wire
  Bytes message_;
  std::unique_ptr<Inflater> inflater_;
};

}  // namespace nmp::h2
