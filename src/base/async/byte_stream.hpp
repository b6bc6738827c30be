#pragma once

#include <memory>

#include "base/async/awaitable.hpp"
#include "base/bytes.hpp"

namespace nmp::async {

/// A reliable, ordered stream of bytes in both directions: a libp2p stream, a TCP connection, a pipe in memory.
/// Network thread only. One reader and one writer at a time. Cancelling a pending call leaves the stream usable only
/// for reset() and destruction.
class ByteStream {
 public:
  virtual ~ByteStream() = default;

  /// Waits for at least one byte. 0 means the peer has finished writing. `buffer` is not empty and outlives the call.
  /// Errors: closed (reset by either side, or the connection is gone), cancelled.
  virtual Awaitable<Result<std::size_t>> read_some(std::span<std::byte> buffer) = 0;

  /// Takes all of `data`, waiting while the receiver gives no credit. `data` outlives the call.
  /// Errors: closed, cancelled.
  virtual Awaitable<Result<void>> write(ByteView data) = 0;

  /// Half-close: the peer's reads end with 0 after what was written. Reading goes on.
  virtual Awaitable<Result<void>> close_write() = 0;

  /// Ends both directions at once with an error code that the peer sees where the transport carries one
  /// (libp2p stream error codes, for example 0x1006 garbage collected). Idempotent; wakes pending calls with `closed`.
  virtual void reset(std::uint64_t code) noexcept = 0;
};

using ByteStreamPtr = std::unique_ptr<ByteStream>;

/// Fills `buffer` whole. Errors: truncated if the stream ends first; as read_some otherwise.
Awaitable<Result<void>> read_exactly(ByteStream& stream, std::span<std::byte> buffer);

/// Two ends of a pipe in memory, each holding at most `capacity` unread bytes.
std::pair<ByteStreamPtr, ByteStreamPtr> memory_pipe(const Executor& executor, std::size_t capacity = 64 * 1024);

}  // namespace nmp::async
