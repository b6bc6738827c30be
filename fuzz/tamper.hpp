#pragma once

#include "base/bytes.hpp"

namespace nmp::fuzz {

/// Changes bytes of `message` as `script` says, which it uses up: two bytes of place (0xffff: enough of this message)
/// and one of the bits to flip, again and again. Whether any bit was flipped.
inline bool tamper(Bytes& message, ByteView& script) {
  bool changed = false;
  while (script.size() >= 3 && !message.empty()) {
    const auto at = std::to_integer<std::size_t>(script[0]) << 8 | std::to_integer<std::size_t>(script[1]);
    const auto bits = script[2];
    script = script.subspan(3);
    if (at == 0xffff) break;
    message[at % message.size()] ^= bits;
    changed = changed || bits != std::byte{0};
  }
  return changed;
}

}  // namespace nmp::fuzz
