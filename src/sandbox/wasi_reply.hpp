#pragma once

#include "sandbox/guest_api.hpp"

namespace nmp::sandbox {

/// A WASI call's result.
[[nodiscard]] inline Reply reply(wasi::Errno code) { return {.value = static_cast<std::uint64_t>(code)}; }
/// `fault` unless the last write to the guest went well.
[[nodiscard]] inline Reply reply_written(bool written) {
  return reply(written ? wasi::Errno::success : wasi::Errno::fault);
}

}  // namespace nmp::sandbox
