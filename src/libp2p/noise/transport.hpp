#pragma once

#include "libp2p/noise/cipher_state.hpp"
#include "libp2p/noise/frame_reader.hpp"

namespace nmp::libp2p::noise {

/// The stream after the handshake: frames of at most 65535 bytes, each sealed under its direction's key and the next
/// number, so that none can be changed, replayed, left out or swapped. What Noise does not tell is an end: a stream cut
/// between two frames looks whole, and it is for the muxer above to say goodbye.
class Transport {
 public:
  Transport(CipherState send, CipherState receive) : send_(std::move(send)), receive_(std::move(receive)) {}

  /// Feeds bytes of the stream, cut anywhere, and returns how many it took: all of them, unless kUnreadBytesMax are
  /// unread; the rest is for after a read. Frames without plaintext are legal and give none.
  /// Errors: forged, nonces_spent; for good, but what has been opened before is still to be read.
  Result<std::size_t> on_bytes(ByteView input);
  [[nodiscard]] ByteView unread() const { return ByteView(inbox_).subspan(inbox_at_); }
  /// Forgets `size` bytes of unread().
  void consume(std::size_t size);
  /// Moves what fits from unread() to `out` and returns its size.
  std::size_t read(std::span<std::byte> out);

  /// Seals from the front of `plaintext` and returns how much it took: all, unless kUnsentBytesMax wait for
  /// take_output(). Nothing makes no frame. Errors: that of an earlier failure, nonces_spent.
  Result<std::size_t> write(ByteView plaintext);
  [[nodiscard]] Bytes take_output() { return std::exchange(output_, {}); }

  /// The stream has ended. Errors: truncated if that was inside a frame, and that of an earlier failure.
  [[nodiscard]] Result<void> on_end() const;

 private:
  std::unexpected<Error> give_up(Error error);

  CipherState send_;
  CipherState receive_;
  FrameReader frames_;
  Bytes inbox_;
  std::size_t inbox_at_ = 0;
  Bytes output_;
  std::error_code failure_;
};

}  // namespace nmp::libp2p::noise
