#pragma once

#include <optional>

#include "base/bytes.hpp"
#include "libp2p/noise/errors.hpp"

namespace nmp::libp2p::noise {

/// Cuts frames, a length of two bytes and that many more, off the front of a stream that arrives in pieces. Holds at
/// most one frame, and grows with what has arrived rather than with what is announced.
class FrameReader {
 public:
  struct Sizes {
    std::size_t least;
    std::size_t most;
    Errc error;  ///< of a frame outside them, told as soon as its length has arrived
  };

  /// Eats from the front of `input`; a value is the next frame without its length, valid until the next call and as
  /// long as the input. Never eats beyond that frame. Errors: `sizes.error`, after which the reader is of no use.
  Result<std::optional<ByteView>> feed(ByteView& input, const Sizes& sizes);
  /// True between frames: the stream may end here.
  [[nodiscard]] bool idle() const { return length_.empty(); }

 private:
  Bytes length_;
  Bytes body_;
  bool body_spent_ = false;
};

}  // namespace nmp::libp2p::noise
